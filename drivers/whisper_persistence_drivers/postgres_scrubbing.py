"""Bytes of deleted rows in a PostgreSQL server's files, and what removes them; ``docs/privacy.md`` says it in words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final

import psycopg
from psycopg.errors import InsufficientPrivilege

from whisper_persistence_drivers.sql.database import Scrubbed
from whisper_persistence_drivers.sql.tables import Tables

_BACKUPS: Final = "backups, replicas and archived logs of the server"
#: What is left of an erase where nothing is written anew.
LEFT: Final = Scrubbed(
    remaining=(
        "deleted rows in the server's files, until the tables are written anew (rewrite_on_erase, or VACUUM FULL)",
        "the server's write-ahead log, until it is recycled",
        _BACKUPS,
    )
)
#: How long to wait for the lock of one table.
_PATIENCE: Final = "SET lock_timeout = '30s'"
#: The planner's statistics hold samples of the columns' values.
_SAMPLES: Final = "pg_catalog.pg_statistic"


def scrub(connect: Callable[[], psycopg.Connection[Any]], tables: Tables) -> Scrubbed:
    """Write every table of ours anew, as well as the planner's samples, and end the log's present segment.

    What this role may not do is named in the answer, for somebody who may.
    """
    names = [f'"{table.schema}"."{table.name}"' for table in tables.metadata.sorted_tables]
    with closing(connect()) as connection:
        connection.autocommit = True
        connection.execute(_PATIENCE)
        _forget_samples(
            connection, str(tables.metadata.schema), [table.name for table in tables.metadata.sorted_tables]
        )
        refused = [name for name in (*names, _SAMPLES) if not _vacuum(connection, name)]
        log = _recycle_log(connection)
    rewritten = [name for name in (*names, _SAMPLES) if name not in refused]
    remaining = [f"deleted rows in the files of {name}: VACUUM (FULL, ANALYZE) it as its owner" for name in refused]
    return Scrubbed((*rewritten, *(() if log else ("write-ahead log",))), (*remaining, *log, _BACKUPS))


def _forget_samples(connection: psycopg.Connection[Any], schema: str, names: list[str]) -> None:
    """Forget the planner's samples of tables, since ANALYZE leaves those of a table alone that has become empty.

    Before PostgreSQL 18 only a superuser can; for others the vacuum of the samples is refused, and named, anyhow.
    """
    ours = "schemaname = %s AND regexp_replace(tablename, '_[0-9]+$', '') = ANY(%s)"
    if connection.info.server_version >= 180000:
        given = "schemaname, tablename, attname, inherited"
        clear = f"SELECT pg_clear_attribute_stats({given}) FROM pg_stats WHERE {ours}"  # noqa: S608
    else:
        found = f"SELECT format('%%I.%%I', schemaname, tablename)::regclass FROM pg_stats WHERE {ours}"  # noqa: S608
        clear = f"DELETE FROM {_SAMPLES} WHERE starelid IN ({found})"  # noqa: S608
    with suppress(InsufficientPrivilege):
        connection.execute(clear.encode(), (schema, names))


def _vacuum(connection: psycopg.Connection[Any], name: str) -> bool:
    """Write one table anew; say whether it was. A table that is another's, or locked for too long, is not."""
    warnings: list[Any] = []
    connection.add_notice_handler(warnings.append)
    try:
        connection.execute(f"VACUUM (FULL, ANALYZE) {name}".encode())
    except psycopg.errors.OperationalError:
        return False
    finally:
        connection.remove_notice_handler(warnings.append)
    return not any(warning.severity_nonlocalized == "WARNING" for warning in warnings)


def _recycle_log(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Let the log begin a new segment and drop the older ones; return what may be left of them."""
    try:
        for statement in ("SELECT pg_switch_wal()", "CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"):
            connection.execute(statement.encode())
        (recycled,) = connection.execute("SHOW wal_recycle").fetchall()[0]
    except InsufficientPrivilege:
        return ("the server's write-ahead log: SELECT pg_switch_wal() and CHECKPOINT, twice, as an administrator",)
    if recycled == "on":
        return (
            "segments of the write-ahead log that wait to be used again: they are removed where wal_recycle is off",
        )
    return ()
