"""The replica as Parquet files, divided by namespace and month, for any engine that reads them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import attrs
import duckdb

from whisper_persistence_drivers.replica.columns import TABLES, Table
from whisper_persistence_drivers.replica.engine import Limits, attach, building, quoted

_PREFIX: Final = "namespace="

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Export:
    """What is exported of one namespace: ``TABLE/namespace=NAME/month=YYYY-MM/data_0.parquet``; other namespaces' stay.

    A file beside it says of which snapshot it is, so that one that failed, or is not there any more, is made again.

    Attributes:
        folder: where to.
        limits: what DuckDB may use.
        namespace: whose records they are.
        problem: what kept the last export from its end, or nothing.
        holds_erased: whether it may hold who was erased, since it could neither be made again nor removed.
    """

    folder: Path
    limits: Limits
    namespace: str
    problem: str = attrs.field(init=False, default="")
    holds_erased: bool = attrs.field(init=False, default=False)

    def follow(self, snapshot: Path, *, erased: bool) -> None:
        """Put what a snapshot holds in place of what was exported before, unless it is that already.

        Args:
            snapshot: the newest.
            erased: whether what was exported before must not stay where that fails.
        """
        try:
            if not self._is_of(snapshot):
                self._mark.unlink(missing_ok=True)
                self._write(snapshot)
                self._mark.write_text(snapshot.name)
            self.problem, self.holds_erased = "", False
        except (duckdb.Error, OSError) as error:
            if not self.problem:
                _log.warning("analytics export stays behind", extra={"error": type(error).__name__})
            self.problem = type(error).__name__
            if erased:
                self.remove()

    def remove(self) -> None:
        """Remove what was exported, as far as the folder is there."""
        try:
            self._mark.unlink(missing_ok=True)
            for table in TABLES:
                for exported in _exported(self.folder / table, self.namespace):
                    shutil.rmtree(exported)
            self.holds_erased = not self.folder.is_dir()
        except OSError:
            self.holds_erased = True

    def _is_of(self, snapshot: Path) -> bool:
        try:
            return self._mark.read_text() == snapshot.name
        except OSError:
            return False

    def _write(self, snapshot: Path) -> None:
        unfinished = self.folder / f".unfinished-{self._digest()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        try:
            with building(self.limits, [snapshot.parent, self.folder]) as connection:
                attach(connection, snapshot, "exported", read_only=True)
                for table in TABLES.values():
                    connection.execute(_copy(table, unfinished / table.name, self.namespace))
                    _replace(unfinished / table.name, self.folder / table.name, self.namespace)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @property
    def _mark(self) -> Path:
        return self.folder / f".exported-{self._digest()}"

    def _digest(self) -> str:
        return blake2b(self.namespace.encode(), digest_size=8).hexdigest()


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
