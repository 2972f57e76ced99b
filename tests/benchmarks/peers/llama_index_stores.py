"""llama-index: chat stores, one key a conversation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data import LAST, Turn
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore
from llama_index.storage.chat_store.postgres import PostgresChatStore
from llama_index.storage.chat_store.redis import RedisChatStore
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker


def _messages(turn: Turn) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=turn.question), ChatMessage(role="assistant", content=turn.answer)]


class SqlStore:
    """`SQLAlchemyChatStore` over SQLite."""

    def __init__(self, path: Path) -> None:
        self._store = SQLAlchemyChatStore(table_name="chat", async_database_uri=f"sqlite+aiosqlite:///{path}")

    async def append(self, turn: Turn) -> None:
        await self._store.add_messages(turn.conversation, _messages(turn))

    async def last(self, conversation: str) -> Any:
        return (await self._store.get_messages(conversation))[-LAST:]

    async def fill(self, turns: Iterable[Turn]) -> None:
        for turn in turns:
            await self.append(turn)

    async def close(self) -> None:
        engine: Any = self._store._async_engine
        await engine.dispose()


class KeyedStore:
    """The stores that add one message at a time."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def on_postgres(cls, url: str) -> KeyedStore:
        engines = (
            create_engine(url.replace("://", "+psycopg://")),
            create_async_engine(url.replace("://", "+asyncpg://")),
        )
        sync, asynchronous = sessionmaker(engines[0]), async_sessionmaker(engines[1])
        return cls(PostgresChatStore(sync, asynchronous, "chat"))

    @classmethod
    def on_redis(cls, url: str) -> KeyedStore:
        return cls(RedisChatStore(url, ttl=3_600))

    async def append(self, turn: Turn) -> None:
        for message in _messages(turn):
            await self._store.async_add_message(turn.conversation, message)

    async def last(self, conversation: str) -> Any:
        return (await self._store.aget_messages(conversation))[-LAST:]

    async def fill(self, turns: Iterable[Turn]) -> None:
        talks: dict[str, list[ChatMessage]] = {}
        for turn in turns:
            talks.setdefault(turn.conversation, []).extend(_messages(turn))
        for conversation, messages in talks.items():
            await self._store.aset_messages(conversation, messages)

    async def close(self) -> None:
        """Nothing: it has no way to be closed."""
