"""The least that code over psycopg and asyncpg has to do: a conventional table, statements prepared by the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import asyncpg
import msgspec
import psycopg

from whisper_persistence import Message, Strategy

SCHEMA = """
CREATE TABLE floor_messages(
    id BIGSERIAL PRIMARY KEY, conversation TEXT, usr TEXT, author TEXT, role TEXT, content TEXT, created BIGINT);
CREATE INDEX floor_messages_by_conversation ON floor_messages(conversation, id);
CREATE TABLE floor_strategies(user_id TEXT PRIMARY KEY, record TEXT);
"""
COLUMNS = "conversation, usr, author, role, content, created"
LAST = f"SELECT {COLUMNS} FROM floor_messages WHERE conversation = %s ORDER BY id DESC LIMIT 20"  # noqa: S608
SAVE = "INSERT INTO floor_strategies VALUES (%s, %s) ON CONFLICT (user_id) DO UPDATE SET record = excluded.record"
LOAD = "SELECT record FROM floor_strategies WHERE user_id = %s"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _row(message: Message) -> tuple[Any, ...]:
    words = (message.conversation_id, message.user_id, message.author_id, message.role, message.content)
    return (*words, int(message.timestamp.timestamp() * 1e6))


def _insert(count: int, mark: str) -> str:
    marks = (f"({', '.join(mark.format(row * 6 + place) for place in range(1, 7))})" for row in range(count))
    return f"INSERT INTO floor_messages({COLUMNS}) VALUES {', '.join(marks)}"  # noqa: S608


class Floor:
    """One connection that commits by itself."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        for statement in SCHEMA.strip().split(";\n"):
            self._connection.execute(statement.encode())
        self._cursor = self._connection.cursor(binary=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def add(self, messages: Sequence[Message]) -> None:
        """Append messages in one statement."""
        self._cursor.execute(_insert(len(messages), "%s").encode(), [value for m in messages for value in _row(m)])

    def copy(self, messages: Sequence[Message]) -> None:
        """Append messages by COPY."""
        with self._cursor.copy(f"COPY floor_messages({COLUMNS}) FROM STDIN".encode()) as copy:
            for message in messages:
                copy.write_row(_row(message))

    def last(self, conversation: str) -> list[Any]:
        """Return the last 20."""
        return self._cursor.execute(LAST, (conversation,)).fetchall()

    def save(self, strategy: Strategy) -> None:
        """Put a record."""
        self._cursor.execute(SAVE, (strategy.user_id, _encode(strategy).decode()))

    def load(self, user_id: str) -> dict[str, Any]:
        """Return a record."""
        return _decode(self._cursor.execute(LOAD, (user_id,)).fetchall()[0][0])

    def analyze(self) -> None:
        """Have the server look at what there is."""
        self._connection.execute("ANALYZE")


class AsyncFloor:
    """A pool of asyncpg's, whose statements are prepared."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._pool = await asyncpg.create_pool(self._url, min_size=8, max_size=8)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pool.close()

    async def add(self, messages: Sequence[Message]) -> None:
        """Append messages in one statement."""
        values = [value for message in messages for value in _row(message)]
        await self._pool.execute(_insert(len(messages), "${}"), *values)

    async def last(self, conversation: str) -> list[Any]:
        """Return the last 20."""
        return await self._pool.fetch(LAST.replace("%s", "$1"), conversation)
