"""Scanning, erasing, backups and health: what an operator asks of every tier."""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.conversations import Message
from whisper_persistence.records.fields import Id, Moment, Whole
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.records.memories import MemoryScore, Statistics
from whisper_persistence.records.patterns import Pattern, Preferences
from whisper_persistence.records.strategies import Outcome, Strategy

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
        cursor: where the next page begins: text without NUL that only its driver reads, made of ids as JSON, since
            these may hold any separator; ``None`` when this was the last.
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
