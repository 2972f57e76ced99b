"""Stores with a replica, what is written to them, and a layer between the two that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import duckdb

from whisper_persistence import StorageUnavailableError, Store
from whisper_persistence import records as rec
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import Below, hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SUBJECT_CAPABILITIES
from whisper_persistence.testing.aggregating import Sample, near

#: One question for each table of the replica.
QUESTIONS = (rec.ImportanceByUser(), rec.TopPatterns(), rec.EffectivenessTrend(), rec.ActivityByDay())


def open_store(
    path: Path, namespace: str = "elena", below: str = "sqlite", database: str = "memory.db", **options: Any
) -> Store:
    kept = DriverSpec(below, {"path": path / database} if below == "sqlite" else {})
    options = {"path": path / "analytics", "threads": 1, **options}
    return Store(Chain.build([DriverSpec("duckdb-analytics", options), kept]), namespace)


def plain(path: Path, namespace: str = "elena") -> Store:
    """The same database without the replica."""
    return Store(Chain.build([DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)


def write(store: Store, seed: int = 1) -> None:
    for hook, batch in Sample(SUBJECT_CAPABILITIES, seed).batches():
        getattr(store, hook)(batch)


def same_answers(store: Store, reference: Store) -> bool:
    return all(near(store.aggregate(one), reference.aggregate(one)) for one in QUESTIONS)


def snapshots(path: Path) -> list[Path]:
    return sorted((path / "analytics").glob("*/replica-*.duckdb"))


@attrs.define(eq=False)
class Failing:
    """A layer that lets so many calls through to the database and fails the next, once."""

    left: int = -1
    after: bool = False
    below: Below = attrs.field(init=False)
    contract_version = 1

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self.below = below

    def _ask(self, hook: str, **arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise StorageUnavailableError("asked once too often")
        answer = getattr(self.below, hook)(**arguments)
        if self.left == 0:
            raise StorageUnavailableError("the answer was lost")
        return answer

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Any:
        return self._ask("scan", kind=kind, cursor=cursor, limit=min(limit, 7))

    @hookimpl
    def load_scores(self, queries: Any) -> Any:
        return self._ask("load_scores", queries=queries)

    @hookimpl
    def load_outcomes(self, queries: Any) -> Any:
        return self._ask("load_outcomes", queries=queries)

    @hookimpl
    def load_messages(self, windows: Any) -> Any:
        return self._ask("load_messages", windows=windows)

    @hookimpl
    def load_patterns(self, user_ids: Any) -> Any:
        return self._ask("load_patterns", user_ids=user_ids)

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> Any:
        return self._ask("load_pending", follower=follower, limit=limit)

    @hookimpl
    def clear_pending(self, pending: Any) -> Any:
        return self._ask("clear_pending", pending=pending)

    @hookimpl
    def register_follower(self, follower: Any) -> Any:
        return self._ask("register_follower", follower=follower)


def traces(path: Path) -> list[Path]:
    """Return the files of replica and export that hold the canary; what is compressed is read as DuckDB reads it."""
    files = [file for folder in ("analytics", "exported") for file in (path / folder).rglob("*") if file.is_file()]
    found = [file for file in files if b"canary" in file.read_bytes()]
    for file in files:
        if file.suffix == ".parquet":
            found += [file] if "canary" in str(duckdb.sql(f"FROM read_parquet('{file}')").fetchall()) else []
    return found
