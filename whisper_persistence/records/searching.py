"""Finding messages again, by words and by meaning."""

from __future__ import annotations

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.conversations import Message
from whisper_persistence.records.fields import Id, Label, Moment, Positive, Text, Whole


@attrs.frozen
class SearchQuery:
    """What to look for.

    Attributes:
        text: the words; never read as query syntax; private.
        user_id: only messages that concern this user.
        conversation_id: only messages of this conversation.
        author_id: only messages by this author.
        since, until: only messages of this time, the first included, the last not.
        limit: at most this many hits.
        context: how many turns to show on either side of a hit.
        cursor: where the next page begins, from `SearchResult.cursor`.
    """

    text: Text = attrs.field(repr=False)
    user_id: Id | None = None
    conversation_id: Id | None = None
    author_id: Id | None = None
    since: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    until: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    limit: Positive = 10
    context: Whole = 0
    cursor: Label | None = None


@attrs.frozen
class SearchHit:
    """One message that was found.

    Attributes:
        message: the message.
        score: the fused score, 0 to 1.
        parts: each layer's part of it, such as ``text``, ``meaning``, ``recency`` and ``importance``.
        context: the turns around it, oldest first.
    """

    message: Message
    score: float
    parts: dict[str, float] = attrs.field(factory=dict[str, float])
    context: tuple[Message, ...] = ()


@attrs.frozen
class SearchResult:
    """What was found.

    Attributes:
        hits: the best first.
        answered: which layers answered.
        silent: which layers should have answered and did not.
        cursor: where the next page begins; ``None`` when this was the last.
    """

    hits: tuple[SearchHit, ...] = ()
    answered: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    cursor: str | None = None


@attrs.frozen
class Embedding:
    """A text as a vector.

    Attributes:
        model: the identity of the embedder; vectors of different ones are never compared.
        values: 32-bit floats, little-endian, as bytes.
    """

    model: Id
    values: bytes = attrs.field(repr=False)


@attrs.frozen
class Vector:
    """The embedding of one message, kept beside it.

    Attributes:
        conversation_id, message_id: which message.
        embedding: its vector.
    """

    conversation_id: Id
    message_id: Id
    embedding: Embedding


@attrs.frozen
class VectorQuery:
    """Which vectors to read.

    Attributes:
        model: the embedder's identity.
        user_id: only of messages that concern this user; ``None`` for all.
        limit: at most this many.
        cursor: where the next page begins.
    """

    model: Id
    user_id: Id | None = None
    limit: Positive = 1_000
    cursor: Label | None = None
