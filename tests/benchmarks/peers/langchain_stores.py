"""langchain: stores of bytes by key, one key a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from langchain_community.storage import RedisStore, SQLStore

from peers.values import Value, Values


class Store(Values):
    """A synchronous store, called in the event loop."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def on_sqlite(cls, path: Path) -> Store:
        return cls._on_sql(f"sqlite:///{path}")

    @classmethod
    def on_postgres(cls, url: str) -> Store:
        return cls._on_sql(url.replace("://", "+psycopg://"))

    @classmethod
    def on_redis(cls, url: str) -> Store:
        return cls(RedisStore(redis_url=url))

    @classmethod
    def _on_sql(cls, url: str) -> Store:
        store = SQLStore(namespace="bench", db_url=url)
        store.create_schema()
        return cls(store)

    async def get(self, table: str, user: str, key: str) -> dict[str, Any] | None:
        (found,) = self._store.mget([f"{table}/{user}/{key}"])
        value: dict[str, Any] | None = found and msgspec.json.decode(found)
        return value

    async def put(self, values: list[Value]) -> None:
        self._store.mset([(f"{table}/{user}/{key}", msgspec.json.encode(value)) for table, user, key, value in values])

    async def close(self) -> None:
        if isinstance(self._store, SQLStore):
            self._store.engine.dispose()
        else:
            self._store.client.close()
