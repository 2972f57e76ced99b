"""``whisper-persistence doctor``: what was chosen and why, how each driver is, and an exit code for machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from whisper_persistence import Store
from whisper_persistence.cli import main
from whisper_persistence.testing import samples

HIDDEN = "s3cr3t-pa55"
NOWHERE = f"postgresql://bot:{HIDDEN}@127.0.0.1:1/memory?connect_timeout=2"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("WHISPERENGINE_DATABASE_TYPE", "sqlite")


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def told(*arguments: str) -> Any:
    return msgspec.json.decode(doctor("--json", *arguments).stdout)


def test_all_is_well(tmp_path: Path) -> None:
    result, found = doctor(), told()

    assert result.exit_code == 0
    assert "all is well" in result.output
    assert "because WHISPERENGINE_DATABASE_TYPE is sqlite" in result.output
    assert found["healthy"] is True
    assert [(tier["tier"], tier["state"]) for tier in found["tiers"]] == [("memory-fallback", "up"), ("sqlite", "up")]
    assert found["sources"]["sqlite"] == ["path"]
    assert (tmp_path / "whisper-persistence" / "memory.db").exists()


def test_a_database_that_does_not_answer_is_wrong_and_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPERENGINE_DATABASE_TYPE", "postgresql")
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "memory-fallback,redis-hybrid,postgres")
    monkeypatch.setenv("WHISPER_PERSISTENCE_POSTGRES_URL", NOWHERE)
    result, found = doctor(), told()

    assert result.exit_code == 1
    assert "postgres is down: could not be opened yet: the PostgreSQL database at 127.0.0.1:1" in result.output
    assert [(tier["tier"], tier["state"]) for tier in found["tiers"]] == [
        ("memory-fallback", "degraded"),
        ("redis-hybrid", "down"),
        ("postgres", "down"),
    ]
    assert HIDDEN not in result.output + str(found)


def test_what_waits_in_the_journal_of_another_process_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "memory-fallback,postgres")
    monkeypatch.setenv("WHISPER_PERSISTENCE_POSTGRES_URL", NOWHERE)
    with Store.from_settings() as store:
        store.save_messages(samples.talk(3))
        found = told()

    assert found["tiers"][0]["details"]["elsewhere"] == 1
    assert any("journals of other processes (1)" in problem for problem in found["problems"])
    assert told()["tiers"][0]["details"]["backlog"] == 1


def test_a_store_that_cannot_be_opened_is_wrong() -> None:
    result = CliRunner().invoke(main, ["--url", "sqlite:////proc/no/such/place.db", "doctor"])

    assert result.exit_code == 1
    assert "the store cannot be opened" in result.output


@pytest.mark.parametrize("place", ["a file", "/proc/nowhere", "x" * 300])
def test_a_folder_in_which_no_journal_can_be_written_is_wrong_before_it_is_needed(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("WHISPER_PERSISTENCE_MEMORY_FALLBACK_JOURNAL_DIRECTORY", str(tmp_path / place))

    result = doctor()

    assert result.exit_code == 1
    assert "memory-fallback is degraded: no journal can be written in" in result.output
