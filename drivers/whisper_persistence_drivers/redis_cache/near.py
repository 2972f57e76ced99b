"""Recents that this process holds itself, so that Redis need not be asked for what was just fetched from it.

They obey the rules of those in Redis: they carry a label, an append upon anything but its predecessor removes them, and
they are shown only where the label is the database's revision, or was within the staleness that is allowed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final, cast

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import Message
from whisper_persistence_drivers.redis_cache.newest import Newest

#: What an entry takes beside its messages, and a message beside its texts, in bytes, by estimate.
_OVERHEAD: Final = 600
_MESSAGE: Final = 300

_read: Final = decoder(Message)
_extra: Final = attrgetter("extra")
_texts: Final = attrgetter("content", "conversation_id", "user_id", "author_id", "message_id", "author_name", "source")

#: A message as it is held: itself, or as its line where it has an ``extra``, which whoever is shown it could change.
Entry = Message | bytes
#: A change that stored a message: its revision, and the message's line; none where it was stored before.
Change = tuple[int, bytes]


@attrs.frozen(eq=False)
class Held:
    """The recents of one conversation, read already: to show them costs next to nothing.

    Attributes:
        revision: the label.
        whole: whether there are no older messages than these.
        entries: the messages, oldest first.
        size: how many bytes they take, by estimate.
        confirmed: when, by this process's clock, it was last certain that they were the database's; 0 for never.
        kept: when they came here.
    """

    revision: int
    whole: bool
    entries: tuple[Entry, ...] = attrs.field(repr=False)
    size: int
    confirmed: float = 0.0
    kept: float = attrs.field(factory=time.monotonic)

    @classmethod
    def of(cls, newest: Newest, confirmed: float = 0.0) -> Held:
        """Return what is to be held of the newest messages."""
        entries = tuple(map(_entry, newest.messages))
        return cls(newest.revision, newest.whole, entries, sum(map(_weight, entries)), confirmed)

    def newest(self, wanted: int) -> Newest:
        """Return so many of the newest messages, 0 for all."""
        entries = self.entries[-wanted:] if wanted else self.entries
        whole = self.whole and len(entries) == len(self.entries)
        return Newest(self.revision, whole, _shown(entries))

    def appended(self, changes: Sequence[Change], recent: int) -> Held | None:
        """Return them with messages that the database took; ``None`` where a change between is missing."""
        revision, new = self.revision, list[Entry]()
        for change, line in changes:
            if change <= revision:
                continue
            if change != revision + 1 or not line:
                return None
            revision = change
            new.append(_entry(_read(line)))
        if not new:
            return self
        whole = self.whole and len(self.entries) + len(new) <= recent
        kept = self.entries[len(new) - recent :] if len(new) < recent else ()
        gone, new = self.entries[: len(self.entries) - len(kept)], new[-recent:]
        size = self.size + sum(map(_weight, new)) - sum(map(_weight, gone))
        return Held(revision, whole, (*kept, *new), size, self.confirmed, self.kept)


def _entry(message: Message) -> Entry:
    return encode(message).encode() if message.extra else message


def _shown(entries: tuple[Entry, ...]) -> Sequence[Message]:
    """Return messages that have no ``extra`` but their own; those that had none get none that was written into it."""
    if bytes not in map(type, entries) and not any(map(_extra, entries)):
        return cast("tuple[Message, ...]", entries)
    return [
        _read(entry) if isinstance(entry, bytes) else attrs.evolve(entry, extra={}) if entry.extra else entry
        for entry in entries
    ]


def _weight(entry: Entry) -> int:
    return sys.getsizeof(entry) if isinstance(entry, bytes) else _MESSAGE + sum(map(sys.getsizeof, _texts(entry)))


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

    def find(self, wanted: Mapping[str, int]) -> dict[str, Held]:
        """Return the recents of those conversations that hold so many messages, or all there are (0)."""
        found: dict[str, Held] = {}
        with self._lock:
            now = time.monotonic()
            for name, number in wanted.items():
                held = self._held.get(name)
                if held is None or not (held.whole or (number and len(held.entries) >= number)):
                    continue
                if now - held.kept > self.ttl:
                    self._remove(name)
                    continue
                self._held.move_to_end(name)
                found[name] = held
        return found

    def put(self, name: str, newest: Newest, confirmed: float = 0.0) -> None:
        """Keep recents, unless newer ones are here, and make room for them."""
        held = Held.of(newest, confirmed) if self.room else None
        with self._lock:
            there = self._held.get(name)
            if held is not None and (there is None or there.revision <= held.revision):
                self._place(name, held)

    def confirm(self, found: Mapping[str, Held], moment: float) -> None:
        """Note that recents were found to be the database's, which was asked at a moment or later."""
        with self._lock:
            for name, confirmed in found.items():
                held = self._held.get(name)
                if held is not None and held.revision >= confirmed.revision:
                    self._held[name] = attrs.evolve(held, confirmed=moment)

    def append(self, name: str, changes: Sequence[Change]) -> None:
        """Add messages that the database took, or remove what lacks a change before them."""
        with self._lock:
            there = self._held.get(name)
            if there is not None:
                grown = there.appended(changes, self.recent)
                self._remove(name) if grown is None else self._place(name, grown)

    def drop(self, revisions: Mapping[str, int]) -> None:
        """Remove what lacks the change of each revision."""
        with self._lock:
            for name, revision in revisions.items():
                held = self._held.get(name)
                if held is not None and held.revision < revision:
                    self._remove(name)

    def forget(self) -> None:
        """Remove what came here too long ago, also if nobody reads it any more."""
        before = time.monotonic() - self.ttl
        with self._lock:
            for name in [name for name, held in self._held.items() if held.kept < before]:
                self._remove(name)

    def _place(self, name: str, held: Held) -> None:
        self._remove(name)
        self._held[name] = held
        self._used += held.size + _OVERHEAD
        while self._used > self.room:
            self._remove(next(iter(self._held)))

    def _remove(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            self._used -= held.size + _OVERHEAD
