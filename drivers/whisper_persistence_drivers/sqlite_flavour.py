"""What SQLite says in its own way."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    LargeBinary,
    Table,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from whisper_persistence.codec import encode
from whisper_persistence_drivers.sql.flavour import STANDING, Build, Flavour, Prepared, erasures
from whisper_persistence_drivers.sql.session import Session
from whisper_persistence_drivers.sql.transaction import Transaction

_DIALECT: Final = sqlite.dialect()
#: What stands for a text that is no UTF-8: neither JSON nor a legal id.
_UNREADABLE: Final = "\0"
#: The columns of a counted row, in order.
_RAISED: Final = ("thing", "revision", "epoch", "sequence")


@attrs.frozen(cache_hash=True)
class SqliteFlavour(Flavour):
    """SQLite's SQL."""

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect."""
        return _DIALECT

    def insert(self, table: Table) -> Any:
        """Return SQLite's INSERT."""
        return sqlite.insert(table)

    def among(self, column: ColumnElement[str], name: str = "listed") -> ColumnElement[bool]:
        """Return the condition that a column is among the texts of a list, which goes as JSON."""
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))

    def clock(self) -> ColumnElement[int]:
        """Return the present moment, to a millisecond."""
        return literal_column("CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000", BigInteger())

    def moment(self, record: ColumnElement[str], field: str) -> ColumnElement[str]:
        """Return a moment of a record, which is JSON."""
        return func.rtrim(self.member(record, field), literal_column("'Z'"))

    def pack(self, texts: Sequence[str]) -> str:
        """Return a list of texts as JSON."""
        return encode(texts)

    def member(self, record: ColumnElement[str], name: str) -> ColumnElement[str]:
        """Return the text of one member of a JSON object."""
        return case((func.json_valid(record), func.json_extract(record, literal_column(f"'$.{name}'"))))

    def checked(self, columns: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """Return the record as the bytes that it is, which need not be made text to be checked and decoded."""
        return cast(columns.record, LargeBinary()), columns.checksum

    def above(self, column: ColumnElement[int], *bounds: ColumnElement[int]) -> ColumnElement[bool]:
        """Return the condition with one bound: SQLite seeks to the first of several and walks on from there."""
        return column > func.max(*bounds)

    def each(self, build: Build, **types: TypeEngine[Any]) -> Prepared:
        """Return a statement that is simply run again for each set of values: there is no way to save here."""
        return self.prepare(build({name: bindparam(name, type_=kind) for name, kind in types.items()}))

    def fetch_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> list[list[Any]]:
        """Return the rows for every set of values."""
        with self.one_state(session) if len(sets) > 1 else nullcontext():
            return [session.rows(statement, **values) for values in sets]

    @contextmanager
    def one_state(self, session: Session) -> Generator[None]:
        """Let a block of several statements see one state of the file, unless a transaction does so already."""
        if session.connection.in_transaction:
            yield
            return
        session.connection.execute("BEGIN")
        try:
            yield
        finally:
            session.connection.execute("COMMIT")

    def fetch(self, session: Session, statement: Prepared, values: dict[str, Any]) -> list[Any]:
        """Return the rows, with something unreadable in the place of texts that are no UTF-8, as flipped bytes are."""
        try:
            return super().fetch(session, statement, values)
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error) or not statement.sql.startswith("SELECT"):
                raise
        kept, session.connection.text_factory = session.connection.text_factory, _readable
        try:
            return super().fetch(session, statement, values)
        finally:
            session.connection.text_factory = kept

    def run_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> int:
        """Run a statement for every set of values, and return how many rows it touched."""
        rows = [statement.bind({**values, "namespace": session.namespace}) for values in sets]
        touched: int = session.connection.executemany(statement.sql, rows).rowcount
        return touched

    def run_rows(self, session: Session, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""
        session.connection.executemany(statement.sql, rows)

    def count(self, transaction: Transaction, rows: Sequence[tuple[str, int, int, int]]) -> list[Any]:
        """Raise revision, epoch and sequence of every thing; many go as JSON, and one alone is spared the reading."""
        space = transaction.space_key()
        if len(rows) == 1:
            return transaction.rows(_count_one(self), space=space, **dict(zip(_RAISED, rows[0], strict=True)))
        return transaction.rows(_count(self), space=space, things=encode(rows))


def _readable(stored: bytes) -> str:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return _UNREADABLE


@cache
def _count(flavour: SqliteFlavour) -> Prepared:
    given = func.json_each(bindparam("things")).table_valued("value").c.value
    parts = (func.json_extract(given, literal_column(f"'$[{place}]'")) for place in range(len(_RAISED)))
    # Without a WHERE, SQLite takes the ON of ON CONFLICT for that of a join.
    rows = select(*parts, literal_column("0")).where(literal_column("true"))
    insert = sqlite.insert(flavour.tables.revisions)
    return _counting(flavour, insert.from_select([*_RAISED, "cleared"], rows))


@cache
def _count_one(flavour: SqliteFlavour) -> Prepared:
    given: dict[str, Any] = {name: bindparam(name) for name in _RAISED}
    return _counting(flavour, sqlite.insert(flavour.tables.revisions).values(**given, cleared=literal_column("0")))


def _counting(flavour: SqliteFlavour, insert: Any) -> Prepared:
    columns, followers = flavour.tables.revisions.c, flavour.tables.followers.c
    raised = {name: columns[name] + insert.excluded[name] for name in ("revision", "epoch", "sequence")}
    pairs = func.json_group_array(func.json_array(followers.name, followers.kind))
    found = func.nullif(pairs, literal_column("'[]'"))
    followed = select(found).where(followers.namespace == bindparam("namespace")).scalar_subquery()
    return flavour.prepare(
        insert.on_conflict_do_update(index_elements=["thing"], set_=raised).returning(
            *(columns[name] for name in STANDING), followed, erasures(flavour.tables.revisions)
        )
    )
