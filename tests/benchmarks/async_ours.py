"""This package through asyncio."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from data import LAST, Turn
from ours import Ours, chain, messages

from whisper_persistence.aio import AsyncStore
from whisper_persistence.records import Message, Window


class AsyncOurs:
    """`AsyncStore` over SQLite."""

    plain_messages = Ours.plain_messages

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    @classmethod
    async def open(cls, path: Path) -> Self:
        store = AsyncStore(chain(path))
        await store.open()
        return cls(store)

    async def append(self, turn: Turn) -> None:
        await self._store.save_messages(messages(turn))

    async def last(self, conversation: str) -> tuple[Message, ...]:
        window = Window(conversation, LAST)
        return (await self._store.load_messages([window]))[window]

    async def close(self) -> None:
        await self._store.close()
