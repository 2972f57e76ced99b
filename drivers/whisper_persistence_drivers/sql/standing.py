"""Where users and conversations stand: after all that a batch does to them, and after each of its items."""

from __future__ import annotations

from typing import NamedTuple

from whisper_persistence.records import Durability, Receipt


class Counter(NamedTuple):
    """Where a user or conversation stands.

    Attributes:
        revision, epoch, sequence: as in `whisper_persistence.records.Revision`.
        cleared: the last sequence of the conversation that is cleared.
        followed: the name and the kind of each follower, as a list of pairs in JSON; ``None`` where there is none.
        erasures: how many erases the namespace has seen.
    """

    revision: int
    epoch: int
    sequence: int
    cleared: int
    followed: str | None
    erasures: int


class Step(NamedTuple):
    """Where one item of a batch stands.

    Attributes:
        revision, epoch: of the user or conversation, as the item leaves it.
        sequence: the first sequence that the item may use.
        cleared: the last sequence of the conversation that is cleared.
        erasures: how many erases the namespace has seen.
    """

    revision: int
    epoch: int
    sequence: int
    cleared: int
    erasures: int

    def receipt(self, sequence: int | None = None, repeated: bool | None = None) -> Receipt:
        """Return the receipt of the item."""
        return Receipt(Durability.DURABLE, self.revision, self.epoch, sequence, repeated, self.erasures)
