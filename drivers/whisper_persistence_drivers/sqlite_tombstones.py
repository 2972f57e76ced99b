"""The list of those who were erased, beside a SQLite file, where no backup of the file takes it back.

It names nobody: a line holds a keyed hash, how often the user was erased by then, and when. The key is in the database.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from whisper_persistence import records as rec
from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import StorageUnavailableError


def list_of(path: Path) -> Path:
    """Return where the list of a file lies."""
    return path.with_name(f"{path.name}.erased")


def add_tombstones(path: Path, tombstones: Sequence[rec.Tombstone]) -> None:
    """Append tombstones to the list of a file, and wait until the disk has them.

    Raises:
        StorageUnavailableError: the list cannot be written.
    """
    # A line begins with the end of the one before, which a crash may have cut short.
    lines = "".join(f"\n{encode(tombstone)}" for tombstone in tombstones)
    if not lines:
        return
    try:
        # A full disk may take a part of what it is given and say so in a number only, which a file object heeds.
        with open(list_of(path), "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageUnavailableError(
            f"the list of erases beside {path} cannot be written ({error.strerror}): make room for it and erase again"
        ) from None


def read_tombstones(path: Path) -> list[rec.Tombstone]:
    """Return the tombstones that the list of a file holds; a line that a crash cut short counts for nothing."""
    try:
        lines = list_of(path).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    read = decoder(rec.Tombstone)
    return [read(line) for line in lines if line.endswith(b"}")]
