"""What is kept of importance in memory only: bounded, and gone with the process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from whisper_persistence.records import MemoryScore

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A mapping that forgets what was not used for longest once it holds more than its limit."""

    def __init__(self, limit: int) -> None:
        """Hold at most ``limit`` entries."""
        self._limit = limit
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return an entry, which counts as using it, or ``None``."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Put an entry, and forget the least recently used one if there are too many."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


class ScoreCache(Bounded[tuple[str, str], MemoryScore]):
    """The scores calculated by this process, by user id and memory id; never filled from stored ones."""

    def add(self, score: MemoryScore) -> None:
        """Keep a score as its memory's latest."""
        self.put((score.user_id, score.memory_id), score)

    def replace(self, scores: Iterable[MemoryScore]) -> None:
        """Keep these scores of memories that are in the cache, and no others."""
        for score in scores:
            if (score.user_id, score.memory_id) in self:
                self.add(score)

    def latest(self, score: MemoryScore) -> MemoryScore:
        """Return a stored score, or this process's later one of the same memory, which may never have been stored."""
        own = self.get((score.user_id, score.memory_id))
        return own if own is not None and own.calculation_timestamp > score.calculation_timestamp else score

    def of_user(self, user_id: str) -> list[MemoryScore]:
        """Return the scores of exactly this user."""
        return [score for (owner, _), score in self._entries.items() if owner == user_id]

    def clear_user(self, user_id: str) -> None:
        """Forget the scores of exactly this user."""
        for score in self.of_user(user_id):
            self.drop((user_id, score.memory_id))
