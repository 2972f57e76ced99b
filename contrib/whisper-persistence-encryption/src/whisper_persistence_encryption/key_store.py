"""Where the wrapped data keys live: a database of their own, apart from what they seal.

Not in the store below: a backup of the data would then hold the keys as well, and destroying a user's key would not
reach the backups, which is what it is for. By default it is a small SQLite file beside the user's data, which several
processes of a machine share; on several machines it is a PostgreSQL database, better not the one that holds the data.

A key is written once for an owner, read at every write, and destroyed when the owner is erased: SQLite overwrites it
(``secure_delete``, and no write-ahead log that would keep it), PostgreSQL is vacuumed. What is left of it in a backup
of this database is still wrapped by the master key: back it up apart, and keep those backups for days, not years.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import attrs
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import Thing
from whisper_persistence_encryption.erasure_lock import ErasureLock

_METADATA: Final = MetaData()
_RINGS: Final = Table(
    "whisper_persistence_keys",
    _METADATA,
    Column("namespace", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("thing_id", Text, primary_key=True),
    Column("master", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
_ERASURES: Final = Table(
    "whisper_persistence_erasures",
    _METADATA,
    Column("namespace", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
)
#: Built once, since every write asks it.
_FIND: Final = select(*_RINGS.c).where(
    _RINGS.c.namespace == bindparam("namespace"),
    _RINGS.c.kind == bindparam("kind"),
    _RINGS.c.thing_id.in_(bindparam("ids", expanding=True)),
)


@attrs.frozen
class Wrapped:
    """The wrapped data keys of one owner.

    Attributes:
        namespace, owner: whose they are.
        master: the id of the master key that wrapped them.
        blob: the wrapped keys.
    """

    namespace: str
    owner: Thing
    master: str
    blob: bytes = attrs.field(repr=False)


@attrs.define(eq=False)
class KeyStore:
    """The tables of wrapped keys, and of erasures that have begun and not ended.

    Attributes:
        engine: the database.
        lock: see `erasure_lock`.
        place: what it is called in reports; never a URL, which may hold a password.
    """

    engine: Engine
    lock: ErasureLock
    place: str

    def prepare(self) -> None:
        """Make the tables where they are missing."""
        with self.lock.alone(), self._connected() as connection:
            _METADATA.create_all(connection)

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()

    def find(self, namespace: str, owners: Sequence[Thing]) -> dict[Thing, Wrapped]:
        """Return the wrapped keys of those owners that have any."""
        ids: dict[str, list[str]] = {}
        for owner in owners:
            ids.setdefault(owner.kind, []).append(owner.thing_id)
        found: list[Wrapped] = []
        for kind, listed in ids.items():
            found += self._rows(_FIND, {"namespace": namespace, "kind": kind, "ids": listed})
        return {wrapped.owner: wrapped for wrapped in found}

    def add(self, rings: Sequence[Wrapped]) -> None:
        """Put the keys of new owners; those that another process put first stay."""
        if rings:
            self._add(_RINGS, [_row(ring) for ring in rings])

    def replace(self, old: Wrapped, new: Wrapped) -> bool:
        """Put other wrapped keys in the place of these, if these are still there."""
        there = and_(_key(old), _RINGS.c.wrapped == old.blob)
        with self._connected() as connection:
            values = {"master": new.master, "wrapped": new.blob}
            return connection.execute(update(_RINGS).where(there).values(values)).rowcount == 1

    def wrapped_by_others(self, master: str, limit: int, after: Wrapped | None = None) -> list[Wrapped]:
        """Return keys that another master key wrapped, in the order of their owners."""
        columns = tuple_(_RINGS.c.namespace, _RINGS.c.kind, _RINGS.c.thing_id)
        others = _RINGS.c.master != master
        if after is not None:
            others = and_(others, columns > (after.namespace, after.owner.kind, after.owner.thing_id))
        return self._read(others, limit)

    def one_of_each_master(self) -> list[Wrapped]:
        """Return one owner's keys for every master key that wrapped any."""
        with self._connected() as connection:
            masters = [row[0] for row in connection.execute(select(_RINGS.c.master).distinct())]
        return [found for master in masters for found in self._read(_RINGS.c.master == master, 1)]

    def count(self) -> int:
        """Return how many owners have keys."""
        with self._connected() as connection:
            return int(connection.execute(select(func.count()).select_from(_RINGS)).scalar_one())

    def destroy(self, namespace: str, user_ids: Sequence[str]) -> int:
        """Destroy the keys of users, once no write uses them, and note that their erasure has begun."""
        if not user_ids:
            return 0
        theirs = and_(_RINGS.c.namespace == namespace, _RINGS.c.kind == "user", _RINGS.c.thing_id.in_(user_ids))
        with self.lock.alone():
            self._add(_ERASURES, [{"namespace": namespace, "user_id": user_id} for user_id in set(user_ids)])
            with self._connected() as connection:
                gone = connection.execute(delete(_RINGS).where(theirs)).rowcount
        self._vacuum(_RINGS)
        return gone

    def erasing(self, namespace: str) -> frozenset[str]:
        """Return the users whose erasure has begun and not ended."""
        with self._connected() as connection:
            rows = connection.execute(select(_ERASURES.c.user_id).where(_ERASURES.c.namespace == namespace))
            return frozenset(row[0] for row in rows)

    def erased(self, namespace: str, user_ids: Sequence[str]) -> None:
        """Forget that an erasure has begun, since it has ended."""
        ended = and_(_ERASURES.c.namespace == namespace, _ERASURES.c.user_id.in_(user_ids))
        with self._connected() as connection:
            connection.execute(delete(_ERASURES).where(ended))
        self._vacuum(_ERASURES)

    def _read(self, wanted: Any, limit: int) -> list[Wrapped]:
        return self._rows(select(*_RINGS.c).where(wanted).order_by(*_RINGS.primary_key.columns).limit(limit))

    def _rows(self, query: Select[Any, Any], values: dict[str, Any] | None = None) -> list[Wrapped]:
        with self._connected() as connection:
            rows = cast("Sequence[Any]", connection.execute(query, values).all())
            return [Wrapped(space, Thing(kind, thing), master, blob) for space, kind, thing, master, blob in rows]

    def _add(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        insert = (sqlite if self.engine.dialect.name == "sqlite" else postgresql).insert
        with self._connected() as connection:
            connection.execute(insert(table).values(list(rows)).on_conflict_do_nothing())

    def _vacuum(self, table: Table) -> None:
        if self.engine.dialect.name == "postgresql":
            with self._connected() as connection:
                connection.execute(text(f"VACUUM {table.name}"))

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        try:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageUnavailableError(
                f"the key store did not answer ({type(error).__name__}): see that it can be reached, then retry"
            ) from None


def _key(ring: Wrapped) -> Any:
    owner = ring.owner
    return and_(_RINGS.c.namespace == ring.namespace, _RINGS.c.kind == owner.kind, _RINGS.c.thing_id == owner.thing_id)


def _row(ring: Wrapped) -> dict[str, Any]:
    return {
        "namespace": ring.namespace,
        "kind": ring.owner.kind,
        "thing_id": ring.owner.thing_id,
        "master": ring.master,
        "wrapped": ring.blob,
    }
