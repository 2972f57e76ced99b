"""langchain: message histories, one object a conversation; every read returns the whole conversation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast
from uuid import NAMESPACE_OID, uuid5

import psycopg
from data import LAST, Turn
from langchain_community.chat_message_histories import RedisChatMessageHistory, SQLChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_postgres import PostgresChatMessageHistory
from sqlalchemy import create_engine

_TABLE = "langchain_history"


def _messages(turn: Turn) -> list[BaseMessage]:
    return [HumanMessage(turn.question), AIMessage(turn.answer)]


class Histories:
    """What its histories have in common."""

    def history(self, conversation: str) -> Any:
        raise NotImplementedError

    async def append(self, turn: Turn) -> None:
        self.history(turn.conversation).add_messages(_messages(turn))

    async def last(self, conversation: str) -> Any:
        return self.history(conversation).messages[-LAST:]

    async def fill(self, turns: Iterable[Turn]) -> None:
        talks: dict[str, list[BaseMessage]] = {}
        for turn in turns:
            talks.setdefault(turn.conversation, []).extend(_messages(turn))
        for conversation, messages in talks.items():
            self.history(conversation).add_messages(messages)

    async def close(self) -> None:
        """Nothing, unless there is something to close."""


class SqlHistories(Histories):
    """`SQLChatMessageHistory` over SQLite."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(f"sqlite:///{path}")

    def history(self, conversation: str) -> Any:
        return SQLChatMessageHistory(conversation, connection=self._engine)

    async def close(self) -> None:
        self._engine.dispose()


class PostgresHistories(Histories):
    """`PostgresChatMessageHistory`."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url)
        PostgresChatMessageHistory.create_tables(self._connection, _TABLE)

    def history(self, conversation: str) -> Any:
        session = str(uuid5(NAMESPACE_OID, conversation))
        return PostgresChatMessageHistory(_TABLE, session, sync_connection=self._connection)

    async def close(self) -> None:
        self._connection.close()


class RedisHistories(Histories):
    """`RedisChatMessageHistory`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._kept: dict[str, Any] = {}

    def history(self, conversation: str) -> Any:
        if conversation not in self._kept:
            self._kept[conversation] = RedisChatMessageHistory(conversation, url=self._url, ttl=3_600)
        return self._kept[conversation]

    async def close(self) -> None:
        for history in self._kept.values():
            cast("Any", history).redis_client.close()
