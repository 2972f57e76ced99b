"""The conversations of the reference."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import ClearMark, Message, MessageChange, Receipt, Window
from whisper_persistence.testing.model.memories import MemoryModel


@attrs.define(eq=False)
class TalkModel(MemoryModel):
    """The talk itself."""

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Append messages to their conversations."""
        return [self._append(message) for message in messages]

    @hookimpl
    def load_messages(self, windows: Sequence[Window]) -> dict[Window, tuple[Message, ...]]:
        """Return what each window shows."""
        shown = {window: self._show(window) for window in windows}
        return {window: messages for window, messages in shown.items() if messages}

    @hookimpl
    def update_messages(self, changes: Sequence[MessageChange]) -> Sequence[Receipt]:
        """Edit, redact or clear messages."""
        return [self._clear(c) if isinstance(c, ClearMark) else self._edit(c) for c in changes]

    def _append(self, message: Message) -> Receipt:
        talk = self.space.messages.setdefault(message.conversation_id, [])
        stored = next((known for known in talk if known.message_id == message.message_id), None)
        if stored is None:
            sequence = self.space.next_sequence("conversation", message.conversation_id)
            stored = attrs.evolve(message, sequence=sequence)
            talk.append(stored)
            self.space.raise_revision("conversation", message.conversation_id)
        return self.space.receipt("conversation", message.conversation_id, stored.sequence)

    def _edit(self, change: MessageChange) -> Receipt:
        talk = self.space.messages.get(change.conversation_id, [])
        place = next((n for n, m in enumerate(talk) if m.message_id == getattr(change, "message_id", None)), None)
        if place is None or isinstance(change, ClearMark):
            return self.space.receipt("conversation", change.conversation_id)
        if self.space.is_new(change.conversation_id, change.change_id):
            talk[place] = change.apply_to(talk[place])
            self.space.raise_revision("conversation", change.conversation_id)
        return self.space.receipt("conversation", change.conversation_id, talk[place].sequence)

    def _clear(self, change: ClearMark) -> Receipt:
        talk = change.conversation_id
        if self.space.is_new(talk, change.change_id):
            newest = self.space.revision("conversation", talk).sequence
            self.space.marks[talk] = change.apply_to(self.space.marks.get(talk, 0), newest)
            self.space.raise_revision("conversation", talk)
        return self.space.receipt("conversation", talk, self.space.marks.get(talk, 0))

    def _show(self, window: Window) -> tuple[Message, ...]:
        mark = max(self.space.marks.get(window.conversation_id, 0), window.after or 0)
        seen = [
            message
            for message in self.space.messages.get(window.conversation_id, [])
            if (message.sequence or 0) > mark
            and (window.before is None or (message.sequence or 0) < window.before)
            and window.user_id in (None, message.user_id)
            and window.message_id in (None, message.message_id)
        ]
        if window.after is not None:
            return tuple(seen[: window.limit])
        shown = seen[-window.limit :]
        question = [m for m in seen[: -window.limit] if shown and m.message_id == shown[0].in_reply_to]
        return (*question, *shown)
