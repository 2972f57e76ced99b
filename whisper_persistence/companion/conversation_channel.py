"""What a conversation cache holds of one channel."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from whisper_persistence.companion.conversation_entry import Waiting
from whisper_persistence.companion.conversation_shapes import to_stored
from whisper_persistence.records import ClearMark, Message, MessageEdit, MessageRedaction

_NEVER: Final = float("-inf")


@attrs.define(eq=False)
class Held:
    """One message in a cache.

    Attributes:
        record: what is stored of it, or would be.
        face: what the bot is given: its own object, or ours.
        kept: whether it is in the storage, or on its way there; else it came from the bot's network only.
        number: its place among all that were ever put into the channel.
    """

    record: Message
    face: Any
    kept: bool = True
    number: int = 0

    @classmethod
    def of(cls, record: Message) -> Held:
        """Return a stored message as it is held."""
        return cls(record, to_stored(record))


@attrs.define(eq=False)
class Channel:
    """One channel in a cache.

    Attributes:
        channel_id: which.
        most: how many messages it holds.
        held: its messages, oldest first.
        unsent: what is still to be written, in order.
        sending: what is being written just now.
        writer: what writes it.
        asked: the user whose context was read last, and the message that is being answered, if either is known.
        withdrawn: ids of messages that the bot took back, until it adds them again.
        changes: the last edit or redaction of each message: the network may tell of it before the bot adds the message.
        version: raised when messages were taken away, so that what was read before is not put back.
        puts: how many messages were ever put into it.
        read_at, history_at: when storage and network were last read, in seconds of the cache's clock.
        used_at: when the bot last asked.
        lock: held while storage and network are read.
    """

    channel_id: str
    most: int
    held: list[Held] = attrs.field(factory=list[Held])
    unsent: deque[Waiting] = attrs.field(factory=deque[Waiting])
    sending: list[Waiting] = attrs.field(factory=list[Waiting])
    writer: asyncio.Task[None] | None = None
    asked: tuple[str | None, str | None] = (None, None)
    withdrawn: dict[str, None] = attrs.field(factory=dict[str, None])
    changes: dict[str, MessageEdit | MessageRedaction] = attrs.field(factory=dict[str, MessageEdit | MessageRedaction])
    version: int = 0
    puts: int = 0
    read_at: float = _NEVER
    history_at: float = _NEVER
    used_at: float = _NEVER
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    @property
    def is_busy(self) -> bool:
        """Whether it must not be forgotten now."""
        return bool(self.unsent or self.sending or self.lock.locked())

    def find(self, message_id: str) -> Held | None:
        """Return the message of this id, if it is held."""
        return next((held for held in reversed(self.held) if held.record.message_id == message_id), None)

    def put(self, new: Held) -> None:
        """Hold a message, as it was changed, at its place in time, after those of the same moment.

        Of one id the newer face stays.
        """
        self.puts += 1
        new.number = self.puts
        change = self.changes.get(new.record.message_id)
        if change is not None:
            new.record = change.apply_to(new.record)
            new.face = to_stored(new.record)
        before = self.find(new.record.message_id)
        if before is not None:
            before.record, before.face, before.kept = new.record, new.face, before.kept or new.kept
            before.number = new.number
            return
        place = len(self.held)
        while place and self.held[place - 1].record.timestamp > new.record.timestamp:
            place -= 1
        self.held.insert(place, new)
        del self.held[: -self.most]

    def replace(self, stored: Iterable[Message], others: Iterable[Held]) -> None:
        """Hold what is stored, and others beside it; live faces stay unless their words changed."""
        faces = {held.record.message_id: held for held in self.held}
        found: dict[str, Held] = {}
        for record in stored:
            known = faces.get(record.message_id)
            same = known is not None and known.record.content == record.content
            found[record.message_id] = Held(record, known.face) if known and same else Held.of(record)
        for held in others:
            found.setdefault(held.record.message_id, held)
        shown = [held for held in found.values() if held.record.message_id not in self.withdrawn]
        self.held = sorted(shown, key=lambda held: held.record.timestamp)[-self.most :]

    def waiting(self) -> set[str]:
        """Return the ids of the messages that are still to be written, less those that were cleared since."""
        ids: set[str] = set()
        for item in (*self.sending, *self.unsent):
            if isinstance(item, ClearMark):
                ids.clear()
            elif isinstance(item, Message):
                ids.add(item.message_id)
        return ids

    def change(self, change: MessageEdit | MessageRedaction) -> None:
        """Have a change written, and made to its message whenever that is put, unless that was redacted."""
        self.unsent.append(change)
        last = self.changes.pop(change.message_id, None)
        self.changes[change.message_id] = last if isinstance(last, MessageRedaction) else change
        while len(self.changes) > self.most:
            del self.changes[next(iter(self.changes))]

    def drop(self, unwanted: Callable[[Message], bool]) -> None:
        """Take messages away, also those that are still to be written."""
        self.version += 1
        self.held = [held for held in self.held if not unwanted(held.record)]
        self.unsent = deque(item for item in self.unsent if not (isinstance(item, Message) and unwanted(item)))
