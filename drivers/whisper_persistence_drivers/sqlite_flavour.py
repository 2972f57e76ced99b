"""What SQLite says in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import ColumnElement, Dialect, Table, bindparam, func, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from whisper_persistence.codec import encode
from whisper_persistence_drivers.sql.flavour import STANDING, Build, Flavour, Prepared, erasures
from whisper_persistence_drivers.sql.session import Session
from whisper_persistence_drivers.sql.transaction import Transaction

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

    def among(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Return the condition that a column is among the texts of a list, which goes as JSON."""
        return column.in_(select(func.json_each(bindparam("listed")).table_valued("value").c.value))

    def pack(self, texts: Sequence[str]) -> str:
        """Return a list of texts as JSON."""
        return encode(texts)

    def each(self, build: Build, **types: TypeEngine[Any]) -> Prepared:
        """Return a statement that is simply run again for each set of values: there is no way to save here."""
        return self.prepare(build({name: bindparam(name, type_=kind) for name, kind in types.items()}))

    def fetch_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> list[list[Any]]:
        """Return the rows for every set of values."""
        return [session.rows(statement, **values) for values in sets]

    def run_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> int:
        """Run a statement for every set of values, and return how many rows it touched."""
        rows = [statement.bind({**values, "namespace": session.namespace}) for values in sets]
        touched: int = session.connection.executemany(statement.sql, rows).rowcount
        return touched

    def run_rows(self, session: Session, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""
        session.connection.executemany(statement.sql, rows)

    def count(self, transaction: Transaction, rows: Sequence[tuple[str, int, int, int]]) -> list[Any]:
        """Raise revision, epoch and sequence of every thing, which go as JSON."""
        return transaction.rows(_count(self), things=encode(rows), space=transaction.space_key())


@cache
def _count(flavour: SqliteFlavour) -> Prepared:
    revisions, followers = flavour.tables.revisions, flavour.tables.followers.c
    columns, insert = revisions.c, sqlite.insert(revisions)
    given = func.json_each(bindparam("things")).table_valued("value").c.value
    parts = (func.json_extract(given, literal_column(f"'$[{place}]'")) for place in range(4))
    # Without a WHERE, SQLite takes the ON of ON CONFLICT for that of a join.
    rows = select(*parts, literal_column("0")).where(literal_column("true"))
    insert = insert.from_select([column.name for column in columns], rows)
    raised = {name: columns[name] + insert.excluded[name] for name in ("revision", "epoch", "sequence")}
    followed = select(func.count()).where(followers.namespace == bindparam("namespace")).scalar_subquery()
    return flavour.prepare(
        insert.on_conflict_do_update(index_elements=["thing"], set_=raised).returning(
            *(columns[name] for name in STANDING), followed, erasures(revisions)
        )
    )
