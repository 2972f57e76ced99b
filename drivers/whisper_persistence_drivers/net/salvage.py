"""Reading what can still be read of a damaged journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from whisper_persistence_drivers.net.entries import Entry
from whisper_persistence_drivers.net.journal import entry_of, readable

_COLUMNS: Final = "place, change_id, writer, number, hook, body, written_at, erasures, based_on, tried, checksum"


def salvage(path: Path) -> tuple[list[Entry], int]:
    """Return every entry whose checksum holds, in order, and how many could be seen and not read.

    SQLite stops at the first damaged page, so the file is read from both ends.
    """
    rows: dict[int, Any] = {}
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as connection:
        connection.text_factory = readable
        for direction in ("ASC", "DESC"):
            with suppress(sqlite3.Error):
                every = f"SELECT {_COLUMNS} FROM entries ORDER BY place {direction}"  # noqa: S608
                for row in connection.execute(every):
                    rows.setdefault(row[0], row)
    found = [entry for _, row in sorted(rows.items()) if (entry := entry_of(row)) is not None]
    return found, len(rows) - len(found)
