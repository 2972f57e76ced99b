"""Drivers with search switched on against what the suite says of searching and of what must reach an index."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from whisper_persistence_drivers.sql import searching

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations.reindexing import wait_for_indexes
from whisper_persistence.plugins import Chain
from whisper_persistence.records import SearchQuery, SearchResult
from whisper_persistence.testing import RECORD_CAPABILITIES
from whisper_persistence.testing.declared import DeclarationConformance
from whisper_persistence.testing.erasing import EraseConformance
from whisper_persistence.testing.hits import HitConformance
from whisper_persistence.testing.searching import SearchConformance

KEPT = RECORD_CAPABILITIES | {"search", "vectors"}


class Searching(DeclarationConformance, EraseConformance, SearchConformance, HitConformance):
    __test__ = False
    capabilities = KEPT


@pytest.mark.usefixtures("migrated_file")
class TestSqliteSearch(Searching):
    def open_store(self, path: Path, namespace: str = "default") -> Store:
        options = {"path": path / "memory.db", "search": True}
        return Store(Chain.build([DriverSpec("sqlite", options)]), namespace)


class Settled(Store):
    """A store whose every search waits until the index has seen all."""

    def search_messages(self, queries: Sequence[SearchQuery]) -> Mapping[SearchQuery, SearchResult]:
        wait_for_indexes(self, 60.0)
        return super().search_messages(queries)


@pytest.mark.usefixtures("migrated_file")
class TestSqliteIndexed(SearchConformance, HitConformance):
    """The same, found by the index alone."""

    capabilities = KEPT

    @pytest.fixture(autouse=True)
    def _never_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(searching, "FEW", -1)

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        options = {"path": path / "memory.db", "search": True}
        return Settled(Chain.build([DriverSpec("sqlite", options)]), namespace)


@pytest.mark.long
@pytest.mark.usefixtures("postgres_in_environment")
class TestPostgresSearch(Searching):
    def open_store(self, path: Path, namespace: str = "default") -> Store:
        place = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        options = {"url": os.environ["CONFORMANCE_POSTGRES_URL"], "search": True}
        return Store(Chain.build([DriverSpec("postgres", options)]), f"{place}-{namespace.strip()}")
