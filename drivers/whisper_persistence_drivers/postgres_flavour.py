"""What PostgreSQL says in its own way: a batch goes as arrays, in one statement and one round trip."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

import attrs
import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    FromClause,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    case,
    cast,
    collate,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import TypeEngine

from whisper_persistence_drivers.postgres_arrays import Numbers, Texts, to_array
from whisper_persistence_drivers.postgres_connection import Answer
from whisper_persistence_drivers.sql.flavour import STANDING, Build, Flavour, Prepared, erasures
from whisper_persistence_drivers.sql.session import Session
from whisper_persistence_drivers.sql.transaction import Transaction

_DIALECT: Final = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_RAISED: Final = ("revision", "epoch", "sequence")


@attrs.frozen(cache_hash=True)
class PostgresFlavour(Flavour):
    """PostgreSQL's SQL.

    Attributes:
        judges: whether the server can say that a text is no JSON, as it can from version 16 on; before, a query that
            looks into a damaged record fails.
    """

    judges: bool = False

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect."""
        return _DIALECT

    def insert(self, table: Table) -> Any:
        """Return an INSERT of rows that come as one array for each column."""
        given = given_rows({column.name: column.type for column in table.columns})
        return postgresql.insert(table).from_select([c.name for c in table.columns], select(*given.c))

    def among(self, column: ColumnElement[str], name: str = "listed") -> ColumnElement[bool]:
        """Return the condition that a column is among the texts of a list, which goes as an array."""
        return column == any_(bindparam(name, type_=ARRAY(Text())))

    def clock(self) -> ColumnElement[int]:
        """Return the present moment, and not that at which the transaction began."""
        return literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)", BigInteger())

    def moment(self, record: ColumnElement[str], field: str) -> ColumnElement[str]:
        """Return a moment of a record, which is JSON, to be compared by code point."""
        read = func.json_extract_path_text(self._json(record), literal_column(f"'{field}'"))
        return func.rtrim(read, literal_column("'Z'"), type_=Text()).collate("C")

    def _json(self, record: ColumnElement[str]) -> ColumnElement[Any]:
        read = cast(record, postgresql.JSON)
        return case((func.pg_input_is_valid(record, literal_column("'json'")), read)) if self.judges else read

    def pack(self, texts: Sequence[str]) -> list[str]:
        """Return a list of texts as a list."""
        return Texts(texts)

    def member(self, record: ColumnElement[str], name: str) -> ColumnElement[str]:
        """Return the text of one member of a JSON object, which compares by code point."""
        found = self._json(record).op("->>", return_type=Text())(literal_column(f"'{name}'"))
        return collate(found, "C")

    def middles(self, ordered: Select[Any], count: ColumnElement[int]) -> ColumnElement[Any] | None:
        """Return the one or two middle values of an ordered query, as an array: a walk over half of them."""
        one, two = literal_column("1", BigInteger()), literal_column("2", BigInteger())
        found = ordered.limit(two - count % two).offset((count - one) // two).subquery("middles")
        return select(func.array_agg(*found.c)).scalar_subquery()

    def each(self, build: Build, **types: TypeEngine[Any]) -> Prepared:
        """Return a statement that joins the sets of values, which come as one array for each name."""
        given = given_rows(types, place=True)
        built = build(dict(given.c.items()))
        if not isinstance(built, Select):
            return self.prepare(built)
        found = built.lateral("found")
        joined = select(given.c.place, *found.c).select_from(given.join(found, true()))
        alone = self.prepare(build({name: bindparam(name, type_=kind) for name, kind in types.items()}))
        return attrs.evolve(self.prepare(joined), single=alone)

    def fetch_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> list[list[Any]]:
        """Return the rows for every set of values.

        The only plan for a lateral join is a loop over the sets, so that each set's rows keep their order.
        """
        if len(sets) == 1 and statement.single:
            return [session.rows(statement.single, **sets[0])]
        pages: list[list[Any]] = [[] for _ in sets]
        for place, *row in session.rows(statement, **_columns(statement, sets)):
            pages[place - 1].append(row)
        return pages

    def execute(self, session: Session, statement: Prepared, values: dict[str, Any]) -> Answer:
        """Run a statement past psycopg's cursors."""
        answer: Answer = session.connection.run(statement.sql, statement.bind(values))
        return answer

    @contextmanager
    def one_state(self, session: Session) -> Generator[None]:
        """Put a block of several statements into one transaction, which sees what was there when it began."""
        connection = session.connection
        if connection.info.transaction_status:
            yield
            return
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", prepare=False)
        try:
            yield
        except BaseException:
            _roll_back(connection)
            raise
        connection.execute("COMMIT", prepare=False)

    def settle_writers(self, transaction: Transaction) -> None:
        """Lock the followers against everybody who looks at them, which every writer does until its end."""
        followers = self.dialect.identifier_preparer.format_table(self.tables.followers)
        transaction.connection.execute(f"LOCK TABLE {followers} IN ACCESS EXCLUSIVE MODE", prepare=False)

    def run_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> int:
        """Run a statement for every set of values, and return how many rows it touched."""
        return self.execute(session, statement, {**_columns(statement, sets), "namespace": session.namespace}).rowcount

    def run_rows(self, session: Session, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""
        arrays = (to_array(list(values)) for values in zip(*rows, strict=True))
        self.execute(session, statement, dict(zip(statement.names, arrays, strict=True)))

    def count(self, transaction: Transaction, rows: Sequence[tuple[str, int, int, int]]) -> list[Any]:
        """Raise revision, epoch and sequence of every thing, taking their locks in the order of their keys."""
        things, *raised = zip(*rows, strict=True) if rows else ((), (), (), ())
        values = {name: Numbers(numbers) for name, numbers in zip(_RAISED, raised, strict=True)}
        return transaction.rows(_count(self), thing=Texts(things), space=transaction.space_key(), **values)


def _roll_back(connection: psycopg.Connection[Any]) -> None:
    """End a transaction that an error left, so that its connection can be lent again; one still at work is given up."""
    if connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK", prepare=False)


def given_rows(types: Mapping[str, TypeEngine[Any]], *, name: str = "given", place: bool = False) -> FromClause:
    """Return a table whose columns are bound arrays, with each row's place, from 1, where it is wanted."""
    arrays = [bindparam(column_name, type_=ARRAY(kind)) for column_name, kind in types.items()]
    columns: list[Column[Any]] = [column(column_name, kind) for column_name, kind in types.items()]  # type: ignore[misc]
    table = func.unnest(*arrays).table_valued(*columns, with_ordinality="place" if place else None)
    return table.render_derived(name=name)


def _columns(statement: Prepared, sets: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    names = [name for name in statement.names if name != "namespace" and name not in statement.constants]
    return {name: to_array([values[name] for values in sets]) for name in names}


@cache
def _count(flavour: PostgresFlavour) -> Prepared:
    revisions, followers = flavour.tables.revisions, flavour.tables.followers.c
    columns = revisions.c
    given = given_rows({"thing": columns.thing.type, **dict.fromkeys(_RAISED, BigInteger())})
    rows = select(*given.c, literal_column("0")).order_by(given.c.thing)
    insert = postgresql.insert(revisions).from_select(["thing", *_RAISED, "cleared"], rows)
    pairs = cast(func.json_agg(func.json_build_array(followers.name, followers.kind)), Text())
    followed = select(pairs).where(followers.namespace == bindparam("namespace")).scalar_subquery()
    return flavour.prepare(
        insert.on_conflict_do_update(
            index_elements=["thing"], set_={name: columns[name] + insert.excluded[name] for name in _RAISED}
        ).returning(*(columns[name] for name in STANDING), followed, erasures(revisions))
    )
