"""What the databases say differently, behind one face; and statements compiled once, bound per call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import ClauseElement, Dialect, Select, Table

from whisper_persistence_drivers.sql.tables import Tables, tables

if TYPE_CHECKING:
    from whisper_persistence_drivers.sql.session import Transaction


@attrs.frozen(eq=False)
class Prepared:
    """A statement as the database's library takes it.

    Attributes:
        sql: its text.
        names: the names of its parameters, in the order of the text where parameters go by position.
        positional: whether parameters go by position.
        constants: the parameters whose values are always the same.
    """

    sql: str
    names: tuple[str, ...]
    positional: bool
    constants: dict[str, Any]
    _pick: Any

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
    def listed(self, name: str) -> Select[Any]:
        """Return a query for the texts of a bound list."""

    @abstractmethod
    def pack(self, texts: Sequence[str]) -> Any:
        """Return a list of texts as `listed` takes it."""

    @abstractmethod
    def run_many(self, connection: Any, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement for every row, whose values stand in the order of the statement's names."""

    @abstractmethod
    def count(self, transaction: Transaction, rows: Sequence[tuple[str, int, int, int]]) -> list[Any]:
        """Raise revision, epoch and sequence of things, and return them.

        Args:
            transaction: where to do it.
            rows: key, and by how much to raise the three, in the order of the keys.

        Returns:
            Rows of key, revision, epoch, sequence, clear mark and whether there are followers.
        """

    def prepare(self, statement: ClauseElement) -> Prepared:
        """Compile a statement."""
        compiled = statement.compile(dialect=self.dialect)
        parameters: dict[str, Any] = dict(compiled.params or {})
        positional = bool(getattr(compiled, "positional", False))
        names: tuple[str, ...] = tuple(getattr(compiled, "positiontup", None) or parameters)
        constants = {name: value for name, value in parameters.items() if value is not None}
        return Prepared(str(compiled), names, positional, constants, _picker(names))

    def put(self, table: Table) -> Prepared:
        """Return a statement that inserts rows, or replaces those with the same key; its names are the columns."""
        insert = self.insert(table)
        keys = [column.name for column in table.primary_key]
        rest = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
        return self.prepare(insert.on_conflict_do_update(index_elements=keys, set_=rest))

    def add(self, table: Table) -> Prepared:
        """Return a statement that inserts rows which must be new; its names are the columns."""
        return self.prepare(self.insert(table))

    def add_missing(self, table: Table) -> Prepared:
        """Return a statement that inserts rows, leaving those with the same key as they are."""
        return self.prepare(self.insert(table).on_conflict_do_nothing())


def _picker(names: tuple[str, ...]) -> Any:
    def pick_few(values: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(values[name] for name in names)

    return itemgetter(*names) if len(names) > 1 else pick_few
