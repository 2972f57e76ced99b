"""Groups of rows, and the answers that are made of them; whoever counted the groups, the answer is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from whisper_persistence import records as rec
from whisper_persistence.records.fields import SCORE_UNITS
from whisper_persistence.records.questions.base import start_of
from whisper_persistence.records.questions.measures import wilson_interval

G = TypeVar("G")


class Outcomes(NamedTuple):
    """Outcomes that belong together.

    Attributes:
        trials: how many there are.
        successes: how many of them are successes.
        units: the sum of their effectiveness, in units of 1e-9.
        users: of how many users.
    """

    trials: int
    successes: int
    units: int
    users: int


class Talk(NamedTuple):
    """Messages that belong together: how many, and of how many users."""

    messages: int
    users: int


class Seen(NamedTuple):
    """Observations of one pattern: its name and kind, with how many users, and the sums over them."""

    pattern_id: str
    pattern_type: str
    users: int
    frequency: int
    confidence_units: int
    importance_units: int


def approaches(
    question: rec.EffectivenessByApproach, groups: Iterable[tuple[tuple[str, str | None], Outcomes]]
) -> rec.EffectivenessAnswer:
    """Return the answer that groups of outcomes, by approach and context, make."""
    kept, hidden = _large_enough(list(groups), lambda group: group[1].users, question.minimum_group)
    kept.sort(key=lambda group: (-group[1].trials, group[0][0], group[0][1] is not None, group[0][1] or ""))
    rows = [
        rec.ApproachEffectiveness(*_measured(outcomes, question.confidence), approach=approach, context=context)
        for (approach, context), outcomes in kept[: question.limit]
    ]
    return rec.EffectivenessAnswer(tuple(rows), hidden)


def periods(question: rec.EffectivenessTrend, groups: Iterable[tuple[int, Outcomes]]) -> rec.TrendAnswer:
    """Return the answer that groups of outcomes, by the number of their period, make."""
    kept, hidden = _large_enough(list(groups), lambda group: group[1].users, question.minimum_group)
    rows = [
        rec.PeriodEffectiveness(*_measured(outcomes, question.confidence), start=start_of(period, question.days))
        for period, outcomes in sorted(kept)[-question.limit :]
    ]
    return rec.TrendAnswer(tuple(rows), hidden)


def _measured(outcomes: Outcomes, confidence: float) -> tuple[int, int, int, float, float, float, float]:
    trials, successes, units, users = outcomes
    low, high = wilson_interval(successes, trials, confidence)
    return trials, successes, users, units / trials / SCORE_UNITS, successes / trials, low, high


def hours(question: rec.ActivityByHour, groups: Iterable[tuple[int, Talk]]) -> rec.HourActivityAnswer:
    """Return the answer that groups of messages, by the hour of the week, 0 to 167, make."""
    kept, hidden = _large_enough(list(groups), lambda group: group[1].users, question.minimum_group)
    rows = [rec.HourActivity(*divmod(hour, 24), *talk) for hour, talk in sorted(kept)]
    return rec.HourActivityAnswer(tuple(rows), hidden)


def days(question: rec.ActivityByDay, groups: Iterable[tuple[int, Talk]]) -> rec.DayActivityAnswer:
    """Return the answer that groups of messages, by the number of their day, make."""
    kept, hidden = _large_enough(list(groups), lambda group: group[1].users, question.minimum_group)
    rows = [rec.DayActivity(start_of(day, 1), *talk) for day, talk in sorted(kept)[-question.limit :]]
    return rec.DayActivityAnswer(tuple(rows), hidden)


def cohorts(question: rec.RetentionCohorts, groups: Iterable[tuple[tuple[int, int], int]]) -> rec.RetentionAnswer:
    """Return the answer that counts of users, by first period and how many periods later they wrote, make."""
    active = dict(groups)
    sizes = [(cohort, users) for (cohort, later), users in active.items() if later == 0]
    kept, hidden = _large_enough(sizes, lambda group: group[1], question.minimum_group)
    shown = dict(sorted(kept)[-question.cohorts :])
    rows = [
        rec.CohortRetention(start_of(cohort, question.days), later, shown[cohort], users, users / shown[cohort])
        for (cohort, later), users in sorted(active.items())
        if cohort in shown and later <= question.periods
    ]
    return rec.RetentionAnswer(tuple(rows), hidden)


def patterns(question: rec.TopPatterns, groups: Iterable[Seen], hidden: int = 0) -> rec.TopPatternsAnswer:
    """Return the answer that patterns make; ``hidden`` of them were left out before."""
    kept, more = _large_enough(list(groups), lambda seen: seen.users, question.minimum_group)
    kept.sort(key=lambda seen: (-seen.users, -seen.frequency, seen.pattern_id, seen.pattern_type))
    rows = [
        rec.TopPattern(
            seen.pattern_id,
            seen.pattern_type,
            seen.users,
            seen.frequency,
            _mean(seen.confidence_units, seen.frequency),
            _mean(seen.importance_units, seen.frequency),
        )
        for seen in kept[: question.limit]
    ]
    return rec.TopPatternsAnswer(tuple(rows), hidden + more)


def _mean(units: int, count: int) -> float:
    return units / count / SCORE_UNITS if count else 0.0


def core(question: rec.CoreMemories, rows: Iterable[rec.CoreMemory], total: int, users: int) -> rec.CoreMemoriesAnswer:
    """Return the answer that the highest scores, and how many there are of how many users, make."""
    few = users < question.minimum_group
    return rec.CoreMemoriesAnswer() if few else rec.CoreMemoriesAnswer(tuple(rows), total, users)


def importance(question: rec.ImportanceByUser, users: Sequence[rec.UserImportance]) -> rec.ImportanceAnswer:
    """Return the answer that the measures of users make, of whom there may be one more than asked for."""
    rows = tuple(users[: question.limit])
    return rec.ImportanceAnswer(rows, rows[-1].user_id if len(users) > len(rows) else None)


def namespaces(question: rec.CompareNamespaces, summaries: Iterable[rec.NamespaceSummary]) -> rec.NamespacesAnswer:
    """Return the answer that summaries of namespaces make."""
    there = [summary for summary in summaries if summary.users]
    kept, hidden = _large_enough(there, lambda summary: summary.users, question.minimum_group)
    return rec.NamespacesAnswer(tuple(sorted(kept, key=lambda summary: summary.namespace)), hidden)


def _large_enough(groups: list[G], users: Callable[[G], int], minimum: int) -> tuple[list[G], int]:
    """Return the groups of at least so many users, and how many others there are."""
    kept = [group for group in groups if users(group) >= minimum]
    return kept, len(groups) - len(kept)
