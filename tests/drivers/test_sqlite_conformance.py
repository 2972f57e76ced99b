"""The sqlite driver against the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SQL_CAPABILITIES, DriverConformance


@pytest.mark.usefixtures("migrated_file")
class TestSqlite(DriverConformance):
    capabilities = SQL_CAPABILITIES

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return Store(Chain.build([DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)
