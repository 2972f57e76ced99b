"""The duckdb-analytics driver above sqlite, against the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SQL_CAPABILITIES, DriverConformance
from whisper_persistence.testing.aggregating import AggregateConformance
from whisper_persistence.testing.declared import DeclarationConformance


def open_store(path: Path, namespace: str) -> Store:
    replica = DriverSpec("duckdb-analytics", {"path": path / "analytics", "threads": 1})
    return Store(Chain.build([replica, DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)


@pytest.mark.usefixtures("migrated_file")
class TestQuestions(DeclarationConformance, AggregateConformance):
    """What is this driver's own; every other hook goes below."""

    capabilities = SQL_CAPABILITIES

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return open_store(path, namespace)


@pytest.mark.long
class TestDuckdbAnalytics(DriverConformance):
    capabilities = SQL_CAPABILITIES

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return open_store(path, namespace)
