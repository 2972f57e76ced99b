"""The lock between writes and the destruction of keys.

A write that began with a user's keys must not end after they are destroyed: what it stored could never be opened. So
writes share this lock, and destruction has it alone, for the moment it takes. Processes that are killed let go of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

import attrs
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from whisper_persistence.errors import StorageUnavailableError

#: The number of PostgreSQL's advisory lock: "whispers" in ASCII.
_ADVISORY: Final = int.from_bytes(b"whispers", "big")


class ErasureLock(Protocol):
    """Shared by writes, held alone by destruction."""

    def shared(self) -> AbstractContextManager[None]:
        """Hold it with other writes."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Hold it alone."""
        ...


@attrs.frozen
class FileLock:
    """A SQLite file that holds nothing: its locks are fair to whoever waits to be alone, and have a timeout."""

    path: Path
    timeout: float

    @contextmanager
    def shared(self) -> Generator[None]:
        """Hold SQLite's lock of readers."""
        with self._held("BEGIN"):
            yield

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold SQLite's exclusive lock."""
        with self._held("BEGIN EXCLUSIVE"):
            yield

    @contextmanager
    def _held(self, begin: str) -> Generator[None]:
        with closing(sqlite3.connect(self.path, self.timeout, isolation_level=None)) as connection:
            try:
                connection.execute(begin)
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.Error as error:
                raise StorageUnavailableError(
                    f"the lock of the key store could not be had in {self.timeout:g} s ({type(error).__name__}): retry"
                ) from None
            yield


@attrs.frozen
class AdvisoryLock:
    """PostgreSQL's advisory lock, held by a transaction."""

    engine: Engine

    @contextmanager
    def shared(self) -> Generator[None]:
        """Hold it with others."""
        with self._held("pg_advisory_xact_lock_shared"):
            yield

    @contextmanager
    def alone(self) -> Generator[None]:
        """Hold it alone."""
        with self._held("pg_advisory_xact_lock"):
            yield

    @contextmanager
    def _held(self, function: str) -> Generator[None]:
        with ExitStack() as held:
            try:
                connection = held.enter_context(self.engine.connect())
                connection.execute(text(f"SELECT {function}(:key)"), {"key": _ADVISORY})
            except SQLAlchemyError as error:
                raise StorageUnavailableError(
                    f"the lock of the key store could not be had ({type(error).__name__}): retry"
                ) from None
            yield
