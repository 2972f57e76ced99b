"""Each user's learned weights, read once and followed: a view per call, never shared state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

import attrs

from whisper_persistence.companion.importance_cache import Bounded
from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import Durability, Statistics, StatisticsChange


@attrs.frozen
class _Known:
    statistics: Statistics
    read_at: float


@attrs.define(eq=False)
class LearnedWeights:
    """What each user's feedback taught, as far as this process knows.

    Attributes:
        ask: reads a user's statistics from the store.
        clock: seconds that only grow.
        max_age: after so many seconds they are read again, so that what another process learned is followed.
        known: what was read, by user id.
    """

    ask: Callable[[str], Awaitable[Statistics | None]]
    clock: Callable[[], float]
    max_age: float
    known: Bounded[str, _Known]
    _locks: WeakValueDictionary[str, asyncio.Lock] = attrs.field(factory=WeakValueDictionary[str, asyncio.Lock])
    _changes: int = 0
    _sending: int = 0

    async def of(self, user_id: str) -> Statistics:
        """Return a user's statistics, of which only what was learned is sure to be of now.

        Where the store does not answer it is what was last known, or that of a user nothing is known about.
        """
        found = self.known.get(user_id)
        if found is not None and self.clock() - found.read_at < self.max_age:
            return found.statistics
        try:
            return await self._read(user_id)
        except PersistenceError:
            latest = self.known.get(user_id)
            return latest.statistics if latest else Statistics(user_id)

    def lesson(self, user_id: str) -> asyncio.Lock:
        """Return what is held while somebody teaches about a user, because a lesson depends on those before it."""
        return self._locks.setdefault(user_id, asyncio.Lock())

    async def learn(self, change: StatisticsChange, sending: Awaitable[Durability]) -> Durability:
        """Follow what is being sent, wherever it arrives, and return how safe it is.

        What is read meanwhile is not remembered, because nobody can tell whether it holds the change already.
        """
        self._sending += 1
        try:
            durability = await sending
        finally:
            self._sending -= 1
            self._changes += 1
        found = self.known.get(change.user_id)
        self._put(change.apply_to(found.statistics if found else None, {}), found.read_at if found else -self.max_age)
        return durability

    async def _read(self, user_id: str) -> Statistics:
        changes = self._changes
        record = await self.ask(user_id) or Statistics(user_id)
        if changes == self._changes and not self._sending:
            self._put(record, self.clock())
        return record

    def _put(self, record: Statistics, read_at: float) -> None:
        self.known.put(record.user_id, _Known(record, read_at))
