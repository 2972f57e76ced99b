"""One refill at a time: threads that miss what another is about to fetch wait for it instead of fetching it too."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final

import attrs

#: How long to wait for another's refill, in seconds, before fetching it oneself.
_PATIENCE: Final = 1.0


@attrs.define(eq=False)
class Flights:
    """The refills of this process that are on their way. Thread-safe."""

    _going: dict[str, threading.Event] = attrs.field(factory=dict[str, threading.Event], init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @contextmanager
    def over(self, conversations: Iterable[str]) -> Generator[None]:
        """Be the one who fetches conversations until the block ends, except those that somebody fetches already."""
        landed = threading.Event()
        with self._lock:
            mine = [name for name in conversations if self._going.setdefault(name, landed) is landed]
        try:
            yield
        finally:
            with self._lock:
                for name in mine:
                    del self._going[name]
            landed.set()

    def wait(self, conversations: Iterable[str]) -> list[str]:
        """Wait for those that somebody is fetching; return them."""
        with self._lock:
            going = {name: self._going[name] for name in conversations if name in self._going}
        until = time.monotonic() + _PATIENCE
        for landed in going.values():
            landed.wait(max(0.0, until - time.monotonic()))
        return list(going)
