"""How every table of one installation is made: under its schema, with its prefix, and its user's row as parent."""

from __future__ import annotations

from typing import Any

import attrs
from sqlalchemy import Column, ForeignKeyConstraint, Index, MetaData, Table


@attrs.frozen(eq=False)
class TableMaker:
    """Makes the tables of one installation.

    Attributes:
        metadata: what they are gathered in.
        prefix: what their names, and those of their indexes, begin with.
    """

    metadata: MetaData
    prefix: str

    def table(self, name: str, *parts: Any, clustered: bool = False) -> Table:
        """Make a table.

        Args:
            name: its name, without the prefix.
            parts: its columns and constraints.
            clustered: whether SQLite keeps its rows in the order of the key, without a number of their own.
        """
        return Table(self.prefix + name, self.metadata, *parts, sqlite_with_rowid=not clustered)

    def index(self, name: str, *columns: Any, **options: Any) -> None:
        """Make an index of the table whose columns these are."""
        Index(self.prefix + name, *columns, **options)


def owned(profiles: Table) -> ForeignKeyConstraint:
    """Return what hangs a row on its user's, so that it goes with it."""
    parent: list[Column[Any]] = [profiles.c.namespace, profiles.c.user_id]
    return ForeignKeyConstraint(["namespace", "user_id"], parent, ondelete="CASCADE")
