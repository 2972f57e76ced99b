"""What the databases say differently, behind one face; and statements compiled once, bound per call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Dialect,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.types import TypeEngine

from whisper_persistence_drivers.sql.tables import Tables, tables

if TYPE_CHECKING:
    from whisper_persistence_drivers.sql.session import Session
    from whisper_persistence_drivers.sql.transaction import Transaction

#: The columns of a thing's row that `Flavour.count` answers first.
STANDING: Final = ("thing", "revision", "epoch", "sequence", "cleared")
#: Makes a statement from the expressions of its values, by name.
Build = Callable[[Mapping[str, Any]], Any]


@attrs.frozen(eq=False)
class Prepared:
    """A statement as the database's library takes it.

    Attributes:
        sql: its text.
        names: the names of its parameters, in the order of the text where parameters go by position.
        positional: whether parameters go by position.
        constants: the parameters whose values are always the same.
        single: the same statement for one set of values, where that is another one.
    """

    sql: str
    names: tuple[str, ...]
    positional: bool
    constants: dict[str, Any]
    _pick: Any
    single: Prepared | None = None

    def bind(self, values: dict[str, Any]) -> Any:
        """Return these values as the library takes them."""
        if self.constants:
            values.update(self.constants)
        return self._pick(values) if self.positional else values


@attrs.frozen
class Flavour(ABC):
    """One kind of database, and where in it our tables are.

    Attributes:
        schema: the schema they live in, or ``None`` for the database's own.
        prefix: what their names begin with.
    """

    schema: str | None = None
    prefix: str = ""

    @property
    def tables(self) -> Tables:
        """The tables of this installation."""
        return tables(self.schema, self.prefix)

    @property
    @abstractmethod
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect."""

    @abstractmethod
    def insert(self, table: Table) -> Any:
        """Return the dialect's INSERT, which knows ON CONFLICT."""

    @abstractmethod
    def among(self, column: ColumnElement[str], name: str = "listed") -> ColumnElement[bool]:
        """Return the condition that a column is among the texts of a list, bound under a name."""

    @abstractmethod
    def pack(self, texts: Sequence[str]) -> Any:
        """Return a list of texts as `among` takes it."""

    @abstractmethod
    def member(self, record: ColumnElement[str], name: str) -> ColumnElement[str]:
        """Return the text of one member of the JSON object in a column, null where it cannot be read.

        Args:
            record: the column.
            name: one of our fields' names.
        """

    def checked(self, columns: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """Return the record and checksum of a table as `whisper_persistence_drivers.sql.checksums` reads them."""
        return columns.record, columns.checksum

    def execute(self, session: Session, statement: Prepared, values: dict[str, Any]) -> Any:
        """Run a statement with these values by name; the answer has `fetchall` and ``rowcount``."""
        return session.connection.execute(statement.sql, statement.bind(values))

    def fetch(self, session: Session, statement: Prepared, values: dict[str, Any]) -> list[Any]:
        """Run a statement with these values by name, and return its rows."""
        rows: list[Any] = self.execute(session, statement, values).fetchall()
        return rows

    @abstractmethod
    def each(self, build: Build, **types: TypeEngine[Any]) -> Prepared:
        """Return a statement that runs for each of many sets of values.

        Args:
            build: makes a SELECT, UPDATE or DELETE from the expressions of the values, by name.
            types: the names of the values and their types.
        """

    @abstractmethod
    def fetch_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> list[list[Any]]:
        """Return the rows of a SELECT of `each` for every set of values, in their order."""

    @abstractmethod
    def clock(self) -> ColumnElement[int]:
        """Return the present moment by the database's own clock, in microseconds since 1970."""

    @abstractmethod
    def moment(self, record: ColumnElement[str], field: str) -> ColumnElement[str]:
        """Return a record's moment as `whisper_persistence_drivers.sql.session.to_text` does; null like `member`."""

    def known(self, moment: ColumnElement[str]) -> ColumnElement[str]:
        """Return a moment of a record to put in order; one that cannot be read is before all others."""
        return func.coalesce(moment, literal_column("''"))

    def middles(self, ordered: Select[Any], count: ColumnElement[int]) -> ColumnElement[Any] | None:
        """Return the one or two middle values of an ordered query as one value, if that can be part of a statement.

        Args:
            ordered: selects one column.
            count: how many values there are; of the statement that this becomes part of.
        """
        del ordered, count
        return None

    def above(self, column: ColumnElement[int], *bounds: ColumnElement[int]) -> ColumnElement[bool]:
        """Return the condition that a column is above every bound, for a database that seeks to the largest."""
        return and_(*(column > bound for bound in bounds))

    def one_state(self, session: Session) -> AbstractContextManager[None]:
        """Let a block of several statements see one state of the database, where a session does not do so anyhow."""
        del session
        return nullcontext()

    def settle_writers(self, transaction: Transaction) -> None:
        """Wait for writers that may not see what this transaction adds to the followers, where there can be any."""
        del transaction

    @abstractmethod
    def run_each(self, session: Session, statement: Prepared, sets: Sequence[dict[str, Any]]) -> int:
        """Run an UPDATE or DELETE of `each` for every set of values, and return how many rows it touched."""

    @abstractmethod
    def run_rows(self, session: Session, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, whose values stand in the order of the statement's names."""

    @abstractmethod
    def count(self, transaction: Transaction, rows: Sequence[tuple[str, int, int, int]]) -> list[Any]:
        """Raise revision, epoch and sequence of things, and return them.

        Args:
            transaction: where to do it.
            rows: key, and by how much to raise the three, in the order of the keys.

        Returns:
            Rows of key, revision, epoch, sequence, clear mark, who follows (`standing.Counter.followed`), and how
            many erases the namespace has seen.
        """

    def prepare(self, statement: ClauseElement) -> Prepared:
        """Compile a statement."""
        compiled = statement.compile(dialect=self.dialect)
        parameters: dict[str, Any] = dict(compiled.params or {})
        positional = bool(getattr(compiled, "positional", False))
        names: tuple[str, ...] = tuple(getattr(compiled, "positiontup", None) or parameters)
        constants = {name: value for name, value in parameters.items() if value is not None}
        return Prepared(str(compiled), names, positional, constants, _picker(names))

    def put(self, table: Table, keep: tuple[str, ...] = ()) -> Prepared:
        """Return a statement that inserts rows, or replaces those with the same key; its names are the columns.

        A row that says the same already is left alone: nothing of it has to be written then.

        Args:
            table: where to.
            keep: columns that a row which is there already keeps.
        """
        return self.prepare(replacing(self.insert(table), table, keep))

    def add(self, table: Table) -> Prepared:
        """Return a statement that inserts rows which must be new; its names are the columns."""
        return self.prepare(self.insert(table))

    def add_missing(self, table: Table) -> Prepared:
        """Return a statement that inserts rows, leaving those with the same key as they are."""
        return self.prepare(self.insert(table).on_conflict_do_nothing())


def replacing(insert: Any, table: Table, keep: tuple[str, ...] = ()) -> Any:
    """Return an insert that replaces rows with the same key, unless they say the same; the columns to keep stay."""
    keys = [column.name for column in table.primary_key]
    rest = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in (*keys, *keep)}
    differs = or_(*(table.c[name].is_distinct_from(value) for name, value in rest.items()))
    return insert.on_conflict_do_update(index_elements=keys, set_=rest, where=differs)


def erasures(revisions: Table) -> ColumnElement[int]:
    """Return how many erases the namespace has seen, whose key is bound as ``space``."""
    counting = revisions.alias("spaces").c
    count = select(counting.epoch).where(counting.thing == bindparam("space", type_=Text())).scalar_subquery()
    return func.coalesce(count, literal_column("0"))


def _picker(names: tuple[str, ...]) -> Any:
    def pick_few(values: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(values[name] for name in names)

    return itemgetter(*names) if len(names) > 1 else pick_few
