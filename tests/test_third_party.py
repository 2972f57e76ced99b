"""A stranger's driver takes a subject over by one setting, and one that is gone is missed by name."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from whisper_persistence import (
    DriverNotFoundError,
    Message,
    Outcome,
    PreferencesChange,
    StatisticsChange,
    Store,
    StrategyChange,
    Window,
)
from whisper_persistence.records import MemoryScore

ROOT = Path(__file__).parents[1]

needs_jsonl = pytest.mark.skipif(
    not entry_points(group="whisper_persistence.drivers", name="jsonl"),
    reason="contrib/whisper-persistence-jsonl is not installed",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything is kept, by settings that stay the same."""
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "sqlite")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_PATH", str(tmp_path / "memory.db"))
    monkeypatch.setenv("WHISPER_PERSISTENCE_JSONL_DIRECTORY", str(tmp_path / "talks"))
    return tmp_path


def remember(store: Store, message_id: str) -> None:
    store.save_messages([Message("talk", "alice", "alice", message_id, message_id=message_id)])
    store.update_strategies([StrategyChange("alice", [Outcome("1", "gentle", 0.9)])])
    store.update_statistics([StatisticsChange("alice", [MemoryScore("alice", message_id, 0.5)])])
    store.update_preferences([PreferencesChange("alice", {"advice": "only when asked"})])


def talk(store: Store) -> list[str]:
    return [message.content for message in store.load_messages([Window("talk")]).get(Window("talk"), ())]


def rows(folder: Path, table: str) -> int:
    with sqlite3.connect(f"file:{folder / 'memory.db'}?mode=ro", uri=True) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    connection.close()
    return int(count)


@needs_jsonl
def test_one_setting_moves_conversations_and_nothing_else(folder, monkeypatch):
    with Store.from_settings() as store:
        remember(store, "before")
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "jsonl,sqlite")
    with Store.from_settings() as store:
        remember(store, "after")

        assert talk(store) == ["after"]
        assert store.load_strategies(["alice"])["alice"].interventions == 2
        assert store.load_statistics(["alice"])["alice"].total_memories_scored == 2
        assert [tier.tier for tier in store.check_health()] == ["jsonl", "sqlite"]
    (file,) = folder.glob("talks/*/*.jsonl")
    assert '"after"' in file.read_text(encoding="utf-8")
    assert rows(folder, "conversation_history") == 1
    assert rows(folder, "support_strategy_history") == 2


@needs_jsonl
def test_an_erasure_reaches_the_stranger_and_the_bundled_driver_alike(folder, monkeypatch):
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "jsonl,sqlite")
    with Store.from_settings() as store:
        remember(store, "once")
        store.erase_users(["alice"])

        assert talk(store) == []
        assert not store.load_strategies(["alice"])
        assert not store.load_preferences(["alice"])


def test_installing_alone_changes_nothing(folder):
    with Store.from_settings() as store:
        remember(store, "here")
    with Store.from_settings() as store:
        assert talk(store) == ["here"]
    assert not (folder / "talks").exists()


def test_a_stranger_that_is_not_installed_is_missed_by_name(folder, monkeypatch):
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "carrier-pigeon,sqlite")

    with pytest.raises(
        DriverNotFoundError, match=r"driver 'carrier-pigeon' is not installed \(installed: .*sqlite.*\): install"
    ):
        Store.from_settings()
    assert not (folder / "memory.db").exists()


@pytest.mark.network
def test_installed_used_and_uninstalled_again(folder):
    python = folder / "venv" / "bin" / "python"
    settings = {**os.environ, "WHISPER_PERSISTENCE_DRIVERS": "jsonl,sqlite"}
    run([sys.executable, "-m", "venv", folder / "venv"])
    run([python, "-m", "pip", "install", "--quiet", ROOT, ROOT / "contrib" / "whisper-persistence-jsonl"])
    show = [python, "-m", "whisper_persistence", "show", "alice"]

    assert run(show, settings).returncode == 0
    run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "whisper-persistence-jsonl"])
    missed = run(show, settings, expected=1)

    assert missed.stderr.startswith("Error: driver 'jsonl' is not installed (installed: ")


def run(
    command: list[object], environment: dict[str, str] | None = None, expected: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == expected, done.stderr
    return done
