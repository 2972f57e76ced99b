"""The chroma-recall driver above each database of record, against the whole suite."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import DriverConformance

CLAIMS: Final = frozenset(
    {
        "strategies",
        "statistics",
        "conversations",
        "revisions",
        "followers",
        "scan",
        "erase",
        "search",
        "vectors",
        "embed",
        "durable",
        "processes",
    }
)


class TestRecallOverSqlite(DriverConformance):
    capabilities = CLAIMS

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        drivers = [
            DriverSpec("chroma-recall", {"path": path / "recall"}),
            DriverSpec("sqlite", {"path": path / "memory.db"}),
        ]
        return Store(Chain.build(drivers), namespace)


class TestRecallOverPostgres(DriverConformance):
    """Each path is a namespace of one database, so that a store opened again at a path finds what was there."""

    capabilities = CLAIMS

    @pytest.fixture(autouse=True)
    def _connect(self, postgres_shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_POSTGRES_URL", postgres_shared_url)  # new processes find it there

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        place = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        drivers = [
            DriverSpec("chroma-recall", {"path": path / "recall"}),
            DriverSpec("postgres", {"url": os.environ["CONFORMANCE_POSTGRES_URL"]}),
        ]
        return Store(Chain.build(drivers), f"{place}-{namespace.strip()}")
