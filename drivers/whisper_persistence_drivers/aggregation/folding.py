"""Rows that come user by user, folded into groups: in memory that grows with the groups, not with the rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TypeVar

import attrs

from whisper_persistence.records import CoreMemories, CoreMemory, Pattern, UserImportance
from whisper_persistence.records.fields import from_units, to_units
from whisper_persistence.records.questions.measures import DECILES, quantile
from whisper_persistence.records.strategies import SUCCESS_AT
from whisper_persistence_drivers.aggregation.groups import Outcomes, Seen, Talk

K = TypeVar("K", bound=Hashable)

#: From how many units of 1e-9 on an outcome is a success.
SUCCESS_UNITS = to_units(SUCCESS_AT)


class Scored(NamedTuple):
    """A memory's score: whose, which, the score in units of 1e-9, and its factors by name."""

    user_id: str
    memory_id: str
    units: int
    factors: Mapping[str, float]


class Said(NamedTuple):
    """A message that a user wrote: who, and in which hour, counted from `ORIGIN`."""

    user_id: str
    hour: int


@attrs.define
class _Tally:
    count: int = 0
    successes: int = 0
    units: int = 0
    users: int = 0
    _last: str | None = None

    def add(self, user_id: str, units: int = 0) -> None:
        """Count one row; the rows of one user come together."""
        self.count += 1
        self.successes += units >= SUCCESS_UNITS
        self.units += units
        if user_id != self._last:
            self.users += 1
            self._last = user_id


def group_outcomes(rows: Iterable[tuple[K, str, int]]) -> list[tuple[K, Outcomes]]:
    """Return outcomes in groups, from rows of group, user id and effectiveness in units of 1e-9, user by user."""
    groups: dict[K, _Tally] = {}
    for key, user_id, units in rows:
        groups.setdefault(key, _Tally()).add(user_id, units)
    return [(key, Outcomes(one.count, one.successes, one.units, one.users)) for key, one in groups.items()]


def group_by_hour(said: Iterable[Said]) -> list[tuple[int, Talk]]:
    """Return messages by the hour of the week, from messages that come user by user."""
    return _group_talk((hour % 168, user_id) for user_id, hour in said)


def group_by_day(said: Iterable[Said]) -> list[tuple[int, Talk]]:
    """Return messages by the number of their day, from messages that come user by user."""
    return _group_talk((hour // 24, user_id) for user_id, hour in said)


def _group_talk(rows: Iterable[tuple[int, str]]) -> list[tuple[int, Talk]]:
    groups: dict[int, _Tally] = {}
    for key, user_id in rows:
        groups.setdefault(key, _Tally()).add(user_id)
    return [(key, Talk(one.count, one.users)) for key, one in groups.items()]


def group_cohorts(said: Iterable[Said], days: int) -> list[tuple[tuple[int, int], int]]:
    """Return how many users wrote so many periods after their first, by first period and how many later."""
    active: dict[tuple[int, int], int] = {}
    for _, messages in groupby(said, itemgetter(0)):
        seen = {hour // 24 // days for _, hour in messages}
        first = min(seen)
        for period in seen:
            active[first, period - first] = active.get((first, period - first), 0) + 1
    return list(active.items())


def group_patterns(patterns: Iterable[Pattern]) -> list[Seen]:
    """Return what was observed of each pattern; each user has a pattern once."""
    groups: dict[tuple[str, str], Seen] = {}
    for pattern in patterns:
        key = (pattern.pattern_id, pattern.pattern_type)
        before = groups.get(key) or Seen(*key, 0, 0, 0, 0)
        groups[key] = Seen(
            *key,
            before.users + 1,
            before.frequency + pattern.frequency,
            before.confidence_units + pattern.confidence_sum,
            before.importance_units + pattern.importance_sum,
        )
    return list(groups.values())


def measure_users(scores: Iterable[Scored]) -> Iterator[UserImportance]:
    """Yield the measures of each user, from scores that come user by user."""
    for user_id, own in groupby(scores, itemgetter(0)):
        yield _measure(user_id, list(own))


def _measure(user_id: str, scores: list[Scored]) -> UserImportance:
    ordered = sorted(score.units for score in scores)
    factors: dict[str, list[float]] = {}
    for score in scores:
        for name, value in score.factors.items():
            factors.setdefault(name, []).append(value)
    return UserImportance(
        user_id,
        len(ordered),
        from_units(sum(ordered)) / len(ordered),
        quantile(ordered, 0.5) / 1e9,
        tuple([quantile(ordered, share) / 1e9 for share in DECILES]),
        {name: sum(values) / len(values) for name, values in sorted(factors.items())},
    )


def find_core(question: CoreMemories, scores: Iterable[Scored]) -> tuple[list[CoreMemory], int, int]:
    """Return the highest scores, how many reach the threshold, and how many users have any, user by user."""
    threshold, tally = to_units(question.threshold), _Tally()

    def reaching() -> Iterator[tuple[int, str, str]]:
        for user_id, memory_id, units, _ in scores:
            if units >= threshold:
                tally.add(user_id)
                yield -units, user_id, memory_id

    best = nsmallest(question.limit, reaching())
    return [CoreMemory(user, memory, from_units(-units)) for units, user, memory in best], tally.count, tally.users
