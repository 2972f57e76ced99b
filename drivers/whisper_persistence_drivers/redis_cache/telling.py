"""Appends on their way to Redis: they gather for some milliseconds and are sent together, while no caller waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Final

import attrs

from whisper_persistence_drivers.redis_cache.exchange import TOGETHER
from whisper_persistence_drivers.redis_cache.near import Change

#: For how long appends gather, in seconds: so many share one packet, and hardly anybody reads them elsewhere before.
_PAUSE: Final = 0.02
#: So many bytes at most gather.
_MUCH: Final = 1_000_000
#: How long to wait for others who are sending, in seconds.
_PATIENCE: Final = 1.0


@attrs.define(eq=False)
class Telling:
    """What Redis was not told of yet, by conversation, and a thread that sees to it. Thread-safe.

    Attributes:
        send: tells Redis of the changes of some conversations, and waits until it has answered.
    """

    send: Callable[[Mapping[str, list[Change]]], None]
    _waiting: dict[str, list[Change]] = attrs.field(factory=dict[str, list[Change]], init=False)
    _size: int = attrs.field(default=0, init=False)
    _sending: Set[str] = attrs.field(factory=frozenset[str], init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _turn: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _wake: threading.Event = attrs.field(factory=threading.Event, init=False)
    _stopped: bool = attrs.field(default=False, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)

    def add(self, items: Mapping[str, list[Change]]) -> None:
        """Have Redis told soon; where much has gathered already, now."""
        with self._lock:
            for name, changes in items.items():
                self._waiting.setdefault(name, []).extend(changes)
                self._size += _size(changes)
            much = len(self._waiting) > TOGETHER or self._size > _MUCH
        if much:
            self.flush()
        else:
            self.begin()

    def take(self, names: Iterable[str]) -> dict[str, list[Change]]:
        """Return what waits of some conversations, for the caller to send it with its own question about them."""
        if not self._waiting and not self._sending:
            return {}
        asked = set(names)
        if not asked.isdisjoint(self._sending) and self._turn.acquire(timeout=_PATIENCE):
            self._turn.release()
        with self._lock:
            taken = {name: self._waiting.pop(name) for name in asked & self._waiting.keys()}
            self._size -= sum(map(_size, taken.values()))
        return taken

    def flush(self) -> None:
        """Tell Redis of everything that waits."""
        if not self._turn.acquire(timeout=_PATIENCE):
            return
        try:
            with self._lock:
                told, self._waiting, self._size = self._waiting, {}, 0
                self._sending = told.keys()
            if told:
                self.send(told)
        finally:
            self._sending = frozenset()
            self._turn.release()

    def begin(self) -> None:
        """See to it that the thread looks."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="whisper-persistence-telling", daemon=True)
                    self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Tell Redis of what waits, and end the thread."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait()
            self._wake.clear()
            time.sleep(_PAUSE)
            self.flush()


def _size(changes: Iterable[Change]) -> int:
    return sum(len(line) for _, line in changes)
