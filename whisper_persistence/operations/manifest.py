"""An archive: a folder or a zip file with JSON Lines of each kind, and a manifest that says what they must hold.

``docs/format.md`` describes the format.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import attrs
import msgspec

from whisper_persistence.codec import encode
from whisper_persistence.errors import ConfigurationError, IncompatibleSchemaError, StorageDamagedError
from whisper_persistence.records import RECORD_KINDS, fields
from whisper_persistence.records.fields import Moment

#: What the manifest is called.
MANIFEST: Final = "manifest.json"
#: What an archive is called within its manifest.
FORMAT: Final = "whisper-persistence-archive"
#: The version of the format that this release writes, and the newest that it reads.
FORMAT_VERSION: Final = 1
#: What the files of an archive hold: records of a kind, or which conversations are cleared up to which message.
_KINDS: Final = (*RECORD_KINDS, "cleared")
#: What the manifest may be at most, in bytes.
_MAX_MANIFEST: Final = 1_000_000


@attrs.frozen
class ArchiveFile:
    """One file of an archive.

    Attributes:
        name: its name.
        kind: the kind of record that it holds, or ``cleared``.
        records: how many lines it has.
        size: how many bytes.
        sha256: the hash of these bytes, in hexadecimal.
    """

    name: str
    kind: str
    records: int
    size: int
    sha256: str


@attrs.frozen
class Manifest:
    """What an archive holds.

    Attributes:
        namespace: the bot or character whose memory it was.
        user_id: whose records they are, or ``None`` for those of everybody.
        files: the files, one for each kind that the store kept.
        exported_at: when.
        format, version: say what the file is.
    """

    namespace: str
    user_id: str | None = attrs.field(repr=False)
    files: tuple[ArchiveFile, ...] = ()
    exported_at: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    format: str = FORMAT
    version: int = FORMAT_VERSION

    def digest(self) -> str:
        """Return a hash of the contents: archives of one digest hold the same, whatever store they come from."""
        return hashlib.sha256(encode(self.files).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Return how many records of each kind there are."""
        return {file.kind: file.records for file in self.files}


@attrs.frozen
class Archive:
    """An archive that is there: a folder, or a zip file.

    Attributes:
        path: where it is.
    """

    path: Path

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """Lend one of its files to read.

        Raises:
            StorageDamagedError: it is not there, or cannot be read.
        """
        try:
            if self.path.is_dir():
                with (self.path / name).open("rb") as file:
                    yield file
            else:
                with zipfile.ZipFile(self.path) as packed, packed.open(name) as file:
                    yield cast("BinaryIO", file)
        except (OSError, KeyError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
            problem = type(error).__name__
            raise StorageDamagedError(f"{name} of the archive {self.path} cannot be read ({problem})") from None

    def manifest(self) -> Manifest:
        """Return what the archive says of itself.

        Raises:
            ConfigurationError: it is not an archive.
            IncompatibleSchemaError: it was written by a newer release.
            StorageDamagedError: its manifest cannot be read.
        """
        if not is_archive(self.path):
            raise ConfigurationError(f"{self.path} is not an archive: name a folder with a {MANIFEST}, or a zip file")
        with self.open(MANIFEST) as file:
            text = file.read(_MAX_MANIFEST)
        try:
            manifest = msgspec.json.decode(text, type=Manifest)
        except msgspec.MsgspecError:
            raise StorageDamagedError(f"the manifest of the archive {self.path} cannot be read") from None
        if manifest.format != FORMAT or manifest.version > FORMAT_VERSION:
            raise IncompatibleSchemaError(
                f"the archive {self.path} has format {manifest.format!r} version {manifest.version}, and this release "
                f"knows {FORMAT!r} up to version {FORMAT_VERSION}: install a newer release of whisper-persistence"
            )
        if any(file.name != f"{file.kind}.jsonl" or file.kind not in _KINDS for file in manifest.files):
            raise StorageDamagedError(f"the manifest of the archive {self.path} names a file that no archive has")
        return manifest

    def check(self, manifest: Manifest) -> None:
        """Compare every file with what the manifest says.

        Raises:
            StorageDamagedError: names the first file that is something else.
        """
        for wanted in manifest.files:
            with self.open(wanted.name) as file:
                digest, size, lines = hashlib.sha256(), 0, 0
                while size <= wanted.size and (block := file.read(1 << 20)):
                    digest.update(block)
                    size, lines = size + len(block), lines + block.count(b"\n")
            if (digest.hexdigest(), size, lines) != (wanted.sha256, wanted.size, wanted.records):
                raise StorageDamagedError(f"{wanted.name} of the archive {self.path} is not what its manifest says")


def is_archive(path: Path) -> bool:
    """Say whether a path is that of an archive."""
    return (path / MANIFEST).is_file() if path.is_dir() else path.is_file() and zipfile.is_zipfile(path)
