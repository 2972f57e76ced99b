"""The reference for questions: each answer worked out from all records at once, by the plainest means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from itertools import groupby
from statistics import NormalDist, fmean, median, quantiles
from typing import Any, TypeVar

from whisper_persistence import records as rec
from whisper_persistence.records.memories import CORE_AT
from whisper_persistence.records.questions.base import ORIGIN, context_label
from whisper_persistence.records.strategies import SUCCESS_AT
from whisper_persistence.testing.model.space import Space

R = TypeVar("R")


def answer(space: Space, namespace: str, question: Any) -> Any:
    """Answer one question."""
    by_type: Mapping[type, Callable[..., Any]] = {
        rec.ImportanceByUser: _importance,
        rec.CoreMemories: _core,
        rec.TopPatterns: _patterns,
        rec.EffectivenessByApproach: _approaches,
        rec.EffectivenessTrend: _trend,
        rec.ActivityByHour: _hours,
        rec.ActivityByDay: _days,
        rec.RetentionCohorts: _cohorts,
    }
    if isinstance(question, rec.CompareNamespaces):
        return _namespaces(space, namespace, question)
    return by_type[type(question)](space, question)


def _importance(space: Space, question: rec.ImportanceByUser) -> rec.ImportanceAnswer:
    after = question.after or ""
    users = [user for user in sorted(_users(space.scores, question)) if user > after and space.scores[user]]
    rows = tuple(_measure(user, list(space.scores[user].values())) for user in users[: question.limit])
    return rec.ImportanceAnswer(rows, rows[-1].user_id if len(users) > len(rows) else None)


def _measure(user: str, scores: list[rec.MemoryScore]) -> rec.UserImportance:
    values = [score.overall_score for score in scores]
    names = {name for score in scores for name in score.factor_scores}
    factors = {n: fmean(s.factor_scores[n] for s in scores if n in s.factor_scores) for n in names}
    deciles = quantiles(values, n=10, method="inclusive") if len(values) > 1 else values * 9
    return rec.UserImportance(user, len(values), fmean(values), median(values), tuple(deciles), factors)


def _core(space: Space, question: rec.CoreMemories) -> rec.CoreMemoriesAnswer:
    found = [
        (-score.overall_score, user, score.memory_id)
        for user in _users(space.scores, question)
        for score in space.scores[user].values()
        if score.overall_score >= question.threshold
    ]
    users = len({user for _, user, _ in found})
    if users < question.minimum_group:
        return rec.CoreMemoriesAnswer()
    rows = [rec.CoreMemory(user, memory, -score) for score, user, memory in sorted(found)[: question.limit]]
    return rec.CoreMemoriesAnswer(tuple(rows), len(found), users)


def _patterns(space: Space, question: rec.TopPatterns) -> rec.TopPatternsAnswer:
    found = [p for user in _users(space.patterns, question) for p in space.patterns[user].values()]
    groups = _grouped(found, lambda p: (p.pattern_id, p.pattern_type))
    kept = {key: members for key, members in groups.items() if len(members) >= question.minimum_group}
    rows = [
        rec.TopPattern(key[0], key[1], len(members), sum(p.frequency for p in members), *_confidence(members))
        for key, members in kept.items()
    ]
    rows.sort(key=lambda row: (-row.users, -row.frequency, row.pattern_id, row.pattern_type))
    return rec.TopPatternsAnswer(tuple(rows[: question.limit]), len(groups) - len(kept))


def _confidence(members: list[rec.Pattern]) -> tuple[float, float]:
    seen = sum(p.frequency for p in members) * 1e9
    if not seen:
        return 0.0, 0.0
    return sum(p.confidence_sum for p in members) / seen, sum(p.importance_sum for p in members) / seen


def _approaches(space: Space, question: rec.EffectivenessByApproach) -> rec.EffectivenessAnswer:
    def key(outcome: rec.Outcome) -> tuple[str, str | None]:
        known = question.context is not None
        return outcome.intervention_style, context_label(outcome.context.get(str(question.context))) if known else None

    groups = _grouped(_outcomes(space, question), key)
    kept = {key: members for key, members in groups.items() if _people(members) >= question.minimum_group}
    rows = [
        rec.ApproachEffectiveness(*_measured(members, question.confidence), approach=approach, context=context)
        for (approach, context), members in kept.items()
    ]
    rows.sort(key=lambda row: (-row.count, row.approach, row.context is not None, row.context or ""))
    return rec.EffectivenessAnswer(tuple(rows[: question.limit]), len(groups) - len(kept))


def _trend(space: Space, question: rec.EffectivenessTrend) -> rec.TrendAnswer:
    chosen = [o for o in _outcomes(space, question) if question.approach in (None, o.intervention_style)]
    groups = _grouped(chosen, lambda o: (o.timestamp - ORIGIN) // timedelta(days=question.days))
    kept = {key: members for key, members in groups.items() if _people(members) >= question.minimum_group}
    rows = [
        rec.PeriodEffectiveness(
            *_measured(members, question.confidence), start=ORIGIN + timedelta(days=period * question.days)
        )
        for period, members in sorted(kept.items())
    ]
    return rec.TrendAnswer(tuple(rows[-question.limit :]), len(groups) - len(kept))


def _measured(outcomes: list[rec.Outcome], confidence: float) -> tuple[int, int, int, float, float, float, float]:
    count, z = len(outcomes), NormalDist().inv_cdf((1 + confidence) / 2)
    good = sum(o.effectiveness_score >= SUCCESS_AT for o in outcomes)
    # The two roots of (p - share)^2 = z^2 p (1 - p) / count, which is how Wilson's interval is defined.
    a, b, c = 1 + z * z / count, -(2 * good / count + z * z / count), (good / count) ** 2
    root = max(0.0, b * b - 4 * a * c) ** 0.5
    mean = fmean(o.effectiveness_score for o in outcomes)
    return count, good, _people(outcomes), mean, good / count, (-b - root) / (2 * a), (-b + root) / (2 * a)


def _hours(space: Space, question: rec.ActivityByHour) -> rec.HourActivityAnswer:
    groups = _grouped(_said(space, question), lambda m: (m.timestamp.weekday(), m.timestamp.hour))
    kept = {key: members for key, members in groups.items() if _people(members) >= question.minimum_group}
    rows = [rec.HourActivity(key[0], key[1], len(members), _people(members)) for key, members in sorted(kept.items())]
    return rec.HourActivityAnswer(tuple(rows), len(groups) - len(kept))


def _days(space: Space, question: rec.ActivityByDay) -> rec.DayActivityAnswer:
    groups = _grouped(_said(space, question), lambda m: m.timestamp.replace(hour=0, minute=0, second=0, microsecond=0))
    kept = {key: members for key, members in groups.items() if _people(members) >= question.minimum_group}
    rows = [rec.DayActivity(day, len(members), _people(members)) for day, members in sorted(kept.items())]
    return rec.DayActivityAnswer(tuple(rows[-question.limit :]), len(groups) - len(kept))


def _cohorts(space: Space, question: rec.RetentionCohorts) -> rec.RetentionAnswer:
    step = timedelta(days=question.days)
    came = {
        user: {(m.timestamp - ORIGIN) // step for m in messages}
        for user, messages in _grouped(_said(space, question), lambda m: m.user_id).items()
    }
    groups = _grouped(came.values(), min)
    kept = {first: members for first, members in groups.items() if len(members) >= question.minimum_group}
    rows = [
        rec.CohortRetention(ORIGIN + first * step, later, len(members), active, active / len(members))
        for first, members in sorted(kept.items())[-question.cohorts :]
        for later in range(min(question.periods, max(map(max, members)) - first) + 1)
        if (active := sum(first + later in periods for periods in members))
    ]
    return rec.RetentionAnswer(tuple(rows), len(groups) - len(kept))


def _namespaces(space: Space, namespace: str, question: rec.CompareNamespaces) -> rec.NamespacesAnswer:
    scores = [score.overall_score for user in space.scores.values() for score in user.values()]
    outcomes = [outcome.effectiveness_score for user in space.outcomes.values() for outcome in user]
    messages = [message for talk in space.messages.values() for message in talk]
    tables = (space.strategies, space.outcomes, space.statistics, space.scores, space.patterns, space.preferences)
    users = {user for table in tables for user, kept in table.items() if kept} | {m.user_id for m in messages}
    row = rec.NamespaceSummary(
        namespace,
        len(users),
        len(scores),
        fmean(scores) if scores else None,
        sum(score >= CORE_AT for score in scores),
        len(outcomes),
        sum(score >= SUCCESS_AT for score in outcomes),
        fmean(outcomes) if outcomes else None,
        len(messages),
    )
    shown = len(users) >= question.minimum_group
    return rec.NamespacesAnswer((row,) if users and shown else (), int(bool(users) and not shown))


def _grouped(members: Iterable[R], key: Callable[[R], Any]) -> dict[Any, list[R]]:
    return {name: list(own) for name, own in groupby(sorted(members, key=lambda m: repr(key(m))), key)}


def _people(records: Iterable[Any]) -> int:
    return len({record.user_id for record in records})


def _users(table: Mapping[str, Any], question: Any) -> list[str]:
    return [user for user in table if not question.user_ids or user in question.user_ids]


def _outcomes(space: Space, question: Any) -> list[rec.Outcome]:
    found = [outcome for user in _users(space.outcomes, question) for outcome in space.outcomes[user]]
    return [outcome for outcome in found if _within(outcome, question)]


def _said(space: Space, question: Any) -> list[rec.Message]:
    users = getattr(question, "user_ids", ())
    return [
        message
        for talk, messages in space.messages.items()
        for message in messages
        if message.role == "user" and (message.sequence or 0) > space.marks.get(talk, 0)
        if (not users or message.user_id in users) and _within(message, question)
    ]


def _within(record: Any, question: Any) -> bool:
    since, until = getattr(question, "since", None), getattr(question, "until", None)
    return (since is None or record.timestamp >= since) and (until is None or record.timestamp < until)
