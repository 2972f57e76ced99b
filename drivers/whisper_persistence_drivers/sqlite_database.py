"""Connections to one SQLite file: one writer, a few readers, none of them carried across a fork."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import attrs
from sqlalchemy import Connection, Engine, NullPool, create_engine, event

from whisper_persistence import records as rec
from whisper_persistence.errors import PersistenceError, StoreClosedError
from whisper_persistence_drivers.sql.damage import Damage
from whisper_persistence_drivers.sql.database import ConstraintError, Database, Scrubbed
from whisper_persistence_drivers.sql.flavour import Flavour
from whisper_persistence_drivers.sqlite_connection import FileId, check_file, connect, find_file, has_wal_reset_race
from whisper_persistence_drivers.sqlite_errors import as_ours
from whisper_persistence_drivers.sqlite_flavour import SqliteFlavour
from whisper_persistence_drivers.sqlite_scrubbing import remove_old_copies, scrub
from whisper_persistence_drivers.sqlite_tombstones import add_tombstones

#: Databases whose connections a forked child must not touch.
_open: WeakSet[SqliteDatabase] = WeakSet()
#: Connections that a forked child inherited: neither used nor closed, since closing one drops the parent's locks.
_inherited: list[sqlite3.Connection] = []


@attrs.define(eq=False)
class SqliteDatabase(Database):
    """One file, its one writer and its readers.

    Attributes:
        path: the file.
        synchronous: SQLite's setting of that name.
        busy_timeout: how long to wait for another process's write, in seconds.
        readers: how many connections may read at the same time.
        cache_mb: memory for pages, per connection, in MiB.
    """

    path: Path
    synchronous: str
    busy_timeout: float
    readers: int
    cache_mb: int
    flavour: Flavour = attrs.field(init=False, factory=SqliteFlavour)
    hash_key: bytes = attrs.field(init=False, default=b"", repr=False)
    damage: Damage = attrs.field(init=False, factory=Damage, repr=False)
    errors: Any = attrs.field(
        init=False, default=(sqlite3.Error, OSError, OverflowError, UnicodeDecodeError), repr=False
    )
    _writer: sqlite3.Connection | None = attrs.field(init=False, default=None, repr=False)
    _writing: Any = attrs.field(init=False, factory=threading.Lock, repr=False)
    _idle: list[sqlite3.Connection] = attrs.field(init=False, factory=list[sqlite3.Connection], repr=False)
    _places: Any = attrs.field(init=False, repr=False)
    _opened: FileId | None = attrs.field(init=False, default=None, repr=False)
    _closed: bool = attrs.field(init=False, default=False, repr=False)
    _held: list[Any] = attrs.field(init=False, factory=list[Any], repr=False)

    def __attrs_post_init__(self) -> None:
        """Make room for the readers, and be known to forks."""
        self._places = threading.Semaphore(self.readers)
        _open.add(self)

    def engine(self) -> Engine:
        """Return an engine whose transactions take the write lock at once."""
        engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "begin", _begin_immediate)
        return engine

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Lend one of the readers; each statement sees one state of the file, and `Flavour.one_state` joins several."""
        with self._places:
            self._check_open()
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            try:
                yield connection
            finally:
                self._idle.append(connection)
                if self._closed:
                    self._close_readers()

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Lend the writer inside a transaction that holds SQLite's write lock from its first statement on."""
        with self._writing:
            check_file(self.path, self._opened)
            connection = self._only_writer()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def translate(self, error: Exception) -> PersistenceError | ConstraintError:
        """Return our error for one of SQLite's."""
        return as_ours(error, self.path)

    def before_migration(self, version: str | None) -> None:
        """Copy a file that holds an older schema, so that the upgrade can be taken back."""
        if version is not None:
            copy = self.path.with_name(f"{self.path.name}.before-{version}")
            unfinished = copy.with_name(f"{copy.name}.unfinished")
            unfinished.unlink(missing_ok=True)
            unfinished.touch(mode=0o600)
            with closing(self._connect()) as source, closing(sqlite3.connect(unfinished)) as target:
                source.backup(target)
            shutil.copymode(self.path, unfinished)
            unfinished.replace(copy)

    def ready(self) -> None:
        """Remove copies that upgrades made long ago."""
        remove_old_copies(self.path)

    def describe(self) -> dict[str, Any]:
        """Return the file, its size and journal, the room beside it, and SQLite's version."""
        check_file(self.path, self._opened)
        with self.reading() as connection:
            journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            size = pages * connection.execute("PRAGMA page_size").fetchone()[0]
        return {
            "path": str(self.path),
            "bytes": size,
            "free_bytes": shutil.disk_usage(self.path.parent).free,
            "journal_mode": journal,
            "synchronous": self.synchronous,
            "sqlite_version": sqlite3.sqlite_version,
            "wal_reset_race": has_wal_reset_race(sqlite3.sqlite_version_info),
        }

    def remember(self, tombstones: Sequence[rec.Tombstone]) -> None:
        """Add to the list beside the file."""
        add_tombstones(self.path, tombstones)

    def scrub(self) -> Scrubbed:
        """Write the file anew, and empty the write-ahead log."""
        with self._writing:
            return scrub(self._only_writer(), self.path)

    def close(self) -> None:
        """Close every connection; those that are lent are closed when they come back."""
        self._closed = True
        _open.discard(self)
        with self._writing:
            self._close_writer()
        self._close_readers()

    def pause(self) -> None:
        """Before a fork: wait for what is on its way, and close every connection.

        SQLite keeps its locks per process and believes in a child that it still holds the parent's; a child that opens
        the file then would write into a log that others delete.
        """
        if self._writing.acquire(timeout=self.busy_timeout):
            self._held.append(self._writing)
            self._close_writer()
        self._held += [self._places for _ in range(self.readers) if self._places.acquire(timeout=self.busy_timeout)]
        self._close_readers()

    def resume(self) -> None:
        """After a fork, in the parent: let others go on."""
        while self._held:
            self._held.pop().release()

    def begin_anew(self) -> None:
        """After a fork, in the child: leave connections that could not be closed alone, and start with none."""
        _inherited.extend([*self._idle, *([self._writer] if self._writer else [])])
        self._idle, self._writer, self._held = [], None, []
        self._writing, self._places = threading.Lock(), threading.Semaphore(self.readers)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosedError(f"the SQLite file {self.path} was closed meanwhile: open a new store")

    def _only_writer(self) -> sqlite3.Connection:
        self._check_open()
        if self._writer is None:
            self._writer = self._connect()
        return self._writer

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _close_readers(self) -> None:
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _connect(self) -> sqlite3.Connection:
        check_file(self.path, self._opened)
        connection = connect(self.path, self.busy_timeout, synchronous=self.synchronous, cache_mb=self.cache_mb)
        self._opened = self._opened or find_file(self.path)
        return connection


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _before_fork() -> None:
    for database in list(_open):
        database.pause()


def _after_fork_in_parent() -> None:
    for database in list(_open):
        database.resume()


def _after_fork_in_child() -> None:
    for database in list(_open):
        database.begin_anew()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
