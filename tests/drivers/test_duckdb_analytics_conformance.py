"""The duckdb-analytics driver above sqlite, against the whole suite."""

from __future__ import annotations

from pathlib import Path

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import DriverConformance


class TestDuckdbAnalytics(DriverConformance):
    capabilities = frozenset(
        {
            "strategies",
            "statistics",
            "conversations",
            "revisions",
            "followers",
            "scan",
            "erase",
            "aggregate",
            "durable",
            "processes",
        }
    )

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        replica = DriverSpec("duckdb-analytics", {"path": path / "analytics", "threads": 1})
        return Store(Chain.build([replica, DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)
