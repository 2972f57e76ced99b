"""Writing everything, or all that belongs to one user, to an archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import msgspec

from whisper_persistence.errors import ConfigurationError, NotSupportedError
from whisper_persistence.operations.archive_lines import ArchiveLines
from whisper_persistence.operations.manifest import MANIFEST, ArchiveFile, Manifest
from whisper_persistence.operations.putting import ORDER
from whisper_persistence.operations.reading import Report
from whisper_persistence.records import RECORD_KINDS
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store

#: The date of every file in a zip archive, so that equal archives are equal files: the earliest that there is.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)


def export_archive(store: Store, path: Path, user_id: str | None, report: Report) -> Manifest:
    """Write an archive, which is there as a whole or not at all.

    Args:
        store: where from.
        path: a new folder, or a new file whose name ends in ``.zip``.
        user_id: whose records: those about them, and what they wrote; ``None`` for everybody's.
        report: called after each page.

    Returns:
        What the archive holds.

    Raises:
        ConfigurationError: there is something of that name already, or it cannot be written.
    """
    if path.exists():
        raise ConfigurationError(f"there is {path} already: name another place for the archive")
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        manifest = _Export(ArchiveLines(store, user_id, "exporting", report), unfinished).write()
        _pack(unfinished, path) if path.suffix == ".zip" else unfinished.rename(path)
    except OSError as error:
        raise ConfigurationError(
            f"the archive {path} cannot be written ({error.strerror}): name another place"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


@attrs.frozen
class _Group:
    """Where the records of one user, or one conversation, stand in a file."""

    key: str
    start: int
    end: int
    records: int


@attrs.frozen
class _Export:
    """One archive in the making."""

    lines: ArchiveLines
    folder: Path

    def write(self) -> Manifest:
        files = [self._write_kind(kind) for kind in ORDER]
        marks, path = self.lines.marks(), self.folder / "cleared.jsonl"
        with _create(path) as file:
            file.writelines(marks)
        written = [*filter(None, files), _describe(path, "cleared", len(marks))]
        manifest = Manifest(self.lines.store.namespace, self.lines.user_id, tuple(written))
        with _create(self.folder / MANIFEST) as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        return manifest

    def _write_kind(self, kind: RecordKind) -> ArchiveFile | None:
        """Write the records of one kind by user, or by conversation, in the order of code points."""
        path = self.folder / f"{kind}.jsonl"
        try:
            with _create(path) as file:
                index = [_write_group(file, key, lines) for key, lines in self.lines.read(kind)]
        except NotSupportedError:
            path.unlink()
            return None
        _sort(path, index)
        return _describe(path, kind, sum(group.records for group in index))


def _write_group(file: BinaryIO, key: str, lines: Iterable[bytes]) -> _Group:
    start, records = file.tell(), 0
    for line in lines:
        file.write(line)
        records += 1
    return _Group(key, start, file.tell(), records)


def _sort(path: Path, index: list[_Group]) -> None:
    """Put the groups of a file into order, where the store walks through them in another."""
    ordered = sorted(index, key=lambda group: group.key)
    if ordered == index:
        return
    other = path.with_name(f"{path.name}.sorted")
    with path.open("rb") as source, _create(other) as target:
        for group in ordered:
            source.seek(group.start)
            while source.tell() < group.end:
                target.write(source.read(min(1 << 20, group.end - source.tell())))
    other.replace(path)


def _describe(path: Path, kind: str, records: int) -> ArchiveFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ArchiveFile(path.name, kind, records, path.stat().st_size, digest)


def _create(path: Path) -> BinaryIO:
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def _pack(folder: Path, path: Path) -> None:
    """Pack the files of a folder into a zip file."""
    unfinished = folder / path.name
    with _create(unfinished) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in (MANIFEST, *(f"{kind}.jsonl" for kind in (*RECORD_KINDS, "cleared"))):
            if (folder / name).exists():
                entry = zipfile.ZipInfo(name, _NO_DATE)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
                with (folder / name).open("rb") as source, packed.open(entry, "w", force_zip64=True) as member:
                    shutil.copyfileobj(source, member, 1 << 20)
    unfinished.rename(path)
