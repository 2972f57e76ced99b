"""All that one namespace holds, and the counters that outlive an erase."""

from __future__ import annotations

from threading import RLock
from typing import Any, Literal

import attrs

from whisper_persistence.records import (
    Durability,
    MemoryScore,
    Message,
    Outcome,
    Pattern,
    Preferences,
    Receipt,
    Revision,
    Statistics,
    Strategy,
    Thing,
)


@attrs.define(eq=False)
class Space:
    """One namespace in plain dicts.

    Attributes:
        turn: held by whoever reads or changes any of it.
        revisions: of users and conversations; never removed.
        applied: ids of the changes that were applied, with whose they are.
        marks: the clear mark of each conversation.
        strategies, outcomes, statistics, scores, patterns, preferences: by user id.
        messages: by conversation id, in the order of their sequence.
    """

    turn: Any = attrs.field(factory=RLock, repr=False)
    revisions: dict[Thing, Revision] = attrs.field(factory=dict[Thing, Revision])
    applied: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]])
    marks: dict[str, int] = attrs.field(factory=dict[str, int])
    strategies: dict[str, Strategy] = attrs.field(factory=dict[str, Strategy])
    outcomes: dict[str, list[Outcome]] = attrs.field(factory=dict[str, list[Outcome]])
    statistics: dict[str, Statistics] = attrs.field(factory=dict[str, Statistics])
    scores: dict[str, dict[str, MemoryScore]] = attrs.field(factory=dict[str, dict[str, MemoryScore]])
    patterns: dict[str, dict[str, Pattern]] = attrs.field(factory=dict[str, dict[str, Pattern]])
    preferences: dict[str, Preferences] = attrs.field(factory=dict[str, Preferences])
    messages: dict[str, list[Message]] = attrs.field(factory=dict[str, list[Message]])

    def revision(self, kind: Literal["user", "conversation"], thing_id: str) -> Revision:
        """Return the counters of a user or conversation."""
        return self.revisions.get(Thing(kind, thing_id), Revision())

    def raise_revision(self, kind: Literal["user", "conversation"], thing_id: str, epochs: int = 0) -> None:
        """Raise a revision by one, and the epoch by ``epochs``."""
        old = self.revision(kind, thing_id)
        self.revisions[Thing(kind, thing_id)] = attrs.evolve(old, revision=old.revision + 1, epoch=old.epoch + epochs)

    def next_sequence(self, kind: Literal["user", "conversation"], thing_id: str) -> int:
        """Give out the next position of a user or conversation."""
        old = self.revision(kind, thing_id)
        self.revisions[Thing(kind, thing_id)] = attrs.evolve(old, sequence=old.sequence + 1)
        return old.sequence + 1

    def is_new(self, owner: str, change_id: str) -> bool:
        """Say whether a change was not applied before, and remember it."""
        fresh = (owner, change_id) not in self.applied
        self.applied.add((owner, change_id))
        return fresh

    def receipt(self, kind: Literal["user", "conversation"], thing_id: str, sequence: int | None = None) -> Receipt:
        """Return a receipt with the counters as they are now."""
        now = self.revision(kind, thing_id)
        return Receipt(Durability.VOLATILE, now.revision, now.epoch, sequence)
