"""Many records of many ages, policies of every shape, and which records they keep, worked out by the records' rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from random import Random
from typing import Any, Final

from whisper_persistence.records import (
    Message,
    Pattern,
    Preferences,
    Retention,
    StatisticsChange,
    Strategy,
    StrategyChange,
    TierReport,
)
from whisper_persistence.records.conversations import Role
from whisper_persistence.records.kinds import MOMENTS, RecordKind
from whisper_persistence.store import Store
from whisper_persistence.testing import samples

#: Whose records there are.
USERS: Final = ("alice", "bob", "u", "u_1")
_ORDERED: Final = ("outcomes", "scores", "messages")


def counted(reports: tuple[TierReport, ...], kind: RecordKind = "messages") -> int:
    """Return how many records of a kind all tiers together removed, or would."""
    return sum(report.counts.get(kind, 0) for report in reports)


def _ages(count: int, chance: Random) -> list[timedelta]:
    """Return ages in no order, some of them equal, some a microsecond apart, two of them beyond any policy."""
    near = [timedelta(days=chance.randrange(6), microseconds=chance.randrange(-1, 2)) for _ in range(count - 2)]
    return [*near, timedelta(days=9_000), timedelta(days=-9_000)]


def fill(store: Store, claimed: frozenset[str], chance: Random) -> None:
    """Write several records of every kind that is claimed, of several users, of many ages."""
    for user in USERS:
        moments = [samples.MOMENT - age for age in _ages(8, chance)]
        if "strategies" in claimed:
            store.save_strategies([Strategy(user, f"{user}_strategy", last_updated=chance.choice(moments))])
            outcomes = [samples.outcome(outcome_id=f"o{n}", timestamp=moment) for n, moment in enumerate(moments)]
            store.update_strategies([StrategyChange(user, outcomes, timestamp=min(moments))])
        if "statistics" in claimed:
            scores = [
                samples.score(f"s{n}", n / 10, user, calculation_timestamp=moment) for n, moment in enumerate(moments)
            ]
            store.update_statistics([StatisticsChange(user, scores, timestamp=min(moments))])
            store.save_patterns(
                [Pattern(user, f"p{n}", first_seen=min(moments), last_seen=moment) for n, moment in enumerate(moments)]
            )
            store.save_preferences([Preferences(user, {"a": 1}, chance.choice(moments))])
    if "conversations" in claimed:
        _talk(store, chance)


def _talk(store: Store, chance: Random) -> None:
    for talk in ("a", "a_1", "b"):
        for n, age in enumerate(_ages(14, chance)):
            concerned, author = chance.choice(USERS), chance.choice([*USERS, "bot"])
            role: Role = "assistant" if author == "bot" else "user"
            moment = samples.MOMENT - age
            store.save_messages([Message(talk, concerned, author, f"words {n}", role, f"m{n}", moment)])


def kept(kind: RecordKind, records: Sequence[Any], policies: Sequence[Retention], scored: set[str]) -> list[str]:
    """Return what the policies keep of all records of a kind, worked out by the records' own rules."""
    found: list[str] = []
    for _, group in groupby(records, lambda record: _thing(kind, record)):
        newest_first = sorted(group, key=lambda record: _position(kind, record), reverse=True)
        for place, record in enumerate(newest_first, 1):
            author = record.author_id if kind == "messages" and record.role == "user" else None
            moment = getattr(record, MOMENTS[kind])
            gone = any(policy.drops(moment, place, record.user_id, author) for policy in policies)
            if not gone or (kind == "statistics" and record.user_id in scored):
                found.append(exact(kind, record))
    return sorted(found)


def exact(kind: RecordKind, record: Any) -> str:
    """Return what tells a record from all others; statistics change with their scores, so only whose they are."""
    return str(record.user_id) if kind == "statistics" else f"{_thing(kind, record)} {samples.exact(record)}"


def _thing(kind: RecordKind, record: Any) -> str:
    return str(record.conversation_id if kind == "messages" else record.user_id)


def _position(kind: RecordKind, record: Any) -> tuple[Any, str]:
    return (
        (record.sequence or 0, "")
        if kind in _ORDERED
        else (record.last_seen, record.pattern_id)
        if kind == "patterns"
        else (0, "")
    )


def policies_of(kinds: Iterable[RecordKind], chance: Random) -> list[Retention]:
    """Return one to three policies for each kind, of any shape."""
    return [
        Retention(
            kind,
            chance.choice([None, timedelta(days=chance.randrange(6))]),
            chance.choice([None, chance.randrange(1, 8)]),
            samples.MOMENT,
            chance.choice([(), (), ("alice",), ("u", "bob")]),
            chance.choice([(), (), ("bob",), ("u_1", "never seen")]),
        )
        for kind in kinds
        for _ in range(chance.randrange(1, 4))
    ]
