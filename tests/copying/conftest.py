"""Databases to copy, full and small, and an environment that says nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from whisper_persistence import Store
from whisper_persistence.records import ClearMark
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

from .copies import fill, open_store, sqlite_url


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database that holds much, made once."""
    folder = tmp_path_factory.mktemp("full")
    with open_store(sqlite_url(folder, "full")) as store:
        fill(store)
    return folder / "full.db"


@pytest.fixture
def filled(tmp_path: Path, full: Path) -> str:
    """A copy of it that a test may change."""
    shutil.copyfile(full, tmp_path / "filled.db")
    return sqlite_url(tmp_path, "filled")


@pytest.fixture(scope="session")
def made_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database that holds something of every kind, made once."""
    folder = tmp_path_factory.mktemp("small")
    with open_store(sqlite_url(folder, "small")) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        store.update_messages([ClearMark("talk", 1)])
    return folder / "small.db"


@pytest.fixture
def small(tmp_path: Path, made_small: Path) -> str:
    """A copy of it that a test may change."""
    shutil.copyfile(made_small, tmp_path / "small.db")
    return sqlite_url(tmp_path, "small")


@pytest.fixture
def pair(small: str, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """A store with something of every kind, and an empty one."""
    with open_store(small) as source, open_store(sqlite_url(tmp_path, "empty")) as destination:
        yield source, destination
