"""Connections to DuckDB that reach no file but the replica's, within limits of memory and threads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import duckdb

from whisper_persistence_drivers.replica.columns import FORMAT, TABLES


@attrs.frozen
class Limits:
    """What DuckDB may use.

    Attributes:
        memory: as DuckDB writes it, such as ``1GiB``.
        threads: how many.
        spill: the folder for what does not fit into memory.
    """

    memory: str
    threads: int
    spill: Path

    def alone(self) -> Limits:
        """Return the limits of a refresh: one thread, so that it takes one core from those who write, at most."""
        return attrs.evolve(self, threads=1)

    def config(self) -> dict[str, Any]:
        """Return the limits as DuckDB takes them."""
        return {"memory_limit": self.memory, "threads": self.threads, "temp_directory": str(self.spill)}


@contextmanager
def reading(snapshot: Path, limits: Limits) -> Generator[duckdb.DuckDBPyConnection]:
    """Open a snapshot to read; it is closed again, so that no process holds on to one that was replaced."""
    with building(limits, [snapshot.parent]) as connection:
        attach(connection, snapshot, "snapshot", read_only=True)
        connection.execute("USE snapshot")
        yield connection


@contextmanager
def building(limits: Limits, folders: Sequence[Path]) -> Generator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB of its own in memory, to which files of these folders can be attached, and no others."""
    connection = duckdb.connect(":memory:", config=limits.config())
    try:
        allowed = ", ".join(quoted(f"{folder}/") for folder in folders)
        connection.execute(f"SET allowed_directories = [{allowed}]")
        for setting in ("enable_external_access = false", "enable_progress_bar = false", "lock_configuration = true"):
            connection.execute(f"SET {setting}")
        yield connection
    finally:
        connection.close()


def quoted(text: str) -> str:
    """Return a text as SQL writes it, for the places that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str, *, read_only: bool = False) -> None:
    """Attach a file under one of our names."""
    connection.execute(f"ATTACH {quoted(str(path))} AS {name}{' (READ_ONLY)' if read_only else ''}")


def is_ours(connection: duckdb.DuckDBPyConnection, name: str, namespace: str) -> bool:
    """Say whether an attached file has our format and is of this namespace."""
    rows = connection.execute(f"SELECT format, namespace FROM {name}.about").fetchall()
    return rows == [(FORMAT, namespace)]


def is_sound(path: Path, limits: Limits, namespace: str) -> bool:
    """Say whether a file of ours can be read from end to end, or may be: memory that is short shows nothing of it."""
    try:
        with building(limits, [path.parent]) as connection:
            attach(connection, path, "examined", read_only=True)
            for name in TABLES:
                connection.execute(f"SELECT bit_xor(hash({name})) FROM examined.{name}").fetchall()
            return is_ours(connection, "examined", namespace)
    except duckdb.OutOfMemoryException:
        return True
    except duckdb.Error:
        return False
