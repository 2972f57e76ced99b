"""What a workload is, and what its figures are held against."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from arena import Arena
from data import Scale
from timing import Lane, Spent


@attrs.frozen
class Bar:
    """What the challenger's figures are held against.

    Attributes:
        measure: makes one number of what each contestant spent, the one that is measured against first.
        limit: the number that must be met, or ``None`` where the number is only shown.
        goal: the number that is hoped for.
        at_least: whether more is better.
        unit: what the number counts.
        title: what it is, where a workload has several.
    """

    measure: Callable[[Sequence[Spent]], float]
    limit: float | None = None
    goal: float | None = None
    at_least: bool = False
    unit: str = "x"
    title: str = ""

    def verdict(self, value: float) -> str:
        """Return ``met goal``, ``met bar``, ``short``, or nothing where nothing is asked."""
        if self.goal is not None and self._meets(value, self.goal):
            return "met goal"
        if self.limit is None:
            return "" if self.goal is None else "short of goal"
        return "met bar" if self._meets(value, self.limit) else "short"

    def _meets(self, value: float, wanted: float) -> bool:
        return value >= wanted if self.at_least else value <= wanted


@attrs.frozen
class Field:
    """Contestants, lined up for one run of a workload.

    Attributes:
        lanes: each one's share of a round, by name: first the one to be measured against, second the challenger.
        answers: how to read from each what all must agree on, once the run is over.
    """

    lanes: Mapping[str, Lane]
    answers: Mapping[str, Callable[[], list[Any]]] = attrs.field(factory=dict[str, Callable[[], list[Any]]])


@attrs.frozen
class Workload:
    """Something to measure.

    Attributes:
        name: as ``--only`` names it.
        title: as the table shows it.
        line_up: lines the contestants up for the run of this number.
        bars: what the figures are held against.
        rounds: how many rounds a run has.
        unit: what is spent: ``ns`` or ``bytes``.
    """

    name: str
    title: str
    line_up: Callable[[Arena, int], Field]
    bars: tuple[Bar, ...]
    rounds: Callable[[Scale], int] = operator.attrgetter("rounds")
    unit: str = "ns"


@attrs.frozen
class Done:
    """Something that was measured by other means than a line-up.

    Attributes:
        name, title, bars, unit: as a workload's.
    """

    name: str
    title: str
    bars: tuple[Bar, ...]
    unit: str = "ns"


def times_slower(spent: Sequence[Spent]) -> float:
    """Return how much more the challenger spent."""
    return spent[1].median() / spent[0].median()


def share_of_throughput(spent: Sequence[Spent]) -> float:
    """Return which part of the other's throughput the challenger reached."""
    return spent[0].median() / spent[1].median()


def p99_milliseconds(spent: Sequence[Spent]) -> float:
    """Return the 99th percentile of the challenger's single calls."""
    return spent[1].p99() / 1e6


def megabytes(spent: Sequence[Spent]) -> float:
    """Return the challenger's megabytes."""
    return spent[1].median() / 1e6


def at_most(limit: float | None = None, goal: float | None = None) -> tuple[Bar, ...]:
    """Return the bar of a ratio of times."""
    return (Bar(times_slower, limit, goal),)


def at_least(limit: float | None = None, goal: float | None = None) -> tuple[Bar, ...]:
    """Return the bar of a share of the other's throughput."""
    return (Bar(share_of_throughput, limit, goal, at_least=True),)
