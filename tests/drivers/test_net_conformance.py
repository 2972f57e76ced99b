"""The net over a database of record, against the whole suite: in fair weather it changes nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SQL_CAPABILITIES, DriverConformance


@pytest.mark.usefixtures("migrated_file")
class TestNetOverSqlite(DriverConformance):
    """The chain of the preset ``desktop``."""

    capabilities = SQL_CAPABILITIES - {"processes"}

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        net = DriverSpec("memory-fallback", {"journal_directory": path / "journals"})
        return Store(Chain.build([net, DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)


@pytest.mark.long
class TestNetOverSqliteInProcesses(TestNetOverSqlite):
    capabilities = SQL_CAPABILITIES


@pytest.mark.long
@pytest.mark.usefixtures("postgres_in_environment")
class TestNetOverPostgres(DriverConformance):
    """Over a network; the deadline is long, since the machine may be busy."""

    capabilities = SQL_CAPABILITIES

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        place = hashlib.sha256(b"net" + str(path).encode()).hexdigest()[:16]
        net = DriverSpec("memory-fallback", {"journal_directory": path / "journals", "deadline": 20, "in_flight": 64})
        postgres = DriverSpec("postgres", {"url": os.environ["CONFORMANCE_POSTGRES_URL"]})
        return Store(Chain.build([net, postgres]), f"{place}-{namespace.strip()}")
