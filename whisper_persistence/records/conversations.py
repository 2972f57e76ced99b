"""Conversations: messages, the windows they are read through, and how they may change."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final, Literal

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.fields import Id, JsonObject, Label, Moment, Positive, Text, Whole

#: Who may have written a message.
Role = Literal["user", "assistant", "system", "tool"]
#: How far what a message says may be believed: nobody said, or a bot's own rules said so when it was stored.
Trust = Literal["unknown", "untrusted", "trusted"]
#: What stands in the extras of a message that was redacted.
_REDACTED: Final = {"redacted": True}


@attrs.frozen
class Message:
    """One message of a conversation.

    Attributes:
        conversation_id: the channel or thread; it may hold several people.
        user_id: the user it concerns: the author of a question, or the person a reply is for.
        author_id: who wrote it.
        content: the text, stored exactly; private; may be empty (for a picture without words).
        role: ``user``, ``assistant``, ``system`` or ``tool``.
        message_id: unique within the conversation; appending it twice stores it once.
        timestamp: when it was written; for display, never for order.
        in_reply_to: the message id of the question that this answers.
        author_name: the author's name as shown.
        edited_at: when it was last edited or redacted.
        extra: attachments and whatever else this version does not know.
        sequence: position in the conversation, given by the store.
        source: what brought the words in, such as ``user``, ``tool:weather`` or an address; empty where nobody said.
        trust: how far they may be believed; like all that is stored, it is kept and shown, and never acted on here.
    """

    conversation_id: Id
    user_id: Id
    author_id: Id
    content: Text = attrs.field(repr=False)
    role: Role = "user"
    message_id: Id = attrs.field(factory=fields.new_id)
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    in_reply_to: Id | None = None
    author_name: Label = attrs.field(default="", repr=False)
    edited_at: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    sequence: Whole | None = attrs.field(default=None, eq=False)
    source: Label = attrs.field(default="", repr=False)
    trust: Trust = "unknown"

    def is_redacted(self) -> bool:
        """Say whether its text was removed by a `MessageRedaction`."""
        return not self.content and self.extra == _REDACTED

    def belongs_to(self, user_ids: Container[str]) -> bool:
        """Say whether it concerns one of these users, or one of them wrote it; a bot's answers are not the bot's."""
        return self.user_id in user_ids or (self.role == "user" and self.author_id in user_ids)


@attrs.frozen(cache_hash=True)
class Window:
    """Which part of a conversation to read.

    Without ``after`` it shows the newest ``limit`` messages; with ``after``, the oldest ``limit`` messages that follow.
    Either way they come oldest first. If there is no ``after`` and the oldest message is a reply, the message it
    answers is included, so there may be one more.

    Attributes:
        conversation_id: which conversation.
        limit: at most this many messages.
        before: only messages of a smaller sequence.
        after: only messages of a larger sequence.
        user_id: only messages that concern this user.
        message_id: only the message of this id, as one who was told of it by `Pending` reads it.
    """

    conversation_id: Id
    limit: Positive = 20
    before: Whole | None = None
    after: Whole | None = None
    user_id: Id | None = None
    message_id: Id | None = None

    def lets_through(self, message: Message) -> bool:
        """Say whether a message of the conversation meets its conditions; one without a sequence is the newest."""
        if self.user_id not in (None, message.user_id) or self.message_id not in (None, message.message_id):
            return False
        if message.sequence is None:
            return self.before is None
        return (self.before is None or message.sequence < self.before) and message.sequence > (self.after or 0)

    def show(self, messages: Iterable[Message]) -> tuple[Message, ...]:
        """Return what it shows of a conversation.

        Args:
            messages: those of the conversation that are not cleared, oldest first.
        """
        fitting = [message for message in messages if self.lets_through(message)]
        if self.after is not None:
            return tuple(fitting[: self.limit])
        newest = fitting[-self.limit :]
        asked = newest[0].in_reply_to if newest else None
        return (*(message for message in fitting[: -self.limit] if message.message_id == asked), *newest)


@attrs.frozen
class MessageEdit:
    """Gives a message new text; one that was redacted stays empty.

    Attributes:
        conversation_id, message_id: which message; an unknown one changes nothing.
        content: the new text; private.
        timestamp: when it was edited.
        change_id: unique; applying one change twice equals once.
    """

    conversation_id: Id
    message_id: Id
    content: Text = attrs.field(repr=False)
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    change_id: Id = attrs.field(factory=fields.new_id)

    def apply_to(self, record: Message) -> Message:
        """Return ``record`` with the new text, unless it was redacted."""
        return record if record.is_redacted() else attrs.evolve(record, content=self.content, edited_at=self.timestamp)


@attrs.frozen
class MessageRedaction:
    """Removes the text of a message permanently; the message itself stays.

    Attributes:
        conversation_id, message_id: which message; an unknown one changes nothing.
        timestamp: when it was redacted.
        change_id: unique; applying one change twice equals once.
    """

    conversation_id: Id
    message_id: Id
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    change_id: Id = attrs.field(factory=fields.new_id)

    def apply_to(self, record: Message) -> Message:
        """Return ``record`` without text, author's name, source and extras."""
        bare = attrs.evolve(record, content="", author_name="", source="", extra=dict(_REDACTED))
        return attrs.evolve(bare, edited_at=self.timestamp)


@attrs.frozen
class ClearMark:
    """Clears a conversation: windows no longer show anything up to the mark.

    Attributes:
        conversation_id: which conversation.
        through: the last sequence that is cleared, or ``None`` for all that is there when the mark is applied.
        timestamp: when it was cleared.
        change_id: unique; applying one change twice equals once.
    """

    conversation_id: Id
    through: Whole | None = None
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    change_id: Id = attrs.field(factory=fields.new_id)

    def apply_to(self, record: int, newest: int) -> int:
        """Return the mark that applies after this one.

        Args:
            record: the last sequence cleared so far, 0 for none.
            newest: the newest sequence of the conversation.
        """
        return max(record, newest if self.through is None else min(self.through, newest))


MessageChange = MessageEdit | MessageRedaction | ClearMark
