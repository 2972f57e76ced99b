"""What a SQLite file holds, counted and hashed, and whether a copy holds the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence_drivers.sqlite_errors import as_ours

#: The one table that only a backup has: it says when it was made, and what it must hold.
MARKER: Final = "whisper_persistence_backup"


@attrs.frozen
class Contents:
    """What a file holds.

    Attributes:
        counts: how many rows, by table.
        digests: a hash of all rows, by table.
    """

    counts: dict[str, int]
    digests: dict[str, str]


@attrs.frozen
class Mark:
    """What a backup says of itself.

    Attributes:
        made_at: when it was made.
        contents: what it must hold.
    """

    made_at: datetime
    contents: Contents


@contextmanager
def looking_at(path: Path) -> Generator[sqlite3.Connection]:
    """Lend a connection that reads a file, with our errors in place of SQLite's."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection
    except sqlite3.Error as error:
        raise as_ours(error, path) from None


@contextmanager
def writing_to(path: Path) -> Generator[sqlite3.Connection]:
    """Lend a connection that replaces a file as a whole, once it is known to be a database."""
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield connection
    except sqlite3.Error as error:
        raise as_ours(error, path) from None


def read_contents(connection: sqlite3.Connection) -> Contents:
    """Return what a file holds, the mark of a backup apart."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    names = [name for (name,) in connection.execute(tables) if name != MARKER and not name.startswith("sqlite_")]
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    for name in names:
        digest = blake2b(digest_size=32)
        counts[name] = 0
        for row in connection.execute(f'SELECT * FROM "{name}"'):  # noqa: S608
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
            counts[name] += 1
        digests[name] = digest.hexdigest()
    return Contents(counts, digests)


def write_mark(connection: sqlite3.Connection, mark: Mark) -> None:
    """Write into a backup what it must hold."""
    connection.execute(f"CREATE TABLE {MARKER} (mark TEXT NOT NULL)")
    connection.execute(f"INSERT INTO {MARKER} VALUES (?)", (msgspec.json.encode(mark).decode(),))  # noqa: S608


def check_backup(path: Path) -> tuple[datetime | None, Contents]:
    """Return when a backup was made and what it holds; no date for a copy that somebody made by other means.

    Raises:
        StorageDamagedError: it is damaged, or holds something else than it should.
    """
    with looking_at(path) as connection:
        check_integrity(connection, path)
        found, mark = read_contents(connection), _read_mark(connection)
    if mark and mark.contents != found:
        names = sorted(_different(mark.contents.digests, found.digests))
        raise StorageDamagedError(
            f"the backup {path} holds something else than it did in {', '.join(names)}: use another"
        )
    return mark.made_at if mark else None, found


def check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Have SQLite check a whole file.

    Raises:
        StorageDamagedError: it found something.
    """
    problems = (
        [row[0] for row in connection.execute("PRAGMA integrity_check(1)")] if _is_ours(connection) else ["empty"]
    )
    if problems != ["ok"]:
        raise StorageDamagedError(f"{path} is damaged or holds no memory: use another backup")


def _is_ours(connection: sqlite3.Connection) -> bool:
    return bool(
        connection.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'whisper%version'").fetchone()[0]
    )


def _read_mark(connection: sqlite3.Connection) -> Mark | None:
    try:
        row: Any = connection.execute(f"SELECT mark FROM {MARKER}").fetchone()  # noqa: S608
    except sqlite3.OperationalError:
        return None
    try:
        return msgspec.json.decode(row[0], type=Mark)
    except (msgspec.MsgspecError, TypeError):
        raise StorageDamagedError("the backup's own mark cannot be read: use another backup") from None


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
