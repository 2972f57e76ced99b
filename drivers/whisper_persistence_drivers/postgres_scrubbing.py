"""Bytes of deleted rows in a PostgreSQL server's files, and what removes them; ``docs/privacy.md`` says it in words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final

import psycopg
from psycopg.errors import Diagnostic, InsufficientPrivilege

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
#: Our tables and their partitions, by schema and names.
_TABLES: Final = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
_OURS: Final = "n.nspname = %s AND c.relkind IN ('r', 'p') AND regexp_replace(c.relname, '_[0-9]+$', '') = ANY(%s)"
#: How often a table is written anew in which somebody may still see what was deleted, and how long to wait in between.
_TRIES: Final = 2
_PAUSE: Final = 0.2


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
        refused = [name for name in (*names, _SAMPLES) if not _vacuumed(connection, name)]
        log = _recycle_log(connection)
    rewritten = [name for name in (*names, _SAMPLES) if name not in refused]
    advice = "VACUUM (FULL, ANALYZE) it as its owner, when no transaction is open that began before the erase"
    remaining = [f"deleted rows in the files of {name}: {advice}" for name in refused]
    return Scrubbed((*rewritten, *(() if log else ("write-ahead log",))), (*remaining, *log, _BACKUPS))


def _forget_samples(connection: psycopg.Connection[Any], schema: str, names: list[str]) -> None:
    """Forget the planner's samples of tables, since ANALYZE leaves those of a table alone that has become empty.

    Before PostgreSQL 18 only a superuser can; for others the vacuum of the samples is refused, and named, anyhow.
    """
    # Not by pg_stats: that view hides tables whose row-level security holds for this role.
    if connection.info.server_version >= 180000:
        clear = f"""SELECT pg_clear_attribute_stats(n.nspname, c.relname, a.attname, inherited)
            FROM {_TABLES} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            CROSS JOIN unnest(ARRAY[false, true]) inherited WHERE {_OURS}"""  # noqa: S608
    else:
        clear = f"DELETE FROM {_SAMPLES} WHERE starelid IN (SELECT c.oid FROM {_TABLES} WHERE {_OURS})"  # noqa: S608
    with suppress(InsufficientPrivilege):
        connection.execute(clear.encode(), (schema, names))


def _vacuumed(connection: psycopg.Connection[Any], name: str) -> bool:
    """Write one table anew; say whether it was, without what was deleted.

    A table that is another's, or locked for too long, is not; and what an open transaction may still see is kept.
    """
    for _ in range(_TRIES):
        told = _vacuum(connection, name)
        if told is None or any(severity == "WARNING" for severity, _ in told):
            return False
        if not any(_is_positive(detail) for _, detail in told):
            return True
        time.sleep(_PAUSE)
    return False


def _vacuum(connection: psycopg.Connection[Any], name: str) -> list[tuple[str, str]] | None:
    """Return what the server says while it writes a table anew, or ``None`` where it refuses."""
    told: list[tuple[str, str]] = []

    def hear(notice: Diagnostic) -> None:  # which says nothing any more when it is over
        told.append((notice.severity_nonlocalized or "", notice.message_detail or ""))

    connection.add_notice_handler(hear)
    try:
        connection.execute(f"VACUUM (FULL, ANALYZE, VERBOSE) {name}".encode())
    except psycopg.errors.OperationalError:
        return None
    finally:
        connection.remove_notice_handler(hear)
    return told


def _is_positive(detail: str) -> bool:
    """Say whether this is "N dead row versions cannot be removed yet", in whatever language, with an N above 0."""
    number = re.search(r"\d+", detail)
    return number is not None and int(number[0]) > 0


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
