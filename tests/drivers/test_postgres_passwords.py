"""A marker as password goes through every way that something can go wrong, and appears nowhere."""

from __future__ import annotations

import io
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from click.testing import CliRunner
from whisper_persistence_drivers.postgres import PostgresDriver

from whisper_persistence import AsyncStore, ConfigurationError, PersistenceError, StorageUnavailableError, Store, Window
from whisper_persistence.cli import main
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.settings import load_settings
from whisper_persistence.settings.urls import parse_url
from whisper_persistence.testing import samples

MARK = "MARKER-7f3a:/?#[]@ %"
LOGGERS = ("", "sqlalchemy", "sqlalchemy.pool", "sqlalchemy.engine", "psycopg", "alembic", "whisper_persistence")


def hidden(text: str) -> bool:
    """Say whether a text holds the marker, or any part of it by which it could be known."""
    return "7f3a" not in text and quote(MARK, safe="") not in text


def whole(error: BaseException) -> str:
    """Return all that an error and those behind it say, also those that a traceback would not show."""
    behind: list[BaseException] = [error]
    for one in behind:
        behind += [more for more in (one.__context__, one.__cause__) if more is not None and more not in behind]
    return " ".join(f"{one!r} {one} {one.args} {''.join(traceback.format_exception(one))}" for one in behind)


@pytest.fixture(autouse=True)
def everything_logged(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Have every library log all that it can, and look through it, and through what was printed, in the end."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s %(pathname)s"))
    logging.getLogger().addHandler(handler)
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    logging.getLogger().removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    printed = capfd.readouterr()

    assert hidden(written.getvalue())
    assert hidden(printed.out + printed.err)


