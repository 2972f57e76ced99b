"""langgraph: stores, one item a message under the conversation's namespace, found newest first; one item a record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import AsyncExitStack, ExitStack
from itertools import count, islice
from pathlib import Path
from typing import Any

from data import BATCH, LAST, Turn
from langgraph.store.base import PutOp
from langgraph.store.postgres import PostgresStore
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.sqlite import SqliteStore
from langgraph.store.sqlite.aio import AsyncSqliteStore

from peers.side import PRAGMAS
from peers.values import Value, Values

_numbers = count(1)


def _puts(turn: Turn) -> list[PutOp]:
    namespace = ("talk", turn.conversation)
    said = (("user", turn.question), ("assistant", turn.answer))
    return [PutOp(namespace, f"{next(_numbers):012d}", {"role": role, "content": text}) for role, text in said]


def _batches(turns: Iterable[Turn]) -> Iterable[list[PutOp]]:
    source = iter(turns)
    while batch := list(islice(source, BATCH // 2)):
        yield [put for turn in batch for put in _puts(turn)]


def _records(values: list[Value]) -> list[PutOp]:
    return [PutOp((table, user), key, value) for table, user, key, value in values]


class Store(Values):
    """A synchronous store, called in the event loop."""

    def __init__(self, store: Any, stack: ExitStack) -> None:
        self._store, self._stack = store, stack

    @classmethod
    async def on_sqlite(cls, path: Path) -> Store:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        store, stack = SqliteStore(connection), ExitStack()
        stack.callback(connection.close)
        store.setup()
        return cls(store, stack)

    @classmethod
    async def on_postgres(cls, url: str) -> Store:
        stack = ExitStack()
        store = stack.enter_context(PostgresStore.from_conn_string(url))
        store.setup()
        return cls(store, stack)

    async def append(self, turn: Turn) -> None:
        self._store.batch(_puts(turn))

    async def last(self, conversation: str) -> Any:
        return self._store.search(("talk", conversation), limit=LAST)

    async def fill(self, turns: Iterable[Turn]) -> None:
        for batch in _batches(turns):
            self._store.batch(batch)

    async def get(self, table: str, user: str, key: str) -> dict[str, Any] | None:
        item = self._store.get((table, user), key)
        return item and item.value

    async def put(self, values: list[Value]) -> None:
        self._store.batch(_records(values))

    async def close(self) -> None:
        self._stack.close()


class AsyncStore(Values):
    """An asynchronous store."""

    def __init__(self, store: Any, stack: AsyncExitStack) -> None:
        self._store, self._stack = store, stack

    @classmethod
    async def on_sqlite(cls, path: Path) -> AsyncStore:
        return await cls._on(AsyncSqliteStore.from_conn_string(str(path)))

    @classmethod
    async def on_postgres(cls, url: str) -> AsyncStore:
        pool: Any = {"min_size": 4, "max_size": 16}
        return await cls._on(AsyncPostgresStore.from_conn_string(url, pool_config=pool))

    @classmethod
    async def _on(cls, opening: Any) -> AsyncStore:
        stack = AsyncExitStack()
        store = await stack.enter_async_context(opening)
        await store.setup()
        return cls(store, stack)

    async def append(self, turn: Turn) -> None:
        await self._store.abatch(_puts(turn))

    async def last(self, conversation: str) -> Any:
        return await self._store.asearch(("talk", conversation), limit=LAST)

    async def fill(self, turns: Iterable[Turn]) -> None:
        for batch in _batches(turns):
            await self._store.abatch(batch)

    async def get(self, table: str, user: str, key: str) -> dict[str, Any] | None:
        item = await self._store.aget((table, user), key)
        return item and item.value

    async def put(self, values: list[Value]) -> None:
        await self._store.abatch(_records(values))

    async def close(self) -> None:
        await self._stack.aclose()
