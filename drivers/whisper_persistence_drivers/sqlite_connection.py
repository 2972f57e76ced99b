"""One connection to a SQLite file, with every setting that the driver relies on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, TypeAlias

from whisper_persistence.errors import StorageUnavailableError

#: What tells a file from every other: its device, and its number there.
FileId: TypeAlias = tuple[int, int]

#: Text that the file's owner must not find in it after an erase is overwritten with zeros.
_PRAGMAS: Final = (
    "foreign_keys = ON",
    "secure_delete = ON",
    "temp_store = MEMORY",
    "mmap_size = 0",
)


def connect(path: Path, busy_timeout: float, *, synchronous: str, cache_mb: int) -> sqlite3.Connection:
    """Return a connection that commits by itself, to a file in WAL mode.

    Args:
        path: the file, which is made if it is not there.
        busy_timeout: how long to wait for another process's write, in seconds.
        synchronous: SQLite's setting of that name.
        cache_mb: memory for pages, in MiB.
    """
    connection = sqlite3.connect(
        path, timeout=busy_timeout, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        for pragma in (*_PRAGMAS, f"synchronous = {synchronous}", f"cache_size = {-1024 * cache_mb}"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def find_file(path: Path) -> FileId | None:
    """Return which file is at a path, or ``None`` where there is none.

    Raises:
        OSError: that cannot be told.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def check_file(path: Path, opened: FileId | None) -> None:
    """See whether a file that is open still is where it was: what SQLite writes to a removed one ends with the program.

    Args:
        path: where it was opened.
        opened: which file that was; ``None`` where none is open yet.

    Raises:
        StorageUnavailableError: it is there no more.
    """
    try:
        moved = opened is not None and find_file(path) != opened
    except OSError:  # of a disk that fails SQLite tells
        return
    if moved:
        raise StorageUnavailableError(
            f"the SQLite file {path} was removed, or replaced by another, while it was open: put it back, or restart "
            "the program to go on with what is there"
        )


def has_wal_reset_race(version: tuple[int, int, int]) -> bool:
    """Say whether this SQLite may, rarely, corrupt a file with several writers (fixed in 3.44.6, 3.50.7 and 3.51.3)."""
    fixed = {(3, 44): 6, (3, 50): 7}
    return (3, 7, 0) <= version < (3, 51, 3) and not version[2] >= fixed.get(version[:2], 1 << 30)