@pytest.fixture(scope="module")
def role(private_server) -> Iterator[str]:
    """Somebody whose password is the marker."""
    with psycopg.connect(private_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE marked LOGIN SUPERUSER PASSWORD '{MARK}'".encode())
        yield "marked"
        connection.execute("DROP OWNED BY marked CASCADE")
        connection.execute("DROP ROLE marked")


@pytest.fixture
def address(private_server, role: str) -> dict[str, Any]:
    """The options that name a server that demands a password."""
    return {"host": "127.0.0.1", "port": private_server.port, "user": role, "database": "postgres", "schema": role}


def url_of(address: dict[str, Any], password: str = MARK, more: str = "") -> str:
    login = f"{address['user']}:{quote(password, safe='')}"
    return f"postgresql://{login}@{address['host']}:{address['port']}/{address['database']}{more}"


def opened(options: dict[str, Any]) -> Store:
    return Store(Chain.build([DriverSpec("postgres", options)]))


def test_the_server_demands_the_password(address):
    with opened({**address, "password": MARK}) as store:
        store.save_messages(samples.talk(1))
    for wrong in ({}, {"password": "another"}):
        with pytest.raises(ConfigurationError, match="check user and password"):
            opened({**address, **wrong})


def test_it_works_with_every_library_logging(address, everything_logged):
    for options in ({**address, "password": MARK}, {"url": url_of(address), "schema": "marked"}):
        with opened(options) as store:
            store.save_messages(samples.talk(2))
            chain = store.chain
            shown = [repr(part) for part in (store, chain, chain.drivers, chain.drivers["postgres"])]
            database: Any = chain.drivers["postgres"]._database  # type: ignore[attr-defined]
            with database.reading() as connection:
                shown += [repr(database), repr(database._lender), repr(connection)]
            shown += [str(store.check_health())]

            assert hidden(" ".join(shown))


def wrong_password(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {**address, "user": "postgres", "password": MARK}


def wrong_password_in_a_url(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {"url": url_of({**address, "user": "postgres"})}


def no_such_role(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {**address, "user": "nobody", "password": MARK}


def no_such_database(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {"url": url_of({**address, "database": "nothing"})}


def nobody_listens(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {"url": url_of({**address, "port": 1}), "connect_timeout": 2}


def no_such_folder(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {**address, "host": "/nowhere", "password": MARK}


def silent(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {**address, "port": port, "password": MARK, "connect_timeout": 2}


def no_tls(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {"url": url_of(address, more="?sslmode=require")}


def no_certificate(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {**address, "password": MARK, "sslmode": "verify-full", "sslrootcert": "/nowhere.pem"}


def odd_tls(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {**address, "password": MARK, "sslmode": "perhaps"}


def no_right(address: dict[str, Any], port: int) -> dict[str, Any]:
    return {**address, "password": MARK, "schema": "pg_reserved"}


OUTAGES: list[Callable[[dict[str, Any], int], dict[str, Any]]] = [
    wrong_password,
    wrong_password_in_a_url,
    no_such_role,
    no_such_database,
    nobody_listens,
    no_such_folder,
    silent,
    no_tls,
    no_certificate,
    odd_tls,
    no_right,
]


@pytest.mark.parametrize("way", OUTAGES, ids=lambda way: way.__name__)
def test_what_cannot_be_connected_to(address, way):
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(PersistenceError) as caught:
        opened(way(address, listener.getsockname()[1]))

    assert hidden(whole(caught.value))
    if way is no_such_database:
        assert isinstance(caught.value, StorageUnavailableError)  # it may be made later: a net waits for it
        assert "has no such database" in str(caught.value)
    if way in (wrong_password, wrong_password_in_a_url, no_such_role):
        assert isinstance(caught.value, ConfigurationError)
        assert "check user and password" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:{mark}@[bad/db",
        "postgresql://u:{mark}@host:port/db",
        "postgresql://u:{mark}@host/db?nothing=1",
        "postgresql://u:{mark}%zz@host/db",
        "postgresql://u:{mark}@host/db?connect_timeout=soon",
        "postgresql://host/db?password={mark}&nothing",
        "postgres:/{mark}",
        "host=x password={mark} nothing",
        "{mark}",
    ],
)
def test_a_url_that_cannot_be_read(url):
    bad = url.format(mark="MARKER-7f3a")
    for make in (
        lambda: opened({"url": bad}),
        lambda: opened({"url": bad, "pool_size": "many"}),
        lambda: Store.from_settings(url=bad),
    ):
        with pytest.raises(PersistenceError) as caught:
            make()

        assert hidden(whole(caught.value))
    assert hidden(repr(PostgresDriver(bad)))


@pytest.mark.parametrize(
    "options",
    [
        {"pasword": MARK},
        {"port": MARK},
        {"pool_size": MARK},
        {"password": MARK, "pool_size": 0},
        {"password": MARK, "schema": "Upper"},
        {"password": [MARK]},
        {"url": [MARK]},
        {"sslkey": MARK, "statement_timeout": "never"},
    ],
    ids=repr,
)
def test_options_that_are_refused(options):
    with pytest.raises(ConfigurationError) as caught:
        opened(options)

    assert "driver 'postgres'" in str(caught.value)
    assert hidden(whole(caught.value))


def test_what_goes_wrong_while_it_is_in_use(address):
    options = {**address, "password": MARK, "pool_size": 1, "pool_timeout": 0.1, "statement_timeout": 0.1}
    with opened(options) as store:
        database: Any = store.chain.drivers["postgres"]._database  # type: ignore[attr-defined]
        errors: list[BaseException] = []
        for query in (
            "SELECT pg_sleep(5)",
            "SELECT nothing",
            "SELECT 1/0",
            "SELECT pg_terminate_backend(pg_backend_pid())",
        ):
            with suppress(psycopg.Error), database.reading() as connection:
                errors.append(database.translate(_error_of(connection, query)))
        with database.reading(), pytest.raises(StorageUnavailableError) as caught:
            store.load_messages([Window("talk")])
        errors.append(caught.value)

        assert len(errors) == 5
        assert hidden(" ".join(whole(error) for error in errors))
    with pytest.raises(PersistenceError) as caught:
        store.load_messages([Window("talk")])
    assert hidden(whole(caught.value))


def _error_of(connection: Any, query: str) -> psycopg.Error:
    try:
        connection.execute(query)
    except psycopg.Error as error:
        return error
    raise AssertionError(query)


@pytest.mark.parametrize("setting", ["url", "options", "adopted"])
def test_settings_and_what_shows_them(address, monkeypatch, setting, tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text(f'[whisper-persistence]\n[whisper-persistence.options.postgres]\npassword = "{MARK}"\n', "utf-8")
    given = {
        "url": {"WHISPER_PERSISTENCE_URL": url_of({**address, "user": "postgres"})},
        "options": {"WHISPER_PERSISTENCE_DRIVERS": "postgres", "WHISPER_PERSISTENCE_POSTGRES_PASSWORD": MARK},
        "adopted": {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1", "POSTGRES_PASSWORD": MARK},
    }
    for name, value in given[setting].items():
        monkeypatch.setenv(name, value)
    settings = load_settings(config=config)
    specs = settings.driver_specs()
    chain = Chain.build(specs)
    shown = [settings, specs, chain, chain.drivers, AsyncStore(chain), parse_url(url_of(address))]

    assert hidden(" ".join(map(repr, shown)))
    assert settings.options["postgres"]
    for arguments in (["drivers"], ["drivers", "--json"], ["show", "alice"], ["--config", str(config), "drivers"]):
        answer = CliRunner().invoke(main, arguments)

        assert hidden(answer.output)
        assert answer.exception is None or hidden(whole(answer.exception))
        assert (answer.exit_code == 0) is ("drivers" in arguments)


def test_an_unknown_setting_in_the_environment(monkeypatch):
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "postgres")
    monkeypatch.setenv("WHISPER_PERSISTENCE_POSTGRES_PASSWROD", MARK)
    monkeypatch.setenv("WHISPER_PERSISTENCE_PASSWORD", MARK)
    with pytest.raises(ConfigurationError, match="passwrod") as caught:
        Store.from_settings()

    assert hidden(whole(caught.value))
