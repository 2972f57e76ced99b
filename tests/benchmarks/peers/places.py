"""The places that sides are opened over: files and databases of their own, thrown away afterwards."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from peers.entries import Entry

#: What makes an entry's place.
Places = Callable[[Entry], Any]


@contextmanager
def _sqlite() -> Generator[Places]:
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        yield lambda entry: _file(Path(folder) / f"{next(numbers)}.db", entry)


def _file(path: Path, entry: Entry) -> Any:
    """Return a file of an entry's own, at the durability of every other: WAL, each commit flushed."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return {"sqlite": {"path": str(path)}} if entry.ours else path


@contextmanager
def _postgres() -> Generator[Places]:
    from whisper_persistence.testing.servers import new_postgres_database, private_postgres

    with private_postgres() as server, ExitStack() as stack:
        yield lambda entry: _database(stack.enter_context(new_postgres_database(server)), entry)


def _database(url: str, entry: Entry) -> Any:
    """Return a database of an entry's own, as it wants to be told of it."""
    if entry.ours:
        return {"postgres": {"url": url}}
    return url.replace("postgresql://", "postgresql+asyncpg://") if entry.asyncpg else url


@contextmanager
def _redis() -> Generator[Places]:
    from whisper_persistence.testing.redis_servers import RedisServer

    with RedisServer.running() as server, tempfile.TemporaryDirectory() as folder:
        numbers = count()
        yield lambda entry: _keys(server.url(), next(numbers), Path(folder), entry)


@contextmanager
def _redis_on_disk() -> Generator[Places]:
    """Give the peers a server that flushes each write to disk, as ours flush theirs below a server that does not."""
    from whisper_persistence.testing.redis_servers import RedisServer

    kept = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        RedisServer.running() as plain,
        RedisServer.running(*kept) as flushing,
        tempfile.TemporaryDirectory() as folder,
    ):
        numbers, urls = count(), {True: plain.url(), False: flushing.url()}
        yield lambda entry: _keys(urls[entry.ours], next(numbers), Path(folder), entry, synchronous="full")


def _keys(url: str, number: int, folder: Path, entry: Entry, synchronous: str = "normal") -> Any:
    """Return a database of an entry's own on one Redis server, over a file of its own for what is ours."""
    place = f"{url.rpartition('/')[0]}/{number}"
    if not entry.ours:
        return place
    recents = {"url": place, "read_timeout": 5.0, "staleness": 5.0 if "old" in entry.name else 0.0}
    return {"redis-hybrid": recents, "sqlite": {"path": str(folder / f"{number}.db"), "synchronous": synchronous}}


BACKENDS: Final[dict[str, Callable[[], AbstractContextManager[Places]]]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "redis": _redis,
    "redis-on-disk": _redis_on_disk,
}
