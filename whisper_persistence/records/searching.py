"""Finding messages again, by words and by meaning."""

from __future__ import annotations

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.conversations import Message
from whisper_persistence.records.fields import Id, Keys, Label, Moment, Positive, Text, Whole


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
        among: conversation id and message id of the only messages to look at; each that the filters let through is a
            hit, whether or not a word of it was asked for. A layer asks so about what it found in its own way.
    """

    text: Text = attrs.field(repr=False)
    user_id: Id | None = None
    conversation_id: Id | None = None
    author_id: Id | None = None
    since: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    until: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    limit: Positive = 10
    context: Whole = 0
    cursor: Text | None = None
    among: Keys | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_tuple))


@attrs.frozen
class SearchHit:
    """One message that was found.

    Attributes:
        message: the message.
        score: the fused score, 0 to 1, by `whisper_persistence.fusing`.
        parts: what it was fused from, each 0 to 1: ``text`` and ``meaning``, as far as layers gave them, ``importance``
            where the memory was scored, and ``recency``.
        context: the turns around it, itself among them, oldest first; empty where none was asked for.
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
        rarity: the query's words and how rare each is where it was looked for (``log(1 + (n - df + 0.5) / (df + 0.5))``
            of n messages of which df have it); empty where no layer counts words.
    """

    hits: tuple[SearchHit, ...] = ()
    answered: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    cursor: str | None = None
    rarity: dict[str, float] = attrs.field(factory=dict[str, float], repr=False)


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
        edited_at: that of the message whose words were embedded; what is loaded does not say it.
    """

    conversation_id: Id
    message_id: Id
    embedding: Embedding
    edited_at: Moment | None = attrs.field(default=None, eq=False, converter=attrs.converters.optional(fields.to_utc))


@attrs.frozen
class VectorQuery:
    """Which vectors to read.

    Attributes:
        model: the embedder's identity.
        user_id: only of messages that concern this user; ``None`` for all.
        limit: at most this many.
        cursor: where the next page begins.
        among: conversation id and message id of the only messages to look at; the other conditions hold as well.
    """

    model: Id
    user_id: Id | None = None
    limit: Positive = 1_000
    cursor: Label | None = None
    among: Keys | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_tuple))
