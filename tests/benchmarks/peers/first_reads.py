"""A process that keeps talk, from its start: ``python -m peers.first_reads WHAT NAME [PATH] [USERS]``.

It imports next to nothing before what it measures, and prints nanoseconds or bytes.
"""

from __future__ import annotations

import asyncio
import pkgutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

LONG: Final = "long"
LAST: Final = 20


def ours(path: str) -> Any:
    """Read the last messages with this package."""
    from whisper_persistence import Store, Window

    store = Store.from_settings(drivers="sqlite", options={"sqlite": {"path": path}})
    window = Window(LONG, LAST)
    return store.load_messages([window])[window]


def openai_agents(path: str) -> Any:
    """Read the last messages with `SQLiteSession`."""
    from agents.memory import SQLiteSession

    return asyncio.run(SQLiteSession(LONG, path).get_items(LAST))


def langgraph(path: str) -> Any:
    """Read the last messages with `SqliteStore`."""
    import sqlite3

    from langgraph.store.sqlite import SqliteStore

    store = SqliteStore(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
    store.setup()
    return store.search(("talk", LONG), limit=LAST)


def async_langgraph(path: str) -> Any:
    """Read the last messages with `AsyncSqliteStore`."""
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    async def read() -> Any:
        async with AsyncSqliteStore.from_conn_string(path) as store:
            await store.setup()
            return await store.asearch(("talk", LONG), limit=LAST)

    return asyncio.run(read())


def langchain(path: str) -> Any:
    """Read the last messages with `SQLChatMessageHistory`."""
    from langchain_community.chat_message_histories import SQLChatMessageHistory

    return SQLChatMessageHistory(LONG, connection=f"sqlite:///{path}").messages[-LAST:]


def llama_index(path: str) -> Any:
    """Read the last messages with `SQLAlchemyChatStore`."""
    from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

    store = SQLAlchemyChatStore(table_name="chat", async_database_uri=f"sqlite+aiosqlite:///{path}")
    return asyncio.run(store.get_messages(LONG))[-LAST:]


def google_adk(path: str) -> Any:
    """Read the last messages with `SqliteSessionService`."""
    from google.adk.sessions.base_session_service import GetSessionConfig
    from google.adk.sessions.sqlite_session_service import SqliteSessionService

    given = {"app_name": "bench", "user_id": LONG, "session_id": LONG}
    reading = SqliteSessionService(path).get_session(**given, config=GetSessionConfig(num_recent_events=LAST))
    found: Any = asyncio.run(reading)
    return found.events


#: By name in `peers.entries.TALK`: what a bot imports, and the first thing it does.
FIRST: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "ours": ("whisper_persistence:Store", ours),
    "openai-agents SQLiteSession": ("agents.memory:SQLiteSession", openai_agents),
    "langgraph SqliteStore": ("langgraph.store.sqlite:SqliteStore", langgraph),
    "langgraph AsyncSqliteStore": ("langgraph.store.sqlite.aio:AsyncSqliteStore", async_langgraph),
    "langchain SQLChatMessageHistory": ("langchain_community.chat_message_histories:SQLChatMessageHistory", langchain),
    "llama-index SQLAlchemyChatStore": ("llama_index.core.storage.chat_store.sql:SQLAlchemyChatStore", llama_index),
    "google-adk SqliteSessionService": ("google.adk.sessions.sqlite_session_service:SqliteSessionService", google_adk),
}


def resident() -> int:
    """Return how many bytes of this process are in memory."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


async def served(name: str, place: str, users: int) -> int:
    """Return by how many bytes a process grows while it reads the talk of so many users, a tenth of them before."""
    import data

    from peers.entries import TALK

    entry = next(entry for entry in TALK["sqlite"] if entry.name == name)
    side = await entry.open({"sqlite": {"path": place}} if entry.ours else Path(place))
    for user in range(users // 10):
        await side.last(data.user_name(user))
    before = resident()
    for user in range(users):
        await side.last(data.user_name(user))
    after = resident()
    await side.close()
    return after - before


def main() -> None:
    """Do what the command line says."""
    what, name, *rest = sys.argv[1:]
    imported, read = FIRST[name]
    began = time.perf_counter_ns()
    if what == "serve":
        figures = [asyncio.run(served(name, rest[0], int(rest[1])))]
    elif what == "import":
        pkgutil.resolve_name(imported)
        figures = [time.perf_counter_ns() - began]
    else:
        found = len(read(rest[0]))
        figures = [time.perf_counter_ns() - began, resident()]
        if found != LAST:
            sys.exit(f"{name} finds {found} of the last {LAST} messages")
    print(*figures)  # noqa: T201


if __name__ == "__main__":
    main()
