"""The chroma-recall driver above each database of record: what concerns it by default, the whole suite in full runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SQL_CAPABILITIES, DriverConformance
from whisper_persistence.testing.declared import DeclarationConformance
from whisper_persistence.testing.edits import EditConformance
from whisper_persistence.testing.erasing import EraseConformance
from whisper_persistence.testing.following import FollowerConformance
from whisper_persistence.testing.searching import SearchConformance
from whisper_persistence.testing.vectors import VectorConformance

CLAIMS: Final = SQL_CAPABILITIES - {"replays"} | {"search", "embed"}


def open_over_sqlite(path: Path, namespace: str, **options: Any) -> Store:
    recall = DriverSpec("chroma-recall", {"path": path / "recall", **options})
    return Store(Chain.build([recall, DriverSpec("sqlite", {"path": path / "memory.db", "search": True})]), namespace)


@pytest.mark.usefixtures("migrated_file")
class TestRecall(
    DeclarationConformance,
    EditConformance,
    EraseConformance,
    FollowerConformance,
    SearchConformance,
    VectorConformance,
):
    """With few memories, everything is scanned."""

    capabilities = CLAIMS

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return open_over_sqlite(path, namespace)


@pytest.mark.long
class TestRecallByIndex(EditConformance, EraseConformance, SearchConformance, VectorConformance):
    """Whatever is stored is indexed, however little it is."""

    capabilities = CLAIMS

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return open_over_sqlite(path, namespace, index_from=0, few=0)


@pytest.mark.long
class TestRecallOverSqlite(DriverConformance):
    capabilities = CLAIMS

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return open_over_sqlite(path, namespace)


@pytest.mark.long
@pytest.mark.usefixtures("postgres_in_environment")
class TestRecallOverPostgres(DriverConformance):
    """Each path is a namespace of one database, so that a store opened again at a path finds what was there."""

    capabilities = CLAIMS

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        place = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        drivers = [
            DriverSpec("chroma-recall", {"path": path / "recall"}),
            DriverSpec("postgres", {"url": os.environ["CONFORMANCE_POSTGRES_URL"], "search": True}),
        ]
        return Store(Chain.build(drivers), f"{place}-{namespace.strip()}")
