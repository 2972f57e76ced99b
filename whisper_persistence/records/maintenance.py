"""Scanning, erasing, expiring and health: what an operator asks of every tier."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, Final, Literal

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.conversations import Message
from whisper_persistence.records.fields import Age, Id, Moment, Positive, Whole
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

#: The field of each kind of record that its age is counted from.
MOMENTS: Final[dict[RecordKind, str]] = {
    "strategies": "last_updated",
    "outcomes": "timestamp",
    "statistics": "last_updated",
    "scores": "calculation_timestamp",
    "patterns": "last_seen",
    "preferences": "last_updated",
    "messages": "timestamp",
}


@attrs.frozen
class Page:
    """Some records of one kind, in the store's stable order.

    Attributes:
        records: the records.
        cursor: where the next page begins; opaque; ``None`` when this was the last.
        damaged: the keys of records that cannot be read, and are left out: the ids of their fields, in words.
    """

    records: tuple[Any, ...]
    cursor: str | None = None
    damaged: tuple[str, ...] = ()


@attrs.frozen
class Tombstone:
    """That a user was erased. It names nobody: who has the id and the installation's key can tell whom it is about.

    Attributes:
        thing: a keyed hash of the namespace and the user id.
        epoch: how often the user was erased by then.
        erased_at: when.
    """

    thing: Id
    epoch: Whole
    erased_at: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)


@attrs.frozen
class TierReport:
    """What one tier did for an erase or an expiry.

    Attributes:
        tier: the driver's name.
        counts: how many records, by kind.
        rewritten: files or indexes that were physically rewritten, so that no deleted byte is left in them.
        remaining: what lies outside the tier's reach, in words.
        tombstones: what the tier remembers of users that it erased, so that no backup brings them back.
    """

    tier: str
    counts: dict[str, int] = attrs.field(factory=dict[str, int])
    rewritten: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()


@attrs.frozen
class BackupReport:
    """A backup that was written, or put in the place of what a tier keeps.

    Attributes:
        tier: the driver's name.
        path: the backup.
        size: how many bytes it has.
        made_at: when it was made; ``None`` where that is unknown, and with it whether it is complete.
        counts: how many rows, by table.
        erased_again: how many users were erased since it was made, and were erased again.
        kept: what was there before and could not be read was not deleted: it lies here.
    """

    tier: str
    path: str
    size: Whole
    made_at: Moment | None = None
    counts: dict[str, int] = attrs.field(factory=dict[str, int])
    erased_again: Whole = 0
    kept: str | None = None


@attrs.frozen
class SchemaReport:
    """Which schema a storage has.

    Attributes:
        tier: the driver's name.
        version: the present version; ``None`` where nothing is installed yet.
        newest: the version that this release works with, to which opening upgrades.
        steps: what opening would do, one line a step.
    """

    tier: str
    version: str | None
    newest: str
    steps: tuple[str, ...] = ()


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

    A message is of the user whom it concerns, and of the user who wrote it. What is older than ``max_age`` goes, and
    what is not among the newest ``max_per_thing``; a record goes when any policy of a call lets it go, and all of them
    look at what was there before the call. Outcomes, scores and messages are counted in the order of their sequence,
    patterns in that of their last observation; of what a user has one of, one is never too many. Expired scores leave
    the statistics as forgotten ones do, and statistics stay as long as any of their scores; an expired outcome stays in
    what its strategy learned from it.

    Attributes:
        kind: which kind, one of `RECORD_KINDS`.
        max_age: older ones expire; ``None`` for no limit of age.
        max_per_thing: the newest so many of a user or conversation stay; ``None`` for no limit of number.
        now: the moment that ages are counted from.
        user_ids: only records of these users go; empty for those of all.
        kept_users: no record of these users goes, whatever else is said.
        limit: at most this many records of the kind go in one call, of those that would; ``None`` for all. Of several
            policies of one kind the smallest counts. A call that reaches it is one of several: rewriting files without
            deleted bytes may be left to the last, which does not.
    """

    kind: RecordKind
    max_age: Age | None = None
    max_per_thing: Positive | None = None
    now: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    kept_users: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    limit: Positive | None = None

    def oldest(self) -> datetime | None:
        """Return the earliest moment that is kept, or ``None`` where age does not matter."""
        if self.max_age is None:
            return None
        try:
            return self.now - self.max_age
        except OverflowError:
            return None

    def drops(self, moment: datetime, place: int, user_id: str, author_id: str | None = None) -> bool:
        """Say whether a record goes.

        Args:
            moment: its time.
            place: its place among all of its user or conversation, 1 for the newest.
            user_id: whom it concerns.
            author_id: the user who wrote it, where that is another one.
        """
        owners = {user_id, author_id}
        if not owners.isdisjoint(self.kept_users) or (self.user_ids and owners.isdisjoint(self.user_ids)):
            return False
        oldest = self.oldest()
        too_many = self.max_per_thing is not None and place > self.max_per_thing
        return too_many or (oldest is not None and moment < oldest)
