"""What a write answers: how safe it is, and where it stands among the writes before it."""

from __future__ import annotations

import enum

import attrs


class Durability(enum.Enum):
    """How safe a write is."""

    DURABLE = "durable"
    """Committed by the database of record."""
    JOURNALED = "journaled"
    """On local disk; will be replayed into the database of record."""
    VOLATILE = "volatile"
    """In memory only; gone with the process."""


@attrs.frozen
class Receipt:
    """The answer to one written item.

    Attributes:
        durability: how safe it is.
        revision: the revision of the user, or for messages of the conversation, that the write led to; it only grows.
        epoch: how often the user or conversation was erased before the write; it only grows.
        sequence: the message's position in its conversation; ``None`` for what has none.
        repeated: of a message, whether it was stored before, so that nothing was; ``None`` where nobody says.
        erasures: how many erases the namespace had seen, where the driver of record tells; see
            `whisper_persistence.origins`.

    What is not durable yet has no place among the writes before it: its revision is the last that was known, and its
    sequence is ``None``.
    """

    durability: Durability
    revision: int
    epoch: int = 0
    sequence: int | None = None
    repeated: bool | None = attrs.field(default=None, eq=False)
    erasures: int = attrs.field(default=0, eq=False)
