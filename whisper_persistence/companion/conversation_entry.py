"""What memory holds of one conversation, beside what the store holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import attrs

from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.records import ClearMark, Message, MessageChange, Window

#: What may wait for the store: a message to append, or something that may change about one.
Waiting = Message | MessageChange


@attrs.define(eq=False)
class ConversationEntry:
    """What memory holds of one conversation.

    Attributes:
        conversation_id: which.
        knowledge: whether memory knows what the store holds.
        seen: the newest messages that the store was seen to show, oldest first.
        pending: what the store has not confirmed, in order.
        writes: how many writes began or ended; a read that saw it move is not remembered.
        lock: held while something is written.
    """

    conversation_id: str
    knowledge: Knowledge = Knowledge.UNKNOWN
    seen: tuple[Message, ...] = ()
    pending: list[Waiting] = attrs.field(factory=list[Waiting])
    writes: int = 0
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def learn(self, window: Window, found: tuple[Message, ...], most: int) -> None:
        """Take over what the store showed, if it was the end of the conversation."""
        if window.user_id is not None or window.before is not None or window.after is not None:
            return
        self.knowledge = Knowledge.LOADED if found else Knowledge.ABSENT
        known = [message.message_id for message in self.seen]
        older = known.index(found[0].message_id) if found and found[0].message_id in known else 0
        whole = len(found) < window.limit
        self.seen = (*(() if whole else self.seen[:older]), *found)[-most:]

    def confirm(self, items: Sequence[Waiting], most: int) -> None:
        """Take over what the store confirmed."""
        self.seen = fold(self.seen, items)[-most:]

    def view(self, window: Window) -> tuple[Message, ...]:
        """Return what memory alone can show through a window."""
        return window.show(fold(self.seen, self.pending))

    def joined(self, window: Window, found: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return what the store showed together with what it has not confirmed."""
        return window.show(fold(found, self.pending)) if self.pending else found

    def forget(self, user_id: str) -> None:
        """Drop every message that concerns a user or that they wrote."""
        self.seen = tuple(message for message in self.seen if not message.belongs_to((user_id,)))
        self.pending = [
            item for item in self.pending if not (isinstance(item, Message) and item.belongs_to((user_id,)))
        ]


def fold(messages: Iterable[Message], items: Iterable[Waiting]) -> tuple[Message, ...]:
    """Return messages as they are after these were applied, each once."""
    found = {message.message_id: message for message in messages}
    for item in items:
        if isinstance(item, Message):
            found.setdefault(item.message_id, item)
        elif isinstance(item, ClearMark):
            found = {key: message for key, message in found.items() if _is_left(message, item)}
        elif item.message_id in found:
            found[item.message_id] = item.apply_to(found[item.message_id])
    return tuple(found.values())


def _is_left(message: Message, mark: ClearMark) -> bool:
    return mark.through is not None and (message.sequence is None or message.sequence > mark.through)
