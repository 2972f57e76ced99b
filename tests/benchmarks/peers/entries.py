"""Who is compared on which backend, and how each is opened over a place of its own."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable
from typing import Any, Final

import attrs


@attrs.frozen
class Entry:
    """One way to keep talk, or records.

    Attributes:
        name: as the table shows it.
        opener: ``module:name`` of what opens it over a place, awaited where it returns an awaitable.
        slow: whether it is given fewer users, because filling it would take longer than the comparison.
        asyncpg: whether it wants to be told of PostgreSQL by an SQLAlchemy URL.
    """

    name: str
    opener: str
    slow: bool = False
    asyncpg: bool = False

    @property
    def ours(self) -> bool:
        """Return whether it is this package."""
        return self.name.startswith("ours")

    async def open(self, place: Any) -> Any:
        """Open it; raises ImportError where it is not installed."""
        module, _, path = self.opener.partition(":")
        opener: Any = importlib.import_module(f"peers.{module}")
        for name in path.split("."):
            opener = getattr(opener, name)
        opened = opener(place)
        return await opened if isinstance(opened, Awaitable) else opened


OURS: Final = (Entry("ours", "ours:Ours.open"), Entry("ours, called directly", "ours:OursDirect"))
# Ours keep all of it in SQLite as well; what the others keep is gone with the server's memory.
_ON_REDIS: Final = (
    *OURS,
    Entry("ours, up to 5 s old", "ours:Ours.open"),
    Entry("openai-agents RedisSession", "openai_agents:RedisSessions"),
    Entry("langchain RedisChatMessageHistory", "langchain_histories:RedisHistories", slow=True),
    Entry("llama-index RedisChatStore", "llama_index_stores:KeyedStore.on_redis", slow=True),
)
_RECORDS_ON_REDIS: Final = (*OURS, Entry("langchain RedisStore", "langchain_stores:Store.on_redis"))

#: Who keeps talk, by backend: this package first.
TALK: Final[dict[str, tuple[Entry, ...]]] = {
    "sqlite": (
        *OURS,
        Entry("openai-agents SQLiteSession", "openai_agents:SqliteSessions"),
        Entry("langgraph SqliteStore", "langgraph_stores:Store.on_sqlite"),
        Entry("langgraph AsyncSqliteStore", "langgraph_stores:AsyncStore.on_sqlite"),
        Entry("langchain SQLChatMessageHistory", "langchain_histories:SqlHistories", slow=True),
        Entry("llama-index SQLAlchemyChatStore", "llama_index_stores:SqlStore", slow=True),
        Entry("google-adk SqliteSessionService", "google_adk:Sessions.on_sqlite", slow=True),
    ),
    "postgres": (
        *OURS,
        Entry("openai-agents SQLAlchemySession", "openai_agents:SqlAlchemySessions.open", asyncpg=True),
        Entry("langgraph PostgresStore", "langgraph_stores:Store.on_postgres"),
        Entry("langgraph AsyncPostgresStore", "langgraph_stores:AsyncStore.on_postgres"),
        Entry("langchain PostgresChatMessageHistory", "langchain_histories:PostgresHistories"),
        Entry("llama-index PostgresChatStore", "llama_index_stores:KeyedStore.on_postgres", slow=True),
        Entry("google-adk DatabaseSessionService", "google_adk:Sessions.on_postgres", slow=True, asyncpg=True),
    ),
    "redis": _ON_REDIS,
    "redis-on-disk": _ON_REDIS,
}

#: Who keeps a strategy and statistics of each user, or any value.
RECORDS: Final[dict[str, tuple[Entry, ...]]] = {
    "sqlite": (
        *OURS,
        Entry("langgraph SqliteStore", "langgraph_stores:Store.on_sqlite"),
        Entry("langgraph AsyncSqliteStore", "langgraph_stores:AsyncStore.on_sqlite"),
        Entry("langchain SQLStore", "langchain_stores:Store.on_sqlite"),
        Entry("google-adk SqliteSessionService", "google_adk:Sessions.on_sqlite", slow=True),
    ),
    "postgres": (
        *OURS,
        Entry("langgraph PostgresStore", "langgraph_stores:Store.on_postgres"),
        Entry("langgraph AsyncPostgresStore", "langgraph_stores:AsyncStore.on_postgres"),
        Entry("langchain SQLStore", "langchain_stores:Store.on_postgres"),
        Entry("llama-index PostgresKVStore", "llama_index_values:Store"),
        Entry("google-adk DatabaseSessionService", "google_adk:Sessions.on_postgres", slow=True, asyncpg=True),
    ),
    "redis": _RECORDS_ON_REDIS,
    "redis-on-disk": _RECORDS_ON_REDIS,
}
