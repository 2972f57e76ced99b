"""openai-agents: sessions, one object a conversation, made for each call as a request handler does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents.extensions.memory import RedisSession, SQLAlchemySession
from agents.memory import SQLiteSession
from data import LAST, Turn
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def _items(turn: Turn) -> list[Any]:
    return [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]


class Sessions:
    """What its sessions have in common."""

    def session(self, conversation: str) -> Any:
        raise NotImplementedError

    async def append(self, turn: Turn) -> None:
        await self.session(turn.conversation).add_items(_items(turn))

    async def last(self, conversation: str) -> Any:
        return await self.session(conversation).get_items(LAST)

    async def fill(self, turns: Iterable[Turn]) -> None:
        talks: dict[str, list[Any]] = {}
        for turn in turns:
            talks.setdefault(turn.conversation, []).extend(_items(turn))
        for conversation, items in talks.items():
            await self.session(conversation).add_items(items)
            self.leave(conversation)

    def leave(self, conversation: str) -> None:
        """Let go of a session that is done with, where it holds something: one of 10,000 files is too many."""

    async def close(self) -> None:
        """Nothing, unless there is something to close."""


class SqliteSessions(Sessions):
    """`SQLiteSession`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Any] = {}

    def session(self, conversation: str) -> Any:
        if conversation not in self._kept:
            self._kept[conversation] = SQLiteSession(conversation, self._path)
        return self._kept[conversation]

    def leave(self, conversation: str) -> None:
        self._kept.pop(conversation).close()

    async def close(self) -> None:
        for session in self._kept.values():
            session.close()


class SqlAlchemySessions(Sessions):
    """`SQLAlchemySession` over any URL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, url: str) -> SqlAlchemySessions:
        engine = create_async_engine(url)
        await SQLAlchemySession("first", engine=engine, create_tables=True).add_items(
            [{"role": "user", "content": "hello"}]
        )
        return cls(engine)

    def session(self, conversation: str) -> Any:
        return SQLAlchemySession(conversation, engine=self._engine)

    async def close(self) -> None:
        await self._engine.dispose()


class RedisSessions(Sessions):
    """`RedisSession`."""

    def __init__(self, url: str) -> None:
        self._client: Any = Redis.from_url(url)

    def session(self, conversation: str) -> Any:
        return RedisSession(conversation, redis_client=self._client, ttl=3_600)

    async def close(self) -> None:
        await self._client.aclose()
