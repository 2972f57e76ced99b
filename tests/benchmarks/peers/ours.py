"""This package."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from data import BATCH, LAST, Turn
from ours import lesson, messages, scored

from whisper_persistence import AsyncStore, Message, Store, Strategy, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain

Drivers = Mapping[str, Mapping[str, Any]]
T = TypeVar("T")


def _chain(drivers: Drivers) -> Chain:
    return Chain.build([DriverSpec(name, dict(options)) for name, options in drivers.items()])


def _batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    source = iter(items)
    while batch := tuple(itertools.islice(source, size)):
        yield batch


def _talks(turns: Iterable[Turn]) -> Iterator[list[Message]]:
    for batch in _batched(turns, BATCH // 2):
        yield [message for turn in batch for message in messages(turn)]


def _strategies(profiles: Iterable[dict[str, Any]]) -> Iterator[list[Strategy]]:
    for batch in _batched(profiles, BATCH):
        yield [Strategy(**profile) for profile in batch]


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
        for batch in _talks(turns):
            await self._store.save_messages(batch)

    async def save(self, profile: dict[str, Any]) -> None:
        await self._store.save_strategies([Strategy(**profile)])

    async def load(self, user: str) -> Strategy:
        return (await self._store.load_strategies([user]))[user]

    async def learn(self, user: str, number: int) -> None:
        await self._store.update_strategies([lesson(user, number)])

    async def score(self, user: str, number: int) -> None:
        await self._store.update_statistics([scored(user, number)])

    async def keep(self, profiles: Iterable[dict[str, Any]]) -> None:
        for batch in _strategies(profiles):
            await self._store.save_strategies(batch)

    def learned(self, answer: Strategy) -> str:
        return str(answer.support_history[-1]["intervention_id"])

    async def close(self) -> None:
        await self._store.close()


class OursDirect:
    """`Store`, called in the event loop as the synchronous peers are."""

    learned = Ours.learned

    def __init__(self, drivers: Drivers) -> None:
        self._store = Store(_chain(drivers))

    async def append(self, turn: Turn) -> None:
        self._store.save_messages(messages(turn))

    async def last(self, conversation: str) -> Sequence[Message]:
        window = Window(conversation, LAST)
        return self._store.load_messages([window]).get(window, ())

    async def fill(self, turns: Iterable[Turn]) -> None:
        for batch in _talks(turns):
            self._store.save_messages(batch)

    async def save(self, profile: dict[str, Any]) -> None:
        self._store.save_strategies([Strategy(**profile)])

    async def load(self, user: str) -> Strategy:
        return self._store.load_strategies([user])[user]

    async def learn(self, user: str, number: int) -> None:
        self._store.update_strategies([lesson(user, number)])

    async def score(self, user: str, number: int) -> None:
        self._store.update_statistics([scored(user, number)])

    async def keep(self, profiles: Iterable[dict[str, Any]]) -> None:
        for batch in _strategies(profiles):
            self._store.save_strategies(batch)

    async def close(self) -> None:
        self._store.close()
