"""What a batch will make of a conversation's file, worked out before anything is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs

from whisper_persistence.records import ClearMark, Durability, Message, MessageChange, Receipt
from whisper_persistence_jsonl.conversation import Conversation, Header, Line, write_lines

#: How long the ids of applied changes are remembered, in seconds.
REMEMBERED = 30 * 24 * 3600.0


@attrs.define
class Addition:
    """Messages to append to one conversation."""

    conversation: Conversation
    revision: int
    sequence: int
    added: dict[str, Line] = attrs.field(factory=dict[str, Line])

    @classmethod
    def to(cls, conversation: Conversation) -> Addition:
        """Return an empty addition."""
        return cls(conversation, conversation.revision, conversation.sequence)

    def append(self, message: Message) -> Receipt:
        """Add a message unless its id is there already."""
        known = self.conversation.places.get(message.message_id)
        if known:
            return self._receipt(known.sequence, repeated=True)
        if message.message_id in self.added:
            return self._receipt(self.added[message.message_id].message.sequence, repeated=True)
        self.revision += 1
        self.sequence += 1
        numbered = attrs.evolve(message, sequence=self.sequence)
        self.added[message.message_id] = Line(self.revision, numbered)
        return self._receipt(self.sequence, repeated=False)

    def write(self) -> tuple[int, str]:
        """Return where to write, and what."""
        header = [] if self.conversation.size else [self.conversation.header]
        return self.conversation.size, write_lines([*header, *self.added.values()])

    def _receipt(self, sequence: int | None, *, repeated: bool) -> Receipt:
        return Receipt(Durability.DURABLE, self.revision, self.conversation.header.epoch, sequence, repeated)


@attrs.define
class Rewrite:
    """A conversation that is written anew, so that no byte of what it lost is left."""

    header: Header
    messages: dict[str, Message]
    changed: bool = False

    @classmethod
    def of(cls, conversation: Conversation, messages: tuple[Message, ...]) -> Rewrite:
        """Return a rewrite that changes nothing yet."""
        header = attrs.evolve(conversation.header, revision=conversation.revision, sequence=conversation.sequence)
        return cls(header, {message.message_id: message for message in messages})

    def apply(self, change: MessageChange, key: str) -> Receipt:
        """Apply a change of this key, unless it was applied before or concerns nothing that is there."""
        if isinstance(change, ClearMark):
            if key not in self.header.applied:
                cleared = change.apply_to(self.header.cleared, self.header.sequence)
                self._raise(key, cleared=cleared)
            return self._receipt(self.header.cleared)
        message = self.messages.get(change.message_id)
        if message and key not in self.header.applied:
            self.messages[change.message_id] = change.apply_to(message)
            self._raise(key)
        return self._receipt(message.sequence if message else None)

    def remove(self, unwanted: Callable[[Message], bool], *, erased: bool) -> int:
        """Remove messages, and return how many."""
        kept = {message_id: message for message_id, message in self.messages.items() if not unwanted(message)}
        removed = len(self.messages) - len(kept)
        if removed:
            self.messages = kept
            self._raise(None, epoch=self.header.epoch + erased)
        return removed

    def write(self) -> tuple[int, str]:
        """Return where to write, and what."""
        lines = [Line(self.header.revision, message) for message in self.messages.values()]
        return 0, write_lines([self.header, *lines])

    def _raise(self, change: str | None, **counters: Any) -> None:
        now = time.time()
        applied = {key: when for key, when in self.header.applied.items() if now - when < REMEMBERED}
        if change is not None:
            applied[change] = now
        self.header = attrs.evolve(self.header, revision=self.header.revision + 1, applied=applied, **counters)
        self.changed = True

    def _receipt(self, sequence: int | None) -> Receipt:
        return Receipt(Durability.DURABLE, self.header.revision, self.header.epoch, sequence)
