"""A PostgreSQL server as the page on privacy sets it up, and what that page has an administrator do."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from whisper_persistence.testing.servers import private_postgres

PRIVACY = Path(__file__).parents[3] / "docs" / "privacy.md"


@contextmanager
def documented_postgres() -> Generator[str]:
    """Start a server on which nobody else leaves markers, with the documented settings, and yield its URL."""
    with private_postgres() as url:
        run_documented(url, "ALTER SYSTEM")
        deadline = time.monotonic() + 60
        while ask(url, "SHOW log_error_verbosity") != "terse" and time.monotonic() < deadline:
            time.sleep(0.05)
        yield url


def ask(url: str, statement: str) -> str:
    """Return the first value that a statement answers."""
    with psycopg.connect(url, autocommit=True) as connection:
        return str(connection.execute(statement.encode()).fetchall()[0][0])


def run_documented(url: str, beginning: str) -> None:
    """Run the statements that the page on privacy gives an administrator, by how they begin."""
    page = PRIVACY.read_text(encoding="utf-8")
    (statements,) = re.findall(rf"```sql\n({beginning}.*?)```", page, re.DOTALL)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in filter(None, map(str.strip, statements.split(";"))):
            connection.execute(statement.encode())
