"""One journal: a SQLite file that keeps what was acknowledged and is not in the database of record yet."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import StorageDamagedError
from whisper_persistence_drivers.net.entries import Entry
from whisper_persistence_drivers.net.steps import reached

#: What a journal may fail with: the disk, or SQLite on it.
ERRORS: Final = (OSError, sqlite3.Error)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    place INTEGER PRIMARY KEY AUTOINCREMENT, change_id TEXT NOT NULL UNIQUE, writer TEXT NOT NULL,
    number INTEGER NOT NULL, hook TEXT NOT NULL, body TEXT NOT NULL, written_at INTEGER NOT NULL, erasures INTEGER,
    based_on TEXT NOT NULL, tried INTEGER NOT NULL, checksum BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS dead (
    place INTEGER, change_id TEXT NOT NULL, hook TEXT NOT NULL, body TEXT NOT NULL, written_at INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "journal_size_limit = 1048576")
_COLUMNS: Final = "place, change_id, writer, number, hook, body, written_at, erasures, based_on, tried, checksum"
_ADD: Final = f"INSERT OR IGNORE INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_read_bases = decoder(dict[str, int])


@attrs.define(eq=False)
class Journal:
    """One file. Not thread-safe: its owner holds a lock."""

    path: Path
    _connection: sqlite3.Connection

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open a file, made with mode 0600 if it is not there.

        Raises:
            OSError, sqlite3.Error: it cannot be used.
        """
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)) if not path.exists() else None
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        connection.text_factory = readable
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            connection.executescript(_SCHEMA)
            broken = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if broken != "ok":
                raise sqlite3.DatabaseError("malformed")
        except BaseException:
            connection.close()
            raise
        return cls(path, connection)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries down; they are on the disk when this returns."""
        with self._transaction():
            self._connection.executemany(_ADD, map(_row, entries))
            reached("journal: written, not synced")
        reached("journal: synced, not acknowledged")

    def entries(self, places: Sequence[int]) -> list[Entry]:
        """Return the entries at these places, in order; one whose checksum does not hold is set aside."""
        found: list[Entry] = []
        for first in range(0, len(places), 500):
            part = places[first : first + 500]
            marks = ",".join("?" * len(part))
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE place IN ({marks}) ORDER BY place",  # noqa: S608
                part,
            )
            found += self._sound(rows.fetchall())
        return found

    def walk(self) -> Iterator[Entry]:
        """Iterate over all entries in order; one whose checksum does not hold is set aside."""
        after = -1
        while rows := self._page(after):
            after = rows[-1][0]
            yield from self._sound(rows)

    def remove(self, places: Iterable[int], bases: Sequence[tuple[int, dict[str, int]]] = ()) -> None:
        """Forget entries that were brought in, and note what the saves behind them are based on since."""
        with self._transaction():
            self._connection.executemany("DELETE FROM entries WHERE place = ?", ((place,) for place in places))
            rebased = ((encode(based_on), place) for place, based_on in bases)
            self._connection.executemany("UPDATE entries SET based_on = ? WHERE place = ?", rebased)

    def replace(self, entry: Entry) -> None:
        """Put an entry in the place of the one that is there."""
        with self._transaction():
            self._connection.execute("DELETE FROM entries WHERE place = ?", (entry.place,))
            self._connection.execute(_ADD, _row(entry))

    def bury(self, entry: Entry, reason: str) -> None:
        """Set an entry aside for good, with the reason."""
        self._set_aside((entry.place, entry.change_id, entry.hook, entry.body, entry.written_at, reason))

    def _set_aside(self, row: tuple[Any, ...]) -> None:
        with self._transaction():
            self._connection.execute("DELETE FROM entries WHERE place = ?", row[:1])
            self._connection.execute("INSERT INTO dead VALUES (?, ?, ?, ?, ?, ?)", row)

    def filter_dead(self, keep: Callable[[Entry], bool]) -> int:
        """Forget what was set aside, unless it is kept; return how many went."""
        rows = self._connection.execute("SELECT rowid, place, change_id, hook, body, written_at FROM dead").fetchall()
        gone = [row[0] for row in rows if not keep(Entry(row[1] or 0, row[2], "", 0, *row[3:]))]
        with self._transaction():
            self._connection.executemany("DELETE FROM dead WHERE rowid = ?", ((rowid,) for rowid in gone))
        return len(gone)

    def dead(self) -> int:
        """Return how many entries were set aside."""
        count: int = self._connection.execute("SELECT count(*) FROM dead").fetchone()[0]
        return count

    def newest(self) -> int:
        """Return the last place that was ever given."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
        return int(row[0]) if row else 0

    def fact(self, name: str) -> str | None:
        """Return something that was written down about the journal itself."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def note(self, name: str, value: str) -> None:
        """Write down something about the journal itself."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def scrub(self) -> None:
        """Empty the write-ahead log, the one place that secure_delete leaves deleted bytes in."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _page(self, after: int) -> list[Any]:
        page = f"SELECT {_COLUMNS} FROM entries WHERE place > ? ORDER BY place LIMIT 500"  # noqa: S608
        return self._connection.execute(page, (after,)).fetchall()

    def _sound(self, rows: Sequence[Any]) -> list[Entry]:
        found = [(row, entry_of(row)) for row in rows]
        for row in (row for row, entry in found if entry is None):
            place, change_id, _, _, hook, body, written_at, *_ = row
            told = (str(change_id), str(hook), str(body), written_at if isinstance(written_at, int) else 0)
            self._set_aside((place, *told, "damaged: its checksum does not hold"))
        return [entry for _, entry in found if entry is not None]


def readable(text: bytes) -> str:
    """Return text from a file that may be damaged."""
    return text.decode(errors="replace")


def entry_of(row: Any) -> Entry | None:
    """Return an entry from its row, or ``None`` where its checksum does not hold."""
    try:
        entry = _read(row)
        return entry if entry.checksum() == row[-1] else None
    except (TypeError, ValueError, StorageDamagedError):
        return None


def _read(row: Any) -> Entry:
    place, change_id, writer, number, hook, body, written_at, erasures, based_on, tried, *_ = row
    known = _read_bases(based_on)
    return Entry(place, change_id, writer, number, hook, body, written_at, erasures, known, bool(tried))


def _row(entry: Entry) -> tuple[Any, ...]:
    told = (entry.place, entry.change_id, entry.writer, entry.number, entry.hook, entry.body, entry.written_at)
    return (*told, entry.erasures, encode(entry.based_on), int(entry.tried), entry.checksum())
