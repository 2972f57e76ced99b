"""Connections to one PostgreSQL database."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast
from weakref import WeakSet

import attrs
import psycopg
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, inspect, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.schema import CreateSchema

from whisper_persistence.errors import (
    ConfigurationError,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    StoreClosedError,
)
from whisper_persistence.records import Tombstone
from whisper_persistence_drivers.postgres_arrays import teach
from whisper_persistence_drivers.postgres_connection import PatientConnection
from whisper_persistence_drivers.postgres_flavour import PostgresFlavour
from whisper_persistence_drivers.postgres_lending import Lender
from whisper_persistence_drivers.postgres_policies import NAMESPACE_SETTING, check_role, enforce_policies, has_policies
from whisper_persistence_drivers.postgres_scrubbing import LEFT, scrub
from whisper_persistence_drivers.sql.damage import Damage
from whisper_persistence_drivers.sql.database import ConstraintError, Database, Scrubbed, TransactionLostError
from whisper_persistence_drivers.sql.flavour import Flavour

#: A connection that rested longer is asked whether it is alive before it is lent, in seconds.
_RESTED: Final = 1.0
#: The key of the advisory lock under which one process installs or upgrades.
_MIGRATION_LOCK: Final = 0x77686973706572

_open: WeakSet[PostgresDatabase] = WeakSet()
#: The first version that can say of a text whether it is JSON, and what a cast of one that is none is refused with.
_JUDGES: Final = 160_000
_NO_JSON: Final = "22P02"
#: libpq gives a refused login no code of its own, only words.
_LOGIN_REFUSED = re.compile(r"authentication failed|no password supplied|role .* does not exist")
_NO_DATABASE = re.compile(r"database .* does not exist")


@attrs.define(eq=False)
class PostgresDatabase(Database):
    """One database and its pool of connections.

    Attributes:
        schema: the schema that our tables live in.
        arguments: what psycopg connects with.
        prepares: whether connections keep statements prepared.
        pool_size: how many connections at most.
        pool_timeout: how long to wait for a free one, in seconds.
        patience: how long to wait for an answer, in seconds.
        max_lifetime: how old a connection may grow, in seconds.
        history_partitions: into how many hash partitions a new installation divides the history; 0 for none.
        row_level_security: whether the database itself keeps namespaces apart.
        rewrite_on_erase: whether tables are written anew after an erase.
    """

    schema: str
    arguments: dict[str, Any] = attrs.field(repr=False)
    prepares: bool
    pool_size: int
    pool_timeout: float
    patience: float
    max_lifetime: float
    history_partitions: int = 0
    row_level_security: bool = False
    rewrite_on_erase: bool = False
    flavour: Flavour = attrs.field(init=False)
    hash_key: bytes = attrs.field(init=False, default=b"", repr=False)
    damage: Damage = attrs.field(init=False, factory=Damage, repr=False)
    errors: Any = attrs.field(init=False, default=(psycopg.Error, PoolTimeoutError), repr=False)
    _lender: Lender = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Make an empty pool, and be known to forks."""
        self.flavour = PostgresFlavour(self.schema)
        self.make_pool()
        _open.add(self)

    def make_pool(self) -> None:
        """Start with no connection; also in a forked child, which must not touch the parent's."""
        pool = QueuePool(
            cast("Any", self._connect),
            pool_size=self.pool_size,
            max_overflow=0,
            recycle=round(self.max_lifetime),
            reset_on_return=None,
            use_lifo=True,  # what was used last is warm, on both sides
        )
        event.listen(pool, "checkout", _wake)
        freshness = _RESTED if self.max_lifetime > _RESTED else 0.0
        self._lender = Lender(pool, self.pool_size, self.pool_timeout, freshness)

    def engine(self) -> Engine:
        """Return an engine whose transactions hold the migration lock and find our schema made."""
        engine = create_engine("postgresql+psycopg://", creator=self._connect_plainly, hide_parameters=True)
        event.listen(engine, "begin", self._lock_for_migration)
        return engine

    @contextmanager
    def reading(self) -> Generator[psycopg.Connection[Any]]:
        """Lend a connection; each statement is a transaction of its own.

        Raises:
            StoreClosedError: the database was closed meanwhile.
        """
        if self not in _open:
            raise StoreClosedError("the connections to the PostgreSQL database were closed meanwhile: open a new store")
        lent = self._lender.take()
        connection: psycopg.Connection[Any] = lent.driver_connection  # type: ignore[assignment]
        try:
            yield connection
        except BaseException:
            if connection.closed or connection.info.transaction_status:
                lent.invalidate()
            raise
        finally:
            self._lender.give_back(lent)
            if self not in _open:
                self._lender.close()

    @contextmanager
    def writing(self) -> Generator[psycopg.Connection[Any]]:
        """Lend a connection inside a transaction."""
        with self.reading() as connection, connection.transaction():
            yield connection

    def translate(self, error: Exception) -> Exception:
        """Return our error for one of psycopg's, by its SQLSTATE."""
        state = getattr(error, "sqlstate", None) or ""
        name = f"{type(error).__name__} {state}".strip()
        if state.startswith("23"):
            return ConstraintError(name)
        if state.startswith("40"):
            return TransactionLostError(name)
        if state.startswith(("22", "42")) or isinstance(error, (psycopg.DataError, psycopg.ProgrammingError)):
            return _refusal(state, name)
        if not state and _LOGIN_REFUSED.search(str(error)):
            # Once the store is open its callers must be able to go on, as in any other outage.
            kind = StorageUnavailableError if self.hash_key else ConfigurationError
            return kind(f"the PostgreSQL server refused the login ({name}): check user and password")
        if not state and _NO_DATABASE.search(str(error)):
            return StorageUnavailableError(
                f"the PostgreSQL server has no such database ({name}): make it, or correct its name"
            )
        advice = "try again" if self.hash_key else "start it, or correct host and port"
        return StorageUnavailableError(f"the PostgreSQL database{self._place()} did not answer ({name}): {advice}")

    def _place(self) -> str:
        host, port = self.arguments.get("host"), self.arguments.get("port", 5432)
        return f" at {host}:{port}" if host else ""

    def before_migration(self, version: str | None) -> None:
        """Nothing: the upgrade is one transaction, and backups of a server are its operator's."""

    def ready(self) -> None:
        """See what the server can do; where it is to keep namespaces apart, refuse a role that policies do not bind."""
        with self.reading() as connection:
            judges = connection.info.server_version >= _JUDGES
        self.flavour = PostgresFlavour(self.flavour.schema, self.flavour.prefix, judges)
        if self.row_level_security:
            with self.reading() as connection:
                check_role(connection)
                missing = not has_policies(connection, self.flavour.tables)
            if missing:
                enforce_policies(self.engine(), self.flavour.tables)

    def describe(self) -> dict[str, Any]:
        """Return the server's version and our place in it."""
        with self.reading() as connection:
            version = connection.execute("SHOW server_version").fetchall()[0][0]
        return {"server_version": version, "schema": self.schema, "connections": self._lender.lent}

    def remember(self, tombstones: Sequence[Tombstone]) -> None:
        """Nothing: a server has no place of ours that its backups leave alone; receipts of erases are kept instead."""

    def scrub(self) -> Scrubbed:
        """Write the tables anew and let the log be recycled, where that is wanted and this role may do it."""
        return scrub(self._connect_plainly, self.flavour.tables) if self.rewrite_on_erase else LEFT

    def close(self) -> None:
        """Close every connection."""
        _open.discard(self)
        self._lender.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = PatientConnection.connect(**self.arguments, autocommit=True)
        connection.patience, connection.prepares = self.patience, self.prepares
        teach(connection)
        return connection

    def _connect_plainly(self) -> psycopg.Connection[Any]:
        """Connect for what takes longer than a statement of ours and concerns every namespace: migrating, scrubbing."""
        unbounded = f"-c statement_timeout=0 -c lock_timeout=0 -c {NAMESPACE_SETTING}="
        arguments: dict[str, Any] = {**self.arguments, "options": f"{self.arguments['options']} {unbounded}"}
        return psycopg.connect(**arguments)

    def _lock_for_migration(self, connection: Connection) -> None:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        if not inspect(connection).has_schema(self.schema):  # a role may own its schema and still make none
            connection.execute(CreateSchema(self.schema))


def _refusal(state: str, name: str) -> Exception:
    if state == _NO_JSON:
        return StorageDamagedError(f"a record in the PostgreSQL database cannot be read ({name}): verify its records")
    return StorageRefusedError(f"the PostgreSQL database refuses what is asked ({name}): see its log")


def _wake(connection: psycopg.Connection[Any], record: Any, _: Any) -> None:
    """Ask a connection that has rested whether it is alive; the pool replaces one that is not."""
    if time.monotonic() - record.info.get("rested", float("inf")) > _RESTED:
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            raise DisconnectionError from None


def _after_fork() -> None:
    for database in list(_open):
        database.make_pool()


os.register_at_fork(after_in_child=_after_fork)
