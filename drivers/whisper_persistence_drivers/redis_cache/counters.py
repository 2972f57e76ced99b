"""What is counted, for health and metrics."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs

#: So many latencies are remembered.
_REMEMBERED: Final = 1024


@attrs.define(eq=False)
class Counters:
    """Numbers since the driver was opened. Thread-safe.

    Attributes:
        hits: windows answered from Redis.
        misses: windows that Redis had no answer to.
        refills: conversations put into Redis after a miss, or by the follower.
        stale: conversations found in Redis that were behind the database, and not shown.
        appends: conversations that a write was added to in Redis.
        evictions: conversations that the memory guard removed, or did not let in.
        repaired: conversations that the follower brought up to date or removed.
    """

    hits: int = 0
    misses: int = 0
    refills: int = 0
    stale: int = 0
    appends: int = 0
    evictions: int = 0
    repaired: int = 0
    _seconds: deque[float] = attrs.field(factory=lambda: deque[float](maxlen=_REMEMBERED), init=False, repr=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def add(self, **numbers: int) -> None:
        """Raise some numbers."""
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    def appended(self, answers: Sequence[bytes | None]) -> None:
        """Count what became of appends."""
        self.add(appends=answers.count(b"kept"), evictions=answers.count(b"full"))

    def took(self, seconds: float) -> None:
        """Remember how long an exchange took."""
        self._seconds.append(seconds)

    def numbers(self) -> dict[str, float]:
        """Return every number, with the hit rate and the latencies, in seconds, of the last exchanges."""
        with self._lock:
            counted = attrs.asdict(self, filter=lambda field, _: not field.name.startswith("_"))
        asked = self.hits + self.misses
        found: dict[str, float] = {**counted, "hit_rate": self.hits / asked if asked else 0.0}
        seconds = sorted(self._seconds)
        if seconds:
            found["latency_p50"] = seconds[len(seconds) // 2]
            found["latency_p99"] = seconds[len(seconds) * 99 // 100]
        return found
