"""What SQLite says in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import Dialect, Select, Table, bindparam, func, select
from sqlalchemy.dialects import sqlite

from whisper_persistence.codec import encode
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Transaction

_DIALECT: Final = sqlite.dialect()


@attrs.frozen
class SqliteFlavour(Flavour):
    """SQLite's SQL."""

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect."""
        return _DIALECT

    def insert(self, table: Table) -> Any:
        """Return SQLite's INSERT."""
        return sqlite.insert(table)

    def listed(self, name: str) -> Select[Any]:
        """Return a query for the texts of a bound list, which goes as JSON."""
        return select(func.json_each(bindparam(name)).table_valued("value").c.value)

    def pack(self, texts: Sequence[str]) -> str:
        """Return a list of texts as JSON."""
        return encode(texts)

    def run_many(self, connection: Any, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement for every row."""
        connection.executemany(statement.sql, rows)

    def count(self, transaction: Transaction, rows: Sequence[tuple[str, int, int, int]]) -> list[Any]:
        """Raise revision, epoch and sequence, one statement a thing: there is no way to save here."""
        counted: list[Any] = []
        for thing, revision, epoch, sequence in rows:
            values = {"thing": thing, "revision": revision, "epoch": epoch, "sequence": sequence, "cleared": 0}
            counted += transaction.rows(_count(self), **values)
        return counted


@cache
def _count(flavour: SqliteFlavour) -> Prepared:
    revisions, followers = flavour.tables.revisions, flavour.tables.followers.c
    columns, insert = revisions.c, sqlite.insert(revisions)
    raised = {name: columns[name] + insert.excluded[name] for name in ("revision", "epoch", "sequence")}
    followed = select(func.count()).where(followers.namespace == bindparam("namespace")).scalar_subquery()
    return flavour.prepare(
        insert.on_conflict_do_update(index_elements=["thing"], set_=raised).returning(
            columns.thing, columns.revision, columns.epoch, columns.sequence, columns.cleared, followed
        )
    )
