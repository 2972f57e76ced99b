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
    _failing: bool = attrs.field(init=False, default=False)

    def append(self, entry: dict[str, Any]) -> None:
        """Append one line; a disk that refuses is logged once and never fails the write that was seen."""
        try:
            append(self.path, f"{encode(entry)}\n".encode())
        except OSError as error:
            if not self._failing:
                _log.exception("the audit file cannot be written", extra={"error": type(error).__name__})
            self._failing = True
        else:
            self._failing = False

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
        return Trail(path, _namer(ids, key.encode() if key else _kept_key(path.with_name(f"{path.name}.key"))))
    except OSError as error:
        problem = type(error).__name__
        raise ConfigurationError(
            f"driver 'audit': path {str(path)!r} cannot be written ({problem}): choose another"
        ) from None


def append(path: Path, line: bytes) -> None:
    """Append to a file that nobody else may read, in one piece."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


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
