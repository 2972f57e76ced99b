"""How often recents answered, counted over all processes that share them: whoever asks later has none of their own."""

from __future__ import annotations

import threading
from typing import Any, Final

import attrs

from whisper_persistence_drivers.redis_cache import scripts
from whisper_persistence_drivers.redis_cache.exchange import Call, Exchange

#: What is counted together.
_NAMES: Final = ("hits", "misses")
#: A count is begun anew after so many milliseconds: a day.
_LIFE: Final = 86_400_000


@attrs.define(eq=False)
class Tally:
    """The windows of a namespace that Redis and processes had an answer to, and those that they had none to.

    Attributes:
        exchange: how servers are asked, and what this process counts.
        key: where the sums of all processes are.
    """

    exchange: Exchange
    key: str
    _told: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(_NAMES, 0), init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def tell(self) -> None:
        """Add what this process has counted since, if it has."""
        if self._told != self._own():
            self.read()

    def read(self) -> dict[str, float]:
        """Add what this process has counted since; return the sums and the hit rate; nothing without an answer."""
        with self._lock:
            own = self._own()
            added = [each for name in _NAMES for each in (name, own[name] - self._told[name])]
            (answer,) = self.exchange.run([Call(scripts.COUNT, self.key, (_LIFE, *added))])
            if not answer:
                return {}
            self._told = own
        return _shown(answer)

    def _own(self) -> dict[str, int]:
        return {name: getattr(self.exchange.counters, name) for name in _NAMES}


def _shown(answer: list[Any]) -> dict[str, float]:
    hits, misses = map(int, answer)
    asked = hits + misses
    return {"shared_hits": hits, "shared_misses": misses, "shared_hit_rate": hits / asked if asked else 0.0}
