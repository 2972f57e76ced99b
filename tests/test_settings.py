"""Settings come from arguments, environment and file, in that order, and say no secret."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pytest

from whisper_persistence import AsyncStore, Store, discovery
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.settings import Settings, load_settings
from whisper_persistence.settings.urls import parse_url

if TYPE_CHECKING:
    from decimal import Decimal

HIDDEN = "s3cr3t-pa55"


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@attrs.define(eq=False)
class Typed:
    """A driver with options of every kind that text may stand for."""

    contract_version = 1
    path: Path = Path()
    backup: Path | None = None
    size: int = 0
    ratio: float = 0.0
    strict: bool = False
    level: Level = Level.LOW
    mode: Literal["full", "normal"] = "full"
    timeout: timedelta = timedelta(0)
    names: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    password: str = attrs.field(default="", repr=False, validator=attrs.validators.max_len(5))
    choose: Any = None
    either: str | Path = ""
    _hidden: int = 0
    unknown: Decimal | None = None


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = ("WHISPER", "POSTGRES", "REDIS", "CHROMADB", "ENV_MODE", "DISCORD_BOT", "DOCKER", "KUBERNETES", "CLOUD_P")
    for name in list(os.environ):
        if name.startswith(known):
            monkeypatch.delenv(name)
    monkeypatch.setattr("whisper_persistence.settings.modes.CONTAINER_FILES", ())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def typed_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_driver(name: str) -> type:
        return Typed

    monkeypatch.setattr(discovery, "load_driver", load_driver)


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "bot.toml"
    file.write_text(text)
    return str(file)


def test_the_default_is_a_net_over_sqlite_in_absolute_paths() -> None:
    settings = load_settings()

    assert settings.drivers == ("memory-fallback", "sqlite")
    assert Path(settings.options["memory-fallback"]["journal_directory"]).is_absolute()
    assert Path(settings.options["sqlite"]["path"]).is_absolute()
    assert Path(settings.options["sqlite"]["path"]).parts[-2:] == ("whisper-persistence", "memory.db")
    assert (settings.namespace, settings.workers, settings.observers) == ("default", 4, ())
    assert settings.reason == "nothing names another driver"


def test_arguments_beat_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = write(
        tmp_path,
        "[whisper-persistence]\nnamespace = 'file'\nworkers = 2\nobservers = ['watch']\n"
        "[whisper-persistence.options.sqlite]\npath = '/file.db'\nsize = 1\nother = 'kept'\n",
    )
    monkeypatch.setenv("WHISPER_PERSISTENCE_CONFIG", config)
    monkeypatch.setenv("WHISPER_PERSISTENCE_NAMESPACE", "environment")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_PATH", "/environment.db")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_SIZE", "2")

    settings = load_settings(namespace="argument", options={"sqlite": {"size": 3}})

    assert settings.namespace == "argument"
    assert settings.workers == 2
    assert settings.observers == ("watch",)
    assert settings.options["sqlite"] == {"path": "/environment.db", "size": 3, "other": "kept"}


def test_a_list_from_the_environment_and_an_argument_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", " jsonl, memory-fallback ,,")
    monkeypatch.setenv("WHISPER_PERSISTENCE_MEMORY_FALLBACK_MAX_USERS", "5")
    monkeypatch.setenv("WHISPER_PERSISTENCE_JSONL_SUBJECTS", "conversations, strategies")
    monkeypatch.setenv("WHISPER_PERSISTENCE_WORKERS", "")

    settings = load_settings(drivers=None, namespace=None)

    assert settings.driver_specs() == [
        DriverSpec("jsonl", {}, frozenset({"conversations", "strategies"})),
        DriverSpec("memory-fallback", {"max_users": "5"}, None),
    ]
    assert settings.reason == "WHISPER_PERSISTENCE_DRIVERS is set"


def test_the_longest_driver_name_takes_an_environment_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_COPY_PATH", "/copy.db")

    settings = load_settings(drivers=["sqlite-copy", "sqlite"], options={"sqlite": {"path": "/main.db"}})

    assert settings.options == {"sqlite-copy": {"path": "/copy.db"}, "sqlite": {"path": "/main.db"}}


def test_a_relative_path_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        "[whisper-persistence.options.sqlite]\n"
        "path = 'data/m.db'\ndirectory = 'talk'\nbackup_path = '/b'\nmode = 'full'\nsubjects = ['strategies']\n",
    )

    _, spec = load_settings(config=config).driver_specs()

    paths = {"path": str(tmp_path / "data/m.db"), "directory": str(tmp_path / "talk"), "backup_path": "/b"}
    assert spec == DriverSpec("sqlite", {**paths, "mode": "full"}, frozenset({"strategies"}))


@pytest.mark.parametrize(
    ("url", "driver", "path"),
    [
        ("sqlite:////abs/my memory%20#1.db", "sqlite", "/abs/my memory%20#1.db"),
        ("sqlite:///rel.db", "sqlite", "{cwd}/rel.db"),
        ("sqlite:///~/home.db", "sqlite", str(Path.home() / "home.db")),
        ("memory://", "memory-fallback", None),
    ],
)
def test_a_url_names_driver_and_path(url: str, driver: str, path: str | None) -> None:
    target = parse_url(url)

    assert target.driver == driver
    assert target.options.get("path") == (path and path.format(cwd=Path.cwd()))


def test_a_postgresql_url_is_handed_on_whole_and_shuts_out_the_bots_names(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql+psycopg://bot:{HIDDEN}@db:5433/memory?sslmode=require"
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", url)
    monkeypatch.setenv("POSTGRES_HOST", "elsewhere")

    settings = load_settings()

    assert settings.drivers == ("postgres",)
    assert settings.options == {"postgres": {"url": url}}
    assert HIDDEN not in repr(settings) + repr(settings.driver_specs()) + repr(parse_url(url))


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "sqlite:x.db", f"bot:{HIDDEN}@db", f"mysql://bot:{HIDDEN}@db", "memory:///x"]
)
def test_a_bad_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)

    assert HIDDEN not in str(caught.value)
    assert ": use " in str(caught.value)


def test_a_url_joins_the_chain_that_ends_with_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "jsonl,sqlite")

    settings = load_settings(url="sqlite:////x.db?size=3")

    assert settings.drivers == ("jsonl", "sqlite")
    assert settings.options["sqlite"] == {"path": "/x.db", "size": "3"}
    assert settings.reason == "WHISPER_PERSISTENCE_DRIVERS is set, and the argument url is set"


def test_a_stronger_url_replaces_another_chain_and_a_weaker_one_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "memory-fallback,postgres")

    assert load_settings(url="memory://").drivers == ("memory-fallback",)

    monkeypatch.delenv("WHISPER_PERSISTENCE_DRIVERS")
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", "sqlite:////x.db")

    assert load_settings(drivers="memory-fallback").drivers == ("memory-fallback",)


@pytest.mark.parametrize(
    "overrides",
    [
        {"drivers": "sqlite", "preset": "desktop"},
        {"drivers": "sqlite", "url": "memory://"},
        {"preset": "laptop"},
        {"workers": 0},
        {"workers": "many"},
        {"driver": "sqlite"},
        {"options": {"sqlite": 5}},
        {"options": {"sqllite": {}}},
        {"drivers": 5},
        {"config": "absent.toml"},
        {"config": "."},
        {"options": {"sqlite": {"subjects": 5}}},
        {"options": {"sqlite": {"subjects": []}}},
    ],
)
def test_what_contradicts_or_cannot_be_read_is_refused(overrides: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        load_settings(**overrides)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[whisper-persistence]\ndrivrs = ['sqlite']\n", "setting drivrs is not known: use one of drivers, "),
        ("[whisper-persistence.options.sqllite]\npath = 'x'\n", "sqllite"),
        ("[whisper_persistence]\ndrivers = ['sqlite']\n", "[whisper-persistence]"),
        ("[whisper-persistence]\nconfig = 'other.toml'\n", "config"),
        ("[whisper-persistence]\nworkers = 'many'\n", "workers"),
        ("[whisper-persistence\n", "line 1"),
    ],
)
def test_a_bad_file_is_named_with_its_key(tmp_path: Path, text: str, named: str) -> None:
    config = write(tmp_path, text)

    with pytest.raises(ConfigurationError) as caught:
        load_settings(config=config)

    assert config in str(caught.value)
    assert named in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bot.toml"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigurationError, match=r"bot\.toml"):
        load_settings(config=file)


def test_a_misspelt_environment_name_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVER", HIDDEN)
    load_settings()

    assert "WHISPER_PERSISTENCE_DRIVER " in caplog.text
    assert HIDDEN not in caplog.text


def test_the_bots_names_become_options_that_any_setting_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_HOST", "db")
    monkeypatch.setenv("POSTGRES_PASSWORD", HIDDEN)
    monkeypatch.setenv("DISCORD_BOT_NAME", "Elena")

    settings = load_settings(options={"postgres": {"database": "memory"}})

    assert settings.options["postgres"] == {
        "host": "db",
        "port": "5432",
        "user": "bot_user",
        "password": HIDDEN,
        "database": "memory",
    }
    assert settings.namespace == "Elena"
    assert HIDDEN not in repr(settings)


def test_redis_and_chroma_get_options_only_when_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "cache")
    monkeypatch.setenv("REDIS_PASSWORD", "p@ss/")
    monkeypatch.setenv("CHROMADB_HOST", "vectors")

    assert load_settings().options.keys() == {"memory-fallback", "sqlite"}
    named = load_settings(drivers="redis-hybrid,chroma-recall,sqlite").options
    assert named["redis-hybrid"] == {"url": "redis://:p%40ss%2F@cache:6379/0"}
    assert named["chroma-recall"] == {"url": "http://vectors:8000"}

    monkeypatch.setenv("USE_CHROMADB_HTTP", "false")
    monkeypatch.setenv("CHROMADB_PATH", "/vectors")
    monkeypatch.setenv("REDIS_URL", "rediss://other/1")
    named = load_settings(drivers="redis-hybrid,chroma-recall,sqlite").options
    assert named["redis-hybrid"] == {"url": "rediss://other/1"}
    assert named["chroma-recall"] == {"path": "/vectors"}


@pytest.mark.usefixtures("typed_driver")
def test_text_becomes_what_the_driver_declares() -> None:
    text = {
        "path": "/x.db",
        "backup": "/y.db",
        "size": "3",
        "ratio": "0.5",
        "strict": "true",
        "level": "high",
        "mode": "normal",
        "timeout": "PT5S",
        "names": "a, b",
        "ports": "1,2",
        "password": "12345",
        "choose": "text",
        "either": "text",
        "hidden": "7",
        "unknown": "text",
    }

    driver: Any = build_driver(DriverSpec("typed", text))

    assert (driver.path, driver.backup, driver.size, driver.ratio) == (Path("/x.db"), Path("/y.db"), 3, 0.5)
    assert (driver.strict, driver.level, driver.mode) == (True, Level.HIGH, "normal")
    assert (driver.timeout, driver.names, driver.ports) == (timedelta(seconds=5), ("a", "b"), (1, 2))
    assert (driver.password, driver.choose, driver.either, driver.unknown) == ("12345", "text", "text", "text")
    assert driver._hidden == 7


@pytest.mark.usefixtures("typed_driver")
@pytest.mark.parametrize(
    "option", [{"size": HIDDEN}, {"level": HIDDEN}, {"mode": HIDDEN}, {"ports": HIDDEN}, {"password": HIDDEN}]
)
def test_an_option_that_cannot_be_read_is_named_and_not_repeated(option: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(option))) as caught:
        build_driver(DriverSpec("typed", option))

    assert HIDDEN not in str(caught.value)
    assert "'typed'" in str(caught.value)


def test_settings_built_in_code_are_settings() -> None:
    settings = Settings(("a",), ("b",), {"a": {"x": 1}}, {"a": frozenset({"strategies"})})

    assert settings.driver_specs() == [DriverSpec("a", {"x": 1}, frozenset({"strategies"}))]
    assert settings.observer_specs() == [DriverSpec("b")]


def test_importing_the_package_loads_no_settings_library() -> None:
    heavy = "{'typed_settings', 'click', 'rich', 'sqlalchemy', 'platformdirs'}"
    code = f"import sys, whisper_persistence; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603

    assert ran.stdout == "set()\n"


def test_each_place_of_storage_has_journals_of_its_own_and_no_password_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def folder(**overrides: Any) -> str:
        drivers = overrides.pop("drivers", "memory-fallback,postgres")
        return str(load_settings(drivers=drivers, **overrides).options["memory-fallback"]["journal_directory"])

    one = folder(url="postgresql://bot@db/one")
    monkeypatch.setenv("WHISPER_PERSISTENCE_POSTGRES_PASSWORD", HIDDEN)

    assert folder(url="postgresql://bot@db/one") == one
    assert folder(url=f"postgresql://bot:{HIDDEN}@db/one") == one
    assert folder(url="postgresql://bot@db/two") != one
    assert folder(drivers="memory-fallback,sqlite") != one
    assert "journal_directory" not in load_settings(drivers="memory-fallback").options["memory-fallback"]


@pytest.mark.parametrize("name", ["EXAMPLES", "STEPS", "TEST_POSTGRES_URL"])
def test_names_of_the_test_kit_are_no_forgotten_settings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setenv(f"WHISPER_PERSISTENCE_{name}", "5")
    load_settings()
    assert caplog.text == ""


@pytest.mark.parametrize("given", ["sqlite:///memory.db", {"url": "sqlite:///memory.db"}])
def test_what_are_no_settings_says_how_they_are_given(given):
    with pytest.raises(ConfigurationError, match=r"not a (str|dict): use from_settings\(url=...\)"):
        Store.from_settings(given)
    with pytest.raises(ConfigurationError, match=r"use from_settings\(url=...\)"):
        AsyncStore.from_settings(given)


def test_settings_that_are_loaded_take_no_others():
    with pytest.raises(ConfigurationError, match="take no namespace, url: give that to load_settings"):
        Store.from_settings(load_settings(drivers=["memory-fallback"]), namespace="elsewhere", url="sqlite:///a")


def test_a_path_that_only_sqlite_takes_for_memory_is_refused():
    with pytest.raises(ConfigurationError, match="list memory-fallback instead"):
        build_driver(DriverSpec("sqlite", {"path": ":memory:"}))
