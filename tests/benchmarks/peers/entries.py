"""Who is compared on which backend, and how each is opened over a place of its own."""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs

from peers.side import Side


@attrs.frozen
class Entry:
    """One way to keep talk.

    Attributes:
        name: as the table shows it.
        opener: ``module:name`` of what opens it over a place, awaited where it returns an awaitable.
        slow: whether it is given fewer users, because filling it would take longer than the comparison.
    """

    name: str
    opener: str
    slow: bool = False

    async def open(self, place: Any) -> Side:
        """Open it; raises ImportError where it is not installed."""
        module, _, path = self.opener.partition(":")
        opener: Any = importlib.import_module(f"peers.{module}")
        for name in path.split("."):
            opener = getattr(opener, name)
        opened = opener(place)
        side: Side = await opened if isinstance(opened, Awaitable) else opened
        return side


#: By backend: this package first.
ENTRIES: Final[dict[str, tuple[Entry, ...]]] = {
    "sqlite": (
        Entry("ours", "ours:Ours.open"),
        Entry("ours, called directly", "ours:OursDirect"),
        Entry("openai-agents SQLiteSession", "openai_agents:SqliteSessions"),
        Entry("langgraph SqliteStore", "langgraph_stores:Store.on_sqlite"),
        Entry("langgraph AsyncSqliteStore", "langgraph_stores:AsyncStore.on_sqlite"),
        Entry("langchain SQLChatMessageHistory", "langchain_histories:SqlHistories", slow=True),
        Entry("llama-index SQLAlchemyChatStore", "llama_index_stores:SqlStore", slow=True),
        Entry("google-adk SqliteSessionService", "google_adk:Sessions", slow=True),
    ),
    "postgres": (
        Entry("ours", "ours:Ours.open"),
        Entry("ours, called directly", "ours:OursDirect"),
        Entry("openai-agents SQLAlchemySession", "openai_agents:SqlAlchemySessions.open"),
        Entry("langgraph PostgresStore", "langgraph_stores:Store.on_postgres"),
        Entry("langgraph AsyncPostgresStore", "langgraph_stores:AsyncStore.on_postgres"),
        Entry("langchain PostgresChatMessageHistory", "langchain_histories:PostgresHistories"),
        Entry("llama-index PostgresChatStore", "llama_index_stores:KeyedStore.on_postgres", slow=True),
    ),
    # Ours keep all of it in SQLite as well; what the others keep is gone with the server's memory.
    "redis": (
        Entry("ours", "ours:Ours.open"),
        Entry("ours, called directly", "ours:OursDirect"),
        Entry("ours, up to 5 s old", "ours:Ours.open"),
        Entry("openai-agents RedisSession", "openai_agents:RedisSessions"),
        Entry("langchain RedisChatMessageHistory", "langchain_histories:RedisHistories", slow=True),
        Entry("llama-index RedisChatStore", "llama_index_stores:KeyedStore.on_redis", slow=True),
    ),
}


def sqlite_place(folder: Path, number: int, entry: Entry) -> Any:
    """Return a file of an entry's own, at the durability of every other: WAL, each commit flushed."""
    path = folder / f"{number}.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return {"sqlite": {"path": str(path)}} if entry.name.startswith("ours") else path


def postgres_place(url: str, entry: Entry) -> Any:
    """Return a database of an entry's own, as it wants to be told of it."""
    if entry.name.startswith("ours"):
        return {"postgres": {"url": url}}
    return url.replace("postgresql://", "postgresql+asyncpg://") if "SQLAlchemy" in entry.name else url


ENTRIES["redis-on-disk"] = ENTRIES["redis"]


def redis_place(url: str, folder: Path, number: int, entry: Entry, synchronous: str = "normal") -> Any:
    """Return a database of an entry's own on one Redis server, over a file of its own for what is ours."""
    place = f"{url.rpartition('/')[0]}/{number}"
    if not entry.name.startswith("ours"):
        return place
    recents = {"url": place, "read_timeout": 5.0, "staleness": 5.0 if "old" in entry.name else 0.0}
    return {"redis-hybrid": recents, "sqlite": {"path": str(folder / f"{number}.db"), "synchronous": synchronous}}


#: What makes the places of a backend.
Places = Callable[[int, Entry], Any]
