"""The first load: everything there is, scanned page by page into a file that survives an interruption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import duckdb

from whisper_persistence.clearing import first_shown
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import checks
from whisper_persistence_drivers.replica.columns import FORMAT, TABLES, Table
from whisper_persistence_drivers.replica.engine import Limits, attach, building, is_ours, is_sound
from whisper_persistence_drivers.replica.folder import Folder, remove

#: How many records are read, and written, at once.
PAGE: Final = 10_000


def load(folder: Folder, limits: Limits, below: Below, namespace: str, pause: Callable[[], None]) -> None:
    """Fill the loading file with every record from below, going on where an earlier attempt stopped.

    Args:
        folder: where the file is.
        limits: what DuckDB may use.
        below: what is asked.
        namespace: whose records they are.
        pause: called between pages; it may wait, or raise to give up until later.
    """
    try:
        _load(folder, limits, below, namespace, pause)
    except duckdb.Error:
        if is_sound(folder.loading, limits, namespace):
            raise
        remove(folder.loading)
        _load(folder, limits, below, namespace, pause)


def _load(folder: Folder, limits: Limits, below: Below, namespace: str, pause: Callable[[], None]) -> None:
    with building(limits, [folder.path]) as connection:
        attach(connection, folder.loading, "loading")
        if not _begun(connection, namespace):
            make_tables(connection, "loading", namespace)
            connection.execute("CREATE TABLE loading.progress (name VARCHAR, cursor VARCHAR)")
        done = dict(connection.execute("SELECT name, cursor FROM loading.progress").fetchall())
        for table in TABLES.values():
            if table.name not in done or done[table.name] is not None:
                _load_table(connection, table, below, done.get(table.name), pause)
        _remove_cleared(connection, below, pause)
        connection.execute("DETACH loading")


def _begun(connection: duckdb.DuckDBPyConnection, namespace: str) -> bool:
    tables = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'loading' AND table_name = 'progress'"
    ).fetchall()
    if tables == [(0,)]:
        return False
    if not is_ours(connection, "loading", namespace):
        raise duckdb.DataError("of another format")
    return True


def make_tables(connection: duckdb.DuckDBPyConnection, database: str, namespace: str) -> None:
    """Make the empty tables of a replica in an attached file."""
    connection.execute(f"CREATE TABLE {database}.about (format VARCHAR, namespace VARCHAR)")
    connection.execute(f"INSERT INTO {database}.about VALUES (?, ?)", [FORMAT, namespace])
    for table in TABLES.values():
        connection.register("empty", table.schema.empty_table())
        connection.execute(f"CREATE TABLE {database}.{table.name} AS FROM empty")
        connection.unregister("empty")


def _load_table(
    connection: duckdb.DuckDBPyConnection, table: Table, below: Below, cursor: str | None, pause: Callable[[], None]
) -> None:
    while True:
        page = below.scan(kind=table.name, cursor=cursor, limit=PAGE)
        cursor = page.cursor if page else None
        connection.begin()
        if page and page.records:
            insert(connection, f"loading.{table.name}", table.batch(page.records))
        connection.execute("DELETE FROM loading.progress WHERE name = ?", [table.name])
        connection.execute("INSERT INTO loading.progress VALUES (?, ?)", [table.name, cursor])
        connection.commit()
        if cursor is None:
            return
        pause()


def insert(connection: duckdb.DuckDBPyConnection, name: str, rows: Any) -> None:
    """Add the rows of an Arrow table to a table."""
    connection.register("incoming", rows)
    connection.execute(f"INSERT INTO {name} FROM incoming")
    connection.unregister("incoming")


def _remove_cleared(connection: duckdb.DuckDBPyConnection, below: Below, pause: Callable[[], None]) -> None:
    """Take away the messages that a scan shows and no window does any more."""
    talks = [row[0] for row in connection.execute("SELECT DISTINCT conversation_id FROM loading.messages").fetchall()]
    for start in range(0, len(talks), checks.MAX_BATCH):
        shown = first_kept(below, talks[start : start + checks.MAX_BATCH])
        connection.execute(
            "DELETE FROM loading.messages WHERE sequence < "
            "(SELECT first FROM (SELECT unnest(?) AS talk, unnest(?) AS first) WHERE talk = conversation_id)",
            [list(shown), list(shown.values())],
        )
        pause()


def first_kept(below: Below, conversation_ids: Sequence[str]) -> dict[str, int]:
    """Return the sequence of the oldest message of each conversation that is not cleared; past all, where none is."""
    shown = first_shown(lambda windows: below.load_messages(windows=windows), conversation_ids)
    return {talk: shown.get(talk, checks.INT64 - 1) for talk in conversation_ids}
