"""This package."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from data import BATCH, LAST, Turn
from ours import messages

from whisper_persistence import AsyncStore, Message, Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain

Drivers = Mapping[str, Mapping[str, Any]]


def _chain(drivers: Drivers) -> Chain:
    return Chain.build([DriverSpec(name, dict(options)) for name, options in drivers.items()])


class Ours:
    """`AsyncStore` over the drivers that are named, with their options."""

    def __init__(self, drivers: Drivers, workers: int = 4) -> None:
        self._store = AsyncStore(_chain(drivers), workers=workers)

    @classmethod
    async def open(cls, drivers: Drivers, workers: int = 4) -> Self:
        ours = cls(drivers, workers)
        await ours._store.open()
        return ours

    async def append(self, turn: Turn) -> None:
        await self._store.save_messages(messages(turn))

    async def last(self, conversation: str) -> Sequence[Message]:
        window = Window(conversation, LAST)
        return (await self._store.load_messages([window])).get(window, ())

    async def fill(self, turns: Iterable[Turn]) -> None:
        for batch in _batched(turns):
            await self._store.save_messages([message for turn in batch for message in messages(turn)])

    async def close(self) -> None:
        await self._store.close()


class OursDirect:
    """`Store`, called in the event loop as the synchronous peers are."""

    def __init__(self, drivers: Drivers) -> None:
        self._store = Store(_chain(drivers))

    async def append(self, turn: Turn) -> None:
        self._store.save_messages(messages(turn))

    async def last(self, conversation: str) -> Sequence[Message]:
        window = Window(conversation, LAST)
        return self._store.load_messages([window]).get(window, ())

    async def fill(self, turns: Iterable[Turn]) -> None:
        for batch in _batched(turns):
            self._store.save_messages([message for turn in batch for message in messages(turn)])

    async def close(self) -> None:
        self._store.close()


def _batched(turns: Iterable[Turn]) -> Iterable[tuple[Turn, ...]]:
    source = iter(turns)
    while batch := tuple(itertools.islice(source, BATCH // 2)):
        yield batch
