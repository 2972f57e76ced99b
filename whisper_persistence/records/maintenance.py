"""Scanning, erasing, expiring and health: what an operator asks of every tier."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any, Final, Literal

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.conversations import Message
from whisper_persistence.records.fields import Moment, Positive
from whisper_persistence.records.memories import MemoryScore, Statistics
from whisper_persistence.records.patterns import Pattern, Preferences
from whisper_persistence.records.strategies import Outcome, Strategy

#: The kinds of record that a store keeps.
RecordKind = Literal["strategies", "outcomes", "statistics", "scores", "patterns", "preferences", "messages"]

#: The class of each kind of record.
RECORD_KINDS: Final[dict[RecordKind, type]] = {
    "strategies": Strategy,
    "outcomes": Outcome,
    "statistics": Statistics,
    "scores": MemoryScore,
    "patterns": Pattern,
    "preferences": Preferences,
    "messages": Message,
}


@attrs.frozen
class Page:
    """Some records of one kind, in the store's stable order.

    Attributes:
        records: the records.
        cursor: where the next page begins; opaque; ``None`` when this was the last.
    """

    records: tuple[Any, ...]
    cursor: str | None = None


@attrs.frozen
class TierReport:
    """What one tier did for an erase or an expiry.

    Attributes:
        tier: the driver's name.
        counts: how many records, by kind.
        rewritten: files or indexes that were physically rewritten, so that no deleted byte is left in them.
        remaining: what lies outside the tier's reach, in words.
    """

    tier: str
    counts: dict[str, int] = attrs.field(factory=dict[str, int])
    rewritten: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()


class State(enum.Enum):
    """How a tier is."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@attrs.frozen
class TierHealth:
    """How one tier is, found out by asking it.

    Attributes:
        tier: the driver's name.
        state: up, degraded or down.
        latency: how long the probe took, in seconds; ``None`` where it had no answer.
        details: versions, counts and settings worth knowing; no private text, no password. ``installation`` is what
            tells one database from every other, so that caches shared by several can keep them apart.
    """

    tier: str
    state: State
    latency: float | None = None
    details: dict[str, Any] = attrs.field(factory=dict[str, Any])

    def numbers(self) -> dict[str, float]:
        """Return the latency and those details that are numbers."""
        found = {"latency": self.latency, **self.details}
        return {
            name: value
            for name, value in found.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }


@attrs.frozen
class Retention:
    """How long, and how many, records of one kind are kept.

    Attributes:
        kind: which kind, one of `RECORD_KINDS`.
        max_age: older ones expire; ``None`` for no limit of age.
        max_per_thing: the newest so many of a user or conversation stay; ``None`` for no limit of number.
        now: the moment that ages are counted from.
    """

    kind: RecordKind
    max_age: timedelta | None = None
    max_per_thing: Positive | None = None
    now: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
