"""From a bot's messages to records: who said it, whom it concerns, and what it answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast

import attrs

from whisper_persistence.companion.conversation_channel import Channel
from whisper_persistence.companion.conversation_shapes import Facts, read_facts
from whisper_persistence.errors import ValidationError
from whisper_persistence.records import Message, fields
from whisper_persistence.validation import validate

#: Who the bot is in shapes that do not say.
BOT: Final = "bot"

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Recorder:
    """Makes records of a bot's messages."""

    def facts(self, message: Any) -> Facts | None:
        """Return what a message says of itself, or ``None`` where it cannot be understood."""
        try:
            return read_facts(message)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            _log.warning("a message was not understood: %s", type(error).__name__)
            return None

    def record(self, channel: Channel, message: Any) -> Message | None:
        """Return a record of a message, or ``None`` where none can be made.

        A reply of the bot concerns the author of the message that it refers to; else the first whom it mentions; else
        the user whose context was read last; else the last user who spoke. It answers what it refers to; else, if it
        concerns the user whose context was read last, the message that was being answered then.
        """
        facts = self.facts(message)
        if facts is None:
            return None
        user_id, answered = _addressee(channel, facts) if facts.is_bot else (facts.author_id, facts.answers[0])
        record = Message(
            channel.channel_id,
            user_id,
            facts.author_id,
            facts.content,
            "assistant" if facts.is_bot else "user",
            facts.message_id,
            facts.timestamp,
            answered,
            facts.author_name,
            extra=facts.extra,
            source=facts.source,
            trust=facts.trust,
        )
        try:
            validate(record)
        except ValidationError as error:
            _log.warning("a message cannot be kept: %s", error.field)
            return None
        return record

    def unpack(
        self, user_id: str, conversation_id: Any, data: Any, metadata: Mapping[str, Any]
    ) -> tuple[str, list[dict[str, Any]]]:
        """Return the conversation and the messages that a call of ``store_conversation`` hands over."""
        if isinstance(data, Mapping):
            given = cast("Mapping[str, Any]", data).get("messages") or ()
            return str(conversation_id), [_universal(user_id, message) for message in given]
        key = str(metadata.get("channel_id") or metadata.get("conversation_id") or user_id)
        now = fields.now()
        asked, answered = fields.new_id(), fields.new_id()
        question = {"id": asked, "author_id": user_id, "content": str(conversation_id), "timestamp": now}
        reply = {
            "id": answered,
            "author_id": BOT,
            "bot": True,
            "user_id": user_id,
            "content": str(data or ""),
            "timestamp": now + timedelta(microseconds=1),
            "in_reply_to": asked,
        }
        return key, [question, reply] if data else [question]


def _universal(user_id: str, message: Mapping[str, Any]) -> dict[str, Any]:
    author = str(message.get("user_id", user_id))
    is_bot = author != user_id
    return {**message, "author_id": author, "user_id": user_id, "bot": message.get("bot", is_bot)}


def _addressee(channel: Channel, facts: Facts) -> tuple[str, str | None]:
    """Return whom a reply of the bot concerns, and the message that it answers."""
    answered, author = facts.answers
    question = channel.find(answered) if answered else None
    if question is not None and author is None:
        author = question.record.user_id
    if author is not None:
        return author, answered
    asker, asked = channel.asked
    concerned = next(iter(facts.mentions), None) or asker or _last_speaker(channel) or facts.author_id
    return concerned, answered or (asked if concerned == asker else None)


def _last_speaker(channel: Channel) -> str | None:
    users = (held.record.user_id for held in reversed(channel.held) if held.record.role == "user")
    return next(users, None)
