"""llama-index: key-value stores, one collection a kind of record."""

from __future__ import annotations

from typing import Any

from llama_index.storage.kvstore.postgres import PostgresKVStore

from peers.values import Value, Values


class Store(Values):
    """`PostgresKVStore`."""

    def __init__(self, url: str) -> None:
        self._store: Any = PostgresKVStore(
            "kept",
            connection_string=url.replace("://", "+psycopg://"),
            async_connection_string=url.replace("://", "+asyncpg://"),
            use_jsonb=True,
        )

    async def get(self, table: str, user: str, key: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self._store.aget(f"{user}/{key}", collection=table)
        return found

    async def put(self, values: list[Value]) -> None:
        by_table: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for table, user, key, value in values:
            by_table.setdefault(table, []).append((f"{user}/{key}", value))
        for table, pairs in by_table.items():
            await self._store.aput_all(pairs, collection=table)

    async def close(self) -> None:
        self._store._engine.dispose()
        await self._store._async_engine.dispose()
