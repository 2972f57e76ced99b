"""Making the next snapshot: what is there already, less what changed, plus what it is now, in a new file.

Each snapshot is written whole, so it holds no byte of what was removed; a refresh, an erase and a repair are the same.
Pending work is cleared only when the snapshot that has it is on disk: a refresh that is killed is simply done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import duckdb

from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Pending
from whisper_persistence_drivers.replica.columns import FORMAT, TABLES, Table, arrow, concatenated
from whisper_persistence_drivers.replica.engine import Limits, attach, building, is_ours
from whisper_persistence_drivers.replica.folder import Folder, remove
from whisper_persistence_drivers.replica.pulling import PAGE, Changes, Known, batches, pull

#: How much pending work goes into one snapshot, at most.
PORTION: Final = 100_000
#: How much of it is cleared in one transaction, during which nobody else writes.
CLEARED: Final = 500


@attrs.frozen
class Builder:
    """Makes snapshots.

    Attributes:
        folder: where they are.
        limits: what DuckDB may use.
        below: the database that is followed.
        namespace: whose records they are.
        follower: the name under which the database keeps what is pending.
        pause: called between steps; it may wait, or raise to give up until later.
    """

    folder: Folder
    limits: Limits
    below: Below
    namespace: str
    follower: str
    pause: Callable[[], None]

    def catch_up(self, base: Path, forgotten: Sequence[str] = ()) -> Path:
        """Return the snapshot that has all that was pending, made from ``base``.

        Args:
            base: a snapshot, or the file of a finished load.
            forgotten: users of whom nothing may stay; with any, a new file is made in any case.

        Raises:
            duckdb.Error: ``base`` cannot be read.
        """
        fresh = base != self.folder.loading and not forgotten
        while True:
            pending = self.below.load_pending(follower=self.follower, limit=PORTION) or ()
            if not pending and fresh:
                return base
            base = self._build(base, pending, forgotten)
            fresh = True
            for done in batches(pending, CLEARED):
                self.below.clear_pending(pending=done)
                self.pause()
            if len(pending) < PORTION:
                return base

    def _build(self, base: Path, pending: Sequence[Pending], forgotten: Sequence[str]) -> Path:
        remove(self.folder.building)
        with building(self.limits.alone(), [self.folder.path]) as connection:
            attach(connection, base, "base", read_only=True)
            if not is_ours(connection, "base", self.namespace):
                raise duckdb.DataError("of another format or namespace")
            changes = pull(self.below, pending, lambda name, keys: _known(connection, TABLES[name], keys), self.pause)
            self.pause()
            attach(connection, self.folder.building, "next")
            self._write(connection, changes, forgotten)
            connection.execute("DETACH next")
        snapshot = self.folder.publish()
        remove(self.folder.loading)
        return snapshot

    def _write(self, connection: duckdb.DuckDBPyConnection, changes: Changes, forgotten: Sequence[str]) -> None:
        connection.execute("CREATE TABLE next.about (format VARCHAR, namespace VARCHAR)")
        connection.execute("INSERT INTO next.about VALUES (?, ?)", [FORMAT, self.namespace])
        first = changes.first_shown
        connection.register("forgotten", arrow({"user_id": forgotten}))
        connection.register("shown", arrow({"conversation_id": list(first)}, first=list(first.values())))
        for table in TABLES.values():
            connection.register("incoming", self._arrow(table, changes.rows.pop(table.name, [])))
            connection.register("touched", table.keys(changes.keys.get(table.name, ())))
            connection.execute(_copy(table))
            self.pause()

    def _arrow(self, table: Table, rows: Sequence[Any]) -> Any:
        made = [table.batch(())]
        for page in batches(rows, PAGE):
            made.append(table.batch(page))
            self.pause()
        return concatenated(made)


def _copy(table: Table) -> str:
    """Return the statement that makes one table of the next snapshot."""
    kept = f"FROM base.{table.name} ANTI JOIN touched USING ({table.owner}, {table.item})"
    whole = f"({kept} UNION ALL FROM incoming) ANTI JOIN forgotten USING (user_id)"
    if table.name == "messages":
        whole += " LEFT JOIN shown USING (conversation_id) WHERE sequence >= coalesce(first, 0)"
    return f"CREATE TABLE next.{table.name} AS SELECT {', '.join(table.columns)} FROM {whole}"


def _known(connection: duckdb.DuckDBPyConnection, table: Table, keys: Sequence[tuple[str, str]]) -> Known:
    """Return the sequences of keys that the base holds, and the largest of each owner among them."""
    connection.register("wanted", table.keys(keys))
    held = f"FROM base.{table.name} SEMI JOIN wanted USING ({table.owner}"
    items = connection.execute(f"SELECT {table.owner}, {table.item}, sequence {held}, {table.item})").fetchall()
    newest: dict[str, Any] = dict(
        connection.execute(f"SELECT {table.owner}, max(sequence) {held}) GROUP BY ALL").fetchall()
    )
    connection.unregister("wanted")
    return {(owner, item): sequence for owner, item, sequence in items}, newest
