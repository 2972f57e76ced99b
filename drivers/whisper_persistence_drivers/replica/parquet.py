"""The replica as Parquet files, divided by namespace and month, for any engine that reads them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from whisper_persistence_drivers.replica.columns import TABLES, Table
from whisper_persistence_drivers.replica.engine import Limits, attach, building, quoted

_PREFIX: Final = "namespace="


def export(snapshot: Path, folder: Path, limits: Limits, namespace: str) -> None:
    """Put what a snapshot holds in place of what was exported of this namespace before.

    The files are ``TABLE/namespace=NAME/month=YYYY-MM/data_0.parquet`` below ``folder``; other namespaces' stay.
    """
    unfinished = folder / f".unfinished-{blake2b(namespace.encode(), digest_size=8).hexdigest()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    try:
        with building(limits, [snapshot.parent, folder]) as connection:
            attach(connection, snapshot, "exported", read_only=True)
            for table in TABLES.values():
                connection.execute(_copy(table, unfinished / table.name, namespace))
                _replace(unfinished / table.name, folder / table.name, namespace)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_export(folder: Path, namespace: str) -> None:
    """Remove what was exported of this namespace."""
    for table in TABLES:
        for exported in _exported(folder / table, namespace):
            shutil.rmtree(exported)


def _copy(table: Table, target: Path, namespace: str) -> str:
    month = f"strftime({table.moment}, '%Y-%m') AS month"
    rows = f"SELECT *, {quoted(namespace)} AS namespace, {month} FROM exported.{table.name}"
    return f"COPY ({rows}) TO {quoted(str(target))} (FORMAT parquet, PARTITION_BY (namespace, month))"


def _replace(made: Path, target: Path, namespace: str) -> None:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for exported in _exported(target, namespace):
        shutil.rmtree(exported)
    for partition in _exported(made, namespace):
        partition.rename(target / partition.name)


def _exported(folder: Path, namespace: str) -> Iterator[Path]:
    return (path for path in folder.glob(f"{_PREFIX}*") if unquote(path.name.removeprefix(_PREFIX)) == namespace)
