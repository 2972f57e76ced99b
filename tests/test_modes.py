"""Which drivers are chosen where no setting names them: each rule, and its place among the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.settings import load_settings, modes
from whisper_persistence.settings.modes import choose_mode

DESKTOP = ("memory-fallback", "sqlite")
POSTGRES = ("memory-fallback", "postgres")
SERVER = ("memory-fallback", "redis-hybrid", "chroma-recall", "postgres")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ("WHISPER", "POSTGRES", "ENV_MODE", *modes.CONTAINER_NAMES, "CLOUD_PROVIDER")
    for name in [name for name in os.environ if name.startswith(known)]:
        monkeypatch.delenv(name)


def drivers(*files: Path, **environ: str) -> tuple[str, ...]:
    return choose_mode(environ, files).drivers


def test_database_type_comes_first() -> None:
    rest = {"ENV_MODE": "desktop", "POSTGRES_HOST": "db", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    assert drivers(WHISPERENGINE_DATABASE_TYPE="SQLite", **rest) == DESKTOP
    assert drivers(WHISPERENGINE_DATABASE_TYPE="postgresql", **rest) == POSTGRES
    assert drivers(WHISPERENGINE_DATABASE_TYPE="postgres", **rest) == POSTGRES


def test_an_unknown_database_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"WHISPERENGINE_DATABASE_TYPE.*sqlite, postgresql"):
        drivers(WHISPERENGINE_DATABASE_TYPE="oracle")


def test_desktop_comes_before_postgres_and_containers() -> None:
    assert drivers(ENV_MODE="desktop", POSTGRES_HOST="db", DOCKER_CONTAINER="true") == DESKTOP
    assert drivers(ENV_MODE="production", POSTGRES_HOST="db") == POSTGRES


def test_a_postgres_host_chooses_postgres() -> None:
    choice = choose_mode({"POSTGRES_HOST": "db"}, ())

    assert (choice.drivers, choice.reason, choice.warning) == (POSTGRES, "POSTGRES_HOST is set", "")


@pytest.mark.parametrize("marker", modes.CONTAINER_NAMES)
def test_a_container_with_postgres_settings_chooses_postgres(marker: str) -> None:
    assert drivers(**{marker: "true", "POSTGRES_USER": "bot"}) == POSTGRES


@pytest.mark.parametrize("marker", modes.CONTAINER_NAMES)
def test_a_container_without_postgres_settings_warns_and_keeps_memory_in_memory(marker: str) -> None:
    choice = choose_mode({marker: "true", "CLOUD_PROVIDER": "aws"}, ())

    assert choice.drivers == ("memory-fallback",)
    assert marker in choice.reason
    assert "POSTGRES_HOST" in choice.warning


def test_the_marker_file_of_a_container_counts(tmp_path: Path) -> None:
    marker = tmp_path / ".dockerenv"

    assert drivers(marker) == DESKTOP
    marker.touch()
    assert drivers(marker) == ("memory-fallback",)
    assert drivers(marker, POSTGRES_DB="memory") == POSTGRES


def test_a_marker_that_says_no_is_none() -> None:
    assert drivers(DOCKER_CONTAINER="false", CONTAINER_MODE="0", POSTGRES_HOST="") == DESKTOP


def test_a_cloud_chooses_postgres() -> None:
    assert drivers(CLOUD_PROVIDER="aws") == POSTGRES


def test_otherwise_it_is_sqlite_whatever_the_machine() -> None:
    assert drivers(WHISPERENGINE_SCALE_TIER="4") == DESKTOP


def test_a_url_or_an_argument_comes_before_every_rule(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WHISPERENGINE_DATABASE_TYPE", "postgresql")
    monkeypatch.setenv("POSTGRES_HOST", "db")
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", "sqlite:////x.db")

    assert load_settings().drivers == ("sqlite",)
    assert load_settings(drivers="memory-fallback").drivers == ("memory-fallback",)
    assert load_settings(preset="server").drivers == SERVER
    assert load_settings(preset="desktop").options["sqlite"]["path"] == "/x.db"
    assert caplog.text == ""


def test_desktop_mode_keeps_its_file_under_the_bots_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ENV_MODE", "desktop")
    settings = load_settings()

    assert settings.reason == "ENV_MODE is desktop"
    assert settings.options["sqlite"]["path"] == str(tmp_path / ".whisperengine" / "memory.db")


def test_the_loud_warning_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(modes, "CONTAINER_FILES", (tmp_path,))
    settings = load_settings()

    assert settings.drivers == ("memory-fallback",)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "gone when this process ends" in caplog.text
