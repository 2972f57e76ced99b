"""What lies beside a SQLite file and in its slack: copies that upgrades made, and bytes of what was deleted."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from whisper_persistence_drivers.sql.database import Scrubbed
from whisper_persistence_drivers.sqlite_errors import name_of

#: How long a copy that an upgrade made is kept, in days.
COPY_DAYS: Final = 30
#: A file up to so many bytes is written anew in memory.
_IN_MEMORY: Final = 256 << 20


def scrub(connection: sqlite3.Connection, path: Path) -> Scrubbed:
    """Write the file anew without deleted bytes, empty its write-ahead log, and name the copies that are left.

    SQLite's ``secure_delete`` is not enough: where it spreads rows over pages, it leaves bytes of them behind.
    """
    rewritten: list[str] = []
    remaining: list[str] = []
    try:
        _vacuum(connection)
        rewritten.append("file")
    except sqlite3.OperationalError as error:
        remaining.append(f"unused space of {path}, which could not be written anew ({name_of(error)}): erase again")
    if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        remaining.append(f"{path}-wal, while another process reads: erase again")
    else:
        rewritten.append("wal")
    remove_old_copies(path)
    remaining += [
        f"{copy}, a copy that an upgrade made and that goes when it is {COPY_DAYS} days old" for copy in copies(path)
    ]
    return Scrubbed(tuple(rewritten), (*remaining, "backups and snapshots made by others"))


def _vacuum(connection: sqlite3.Connection) -> None:
    """Write the file anew by way of a copy, which is kept in memory as long as it is small."""
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    connection.execute(f"PRAGMA temp_store = {'FILE' if pages * size > _IN_MEMORY else 'MEMORY'}")
    try:
        connection.execute("VACUUM")
    finally:
        connection.execute("PRAGMA temp_store = MEMORY")


def copies(path: Path) -> list[Path]:
    """Return the copies of a file that upgrades of its schema made."""
    return sorted(path.parent.glob(f"{path.name}.before-*"))


def remove_old_copies(path: Path) -> None:
    """Remove copies that are so old that nobody goes back to them, and what restoring left when it was interrupted."""
    for days, found in ((COPY_DAYS, copies(path)), (1, list(path.parent.glob(f"{path.name}.restoring*")))):
        for copy in found:
            with suppress(FileNotFoundError):  # another process may remove it at the same time
                if copy.stat().st_mtime < time.time() - days * 86_400:
                    copy.unlink()


def remove_with_logs(path: Path) -> None:
    """Remove a file and its logs, if they are there."""
    for end in ("-wal", "-shm", "-journal", ""):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
