"""The folder of a test, and stores whose replica cannot always ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.plugins import Chain

from .replicas import Failing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def failing(path: Path) -> Iterator[Callable[[], tuple[Store, Failing]]]:
    opened: list[Store] = []

    def make() -> tuple[Store, Failing]:
        layer = Failing()
        replica = build_driver(DriverSpec("duckdb-analytics", {"path": path / "analytics", "threads": 1}))
        kept = build_driver(DriverSpec("sqlite", {"path": path / "memory.db"}))
        opened.append(Store(Chain.of({"duckdb-analytics": replica, "failing": layer, "sqlite": kept}), "elena"))
        return opened[-1], layer

    yield make
    for store in opened:
        store.close()
