"""Databases to copy, full and small, and an environment that says nothing."""

from __future__ import annotations

import os
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


@pytest.fixture
def filled(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path, "filled")
    with open_store(url) as store:
        fill(store)
    return url


@pytest.fixture
def small(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path, "small")
    with open_store(url) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        store.update_messages([ClearMark("talk", 1)])
    return url


@pytest.fixture
def pair(small: str, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """A store with something of every kind, and an empty one."""
    with open_store(small) as source, open_store(sqlite_url(tmp_path, "empty")) as destination:
        yield source, destination
