"""A sealed store, a plain look at what is stored, and records with a mark in every private field."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from marked import MASTER

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.servers import postgres_server, postgres_shared_url, postgres_url

__all__ = ["postgres_server", "postgres_shared_url", "postgres_url"]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """A function that opens a sealed store over SQLite in the test's folder; closed after the test."""
    stores: list[Store] = []

    def open_store(namespace: str = "elena", drivers: tuple[str, ...] = ("sqlite",), **options: Any) -> Store:
        masters = {} if {"master_key_file", "key_service"} & options.keys() else {"master_keys": MASTER}
        given = {**masters, "key_store": str(tmp_path / "keys.db"), **options}
        below = [DriverSpec(name, {"path": tmp_path / "memory.db"} if name == "sqlite" else {}) for name in drivers]
        stores.append(Store(Chain.build([DriverSpec("encryption", given), *below]), namespace))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def sql(tmp_path: Path) -> Callable[..., list[Any]]:
    """A function that runs a statement on the SQLite file behind the store's back."""

    def run(statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "memory.db", isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    return run
