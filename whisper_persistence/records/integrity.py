"""What walking along the hash chains of conversations finds."""

from __future__ import annotations

import attrs

from whisper_persistence.records.fields import Whole


@attrs.frozen
class ChainProblem:
    """The first thing about a conversation that is not what was written.

    Attributes:
        conversation_id: which; its keyed hash where no message is left to tell its name.
        kind: ``altered``, ``missing``, ``reordered`` or ``added``.
        sequence: of the message; ``None`` where it is the chain itself.
        message_id: of the message, as it is now, where it is there.
        detail: what was found, in words.
    """

    conversation_id: str
    kind: str
    sequence: Whole | None = None
    message_id: str | None = None
    detail: str = ""


@attrs.frozen
class ChainReport:
    """What walking along the hash chains of conversations found.

    Attributes:
        tier: the driver's name.
        keyed: whether the hashes have a key; without one they show accidents, not malice.
        conversations: how many chains were walked along.
        messages: how many messages were compared with them.
        problems: the first of each conversation that has any.
        heads: where each chain ends, by the keyed hash of its conversation: kept elsewhere, they show later whether
            anything was set back or removed as a whole.
    """

    tier: str
    keyed: bool
    conversations: Whole
    messages: Whole
    problems: tuple[ChainProblem, ...] = ()
    heads: dict[str, str] = attrs.field(factory=dict[str, str])
