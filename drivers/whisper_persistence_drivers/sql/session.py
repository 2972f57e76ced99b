"""One connection that reads, for one namespace; and what all of it is read and written in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, cast

import attrs
from sqlalchemy import ColumnElement, bindparam

from whisper_persistence import records as rec
from whisper_persistence.codec import encode
from whisper_persistence_drivers.sql.damage import Damage
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared

#: A sequence larger than any.
NEWEST: Final = (1 << 63) - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Return a moment as whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the moment that `to_micros` turned into a number."""
    return _EPOCH + micros * _MICROSECOND


def to_text(moment: datetime) -> str:
    """Return a moment as records hold it, less the sign of its zone: the order of such texts is that of time."""
    return encode(moment)[1:-2]


def set_sequence(record: rec.Message | rec.Outcome | rec.MemoryScore, sequence: int) -> None:
    """Number a record that was just read and that nobody else has seen; a copy would cost more than the reading."""
    object.__setattr__(record, "sequence", sequence)


def mine(columns: Any) -> ColumnElement[bool]:
    """Return the condition that a row belongs to the session's namespace."""
    return cast("ColumnElement[bool]", columns.namespace == bindparam("namespace"))


@attrs.define
class Session:
    """A connection, in no transaction of ours unless it is a `Transaction`'s.

    Attributes:
        connection: the database library's connection.
        flavour: the kind of database, and where in it our tables are.
        namespace: the namespace that all is read and written in.
        hash_key: the installation's key for hashes of ids.
        damage: what could not be read of the database.
    """

    connection: Any
    flavour: Flavour
    namespace: str
    hash_key: bytes
    damage: Damage

    def rows(self, statement: Prepared, **values: Any) -> list[Any]:
        """Run a statement and return its rows."""
        values["namespace"] = self.namespace
        return self.flavour.fetch(self, statement, values)

    def listed(self, statement: Prepared, texts: Iterable[str], **values: Any) -> list[Any]:
        """Run a statement over the distinct texts of a list, bound as ``listed``, and return its rows."""
        return self.rows(statement, listed=self.flavour.pack(sorted(set(texts))), **values)

    def each(self, statement: Prepared, sets: Sequence[dict[str, Any]]) -> list[list[Any]]:
        """Run a SELECT of `Flavour.each` for every set of values, and return the rows of each."""
        return self.flavour.fetch_each(self, statement, sets) if sets else []

    def space_key(self) -> str:
        """Return the key of the revision whose epoch counts the erases of the whole namespace."""
        return _space_key(self.namespace, self.hash_key)

    def thing_key(self, kind: str, thing_id: str) -> str:
        """Return the keyed hash under which a user's or conversation's revision is kept."""
        return _thing_key(kind, self.namespace, thing_id, self.hash_key)

    def keyed(self, kind: str, thing_ids: Iterable[str]) -> dict[str, str]:
        """Return users or conversations by the keyed hashes under which their revisions are kept."""
        return {self.thing_key(kind, thing_id): thing_id for thing_id in thing_ids}


def _thing_key(kind: str, namespace: str, thing_id: str, hash_key: bytes) -> str:
    named = f"{kind}\0{namespace}\0{thing_id}".encode()
    return blake2b(named, key=hash_key, digest_size=16).hexdigest()


@lru_cache(64)
def _space_key(namespace: str, hash_key: bytes) -> str:
    """Every write asks for this one."""
    return _thing_key("namespace", namespace, "", hash_key)
