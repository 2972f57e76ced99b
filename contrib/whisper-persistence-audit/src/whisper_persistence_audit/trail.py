"""The file of lines, and how the ids in it are written."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import attrs

from whisper_persistence.codec import encode
from whisper_persistence.errors import ConfigurationError

_log = logging.getLogger(__name__)

#: How ids are written: as a keyed hash, as they are, or not at all.
Ids = Literal["keyed", "plain", "none"]


@attrs.define(eq=False)
class Trail:
    """A JSON Lines file that several processes append to, and that may be rotated at any time."""

    path: Path
    name: Callable[[str], str] | None
    _is_cut: bool = False
    _failing: bool = attrs.field(init=False, default=False)

    def append(self, entry: dict[str, Any]) -> None:
        """Append one line; a disk that refuses is logged once and never fails the write that was seen."""
        # What was written before the disk refused may be half a line, which this one must not be added to.
        begin = "\n" if self._failing or self._is_cut else ""
        try:
            append(self.path, f"{begin}{encode(entry)}\n".encode())
        except OSError as error:
            if not self._failing:
                _log.exception("the audit file cannot be written", extra={"error": type(error).__name__})
            self._failing = True
        else:
            self._failing = self._is_cut = False

    def named(self, ids: Iterable[str]) -> list[str] | None:
        """Return ids as the file is to show them, each once; ``None`` where it shows none."""
        return None if self.name is None else sorted({self.name(value) for value in ids})


def open_trail(path: Path, ids: Ids, key: str | None) -> Trail:
    """Return a trail whose file can be written.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        append(path, b"")
        name = _namer(ids, key.encode() if key else _kept_key(path.with_name(f"{path.name}.key")))
        return Trail(path, name, path.is_file() and _is_cut(path))
    except OSError as error:
        problem = type(error).__name__
        raise ConfigurationError(
            f"driver 'audit': path {str(path)!r} cannot be written ({problem}): choose another"
        ) from None


def append(path: Path, line: bytes) -> None:
    """Append to a file that nobody else may read, in one piece and the whole of it.

    Raises:
        OSError: it cannot be written, or not the whole.
    """
    with open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(line)


def _is_cut(path: Path) -> bool:
    """Say whether the last line was cut short; what cannot be read is taken as whole."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            return file.read() not in (b"", b"\n")
    except OSError:
        return False


def _namer(ids: Ids, key: bytes) -> Callable[[str], str] | None:
    secret = hashlib.sha256(key).digest()
    names: dict[Ids, Callable[[str], str] | None] = {
        "keyed": lambda value: hashlib.blake2b(value.encode(), key=secret, digest_size=12).hexdigest(),
        "plain": str,
        "none": None,
    }
    return names[ids]


def _kept_key(path: Path) -> bytes:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        append(draft, os.urandom(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            _log.debug("another process made the key first")
        draft.unlink()
    return path.read_bytes()
