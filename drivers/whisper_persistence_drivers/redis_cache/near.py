"""Recents that this process holds itself, so that Redis need not be asked for what was just fetched from it.

They obey the rules of those in Redis: they carry a label, an append upon anything but its predecessor removes them, and
they are shown only where the label is the database's revision, or was within the staleness that is allowed.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

#: What an entry takes beside its lines, in bytes, more or less.
_OVERHEAD: Final = 500


@attrs.frozen
class Held:
    """The recents of one conversation.

    Attributes:
        revision: the label.
        whole: whether there are no older messages than these.
        lines: a message a line, oldest first.
        count: how many.
        confirmed: when, by this process's clock, it was last certain that they were the database's; 0 for never.
        kept: when they came here.
    """

    revision: int
    whole: bool
    lines: bytes = attrs.field(repr=False)
    count: int
    confirmed: float = 0.0
    kept: float = attrs.field(factory=time.monotonic)

    def appended(self, revision: int, line: bytes, recent: int) -> Held | None:
        """Return them with a message that the database took; ``None`` where a change between is missing."""
        if revision <= self.revision:
            return self
        if revision != self.revision + 1 or not line:
            return None
        grown = attrs.evolve(self, revision=revision, lines=self.lines + line + b"\n", count=self.count + 1)
        if grown.count <= recent:
            return grown
        return attrs.evolve(grown, whole=False, lines=grown.lines.split(b"\n", 1)[1], count=recent)


@attrs.define(eq=False)
class Near:
    """The recents of this process, the least used of which go when there is no room. Thread-safe.

    Attributes:
        room: how many bytes they may take; 0 for none.
        recent: how many messages of a conversation are kept.
        ttl: how long a conversation is kept, in seconds.
    """

    room: int
    recent: int
    ttl: float
    _held: OrderedDict[str, Held] = attrs.field(factory=OrderedDict[str, Held], init=False)
    _used: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def get(self, name: str, wanted: int) -> Held | None:
        """Return a conversation's recents if they hold so many messages, or all there are (0)."""
        with self._lock:
            held = self._held.get(name)
            if held is None or not (held.whole or (wanted and held.count >= wanted)):
                return None
            if time.monotonic() - held.kept > self.ttl:
                self._remove(name)
                return None
            self._held.move_to_end(name)
            return held

    def put(self, name: str, held: Held) -> None:
        """Keep recents, unless newer ones are here, and make room for them."""
        with self._lock:
            there = self._held.get(name)
            if there is not None and there.revision > held.revision:
                return
            self._place(name, held)

    def confirm(self, found: Mapping[str, Held], moment: float) -> None:
        """Note that recents were found to be the database's, which was asked at a moment or later."""
        with self._lock:
            for name, confirmed in found.items():
                held = self._held.get(name)
                if held is not None and held.revision >= confirmed.revision:
                    self._held[name] = attrs.evolve(held, confirmed=moment)

    def append(self, name: str, revision: int, line: bytes) -> None:
        """Add a message that the database took, or remove what lacks a change before it."""
        with self._lock:
            there = self._held.get(name)
            if there is not None:
                grown = there.appended(revision, line, self.recent)
                self._remove(name) if grown is None else self._place(name, grown)

    def drop(self, names: Iterable[str]) -> None:
        """Remove conversations that were changed."""
        with self._lock:
            for name in names:
                self._remove(name)

    def _place(self, name: str, held: Held) -> None:
        self._remove(name)
        self._held[name] = held
        self._used += len(held.lines) + _OVERHEAD
        while self._used > self.room:
            self._remove(next(iter(self._held)))

    def _remove(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            self._used -= len(held.lines) + _OVERHEAD
