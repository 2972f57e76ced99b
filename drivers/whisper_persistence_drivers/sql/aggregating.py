"""Questions over many users: grouped by the database where SQL can, folded here page by page where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final

import msgspec

from whisper_persistence import records as rec
from whisper_persistence.records.fields import to_units
from whisper_persistence.records.questions.base import ORIGIN, context_label
from whisper_persistence_drivers.aggregation import folding, groups
from whisper_persistence_drivers.aggregation.folding import Said, Scored
from whisper_persistence_drivers.sql import grouping
from whisper_persistence_drivers.sql.checksums import checked_all
from whisper_persistence_drivers.sql.damage import read_all
from whisper_persistence_drivers.sql.marks import read_marks
from whisper_persistence_drivers.sql.session import Session, to_micros
from whisper_persistence_drivers.sql.walking import Walk, walk


class _Factors(msgspec.Struct):
    factor_scores: dict[str, float] = {}


class _Context(msgspec.Struct):
    context: dict[str, Any] = {}


class _Words(msgspec.Struct):
    role: str
    timestamp: datetime


_read_factors = checked_all(_Factors, text=4, kept=5, sequence=3)
_read_context = checked_all(_Context, text=5, kept=6, sequence=1)
_read_words = checked_all(_Words, text=3, kept=4, sequence=2)

_SCORES: Final = Walk(
    "scores",
    ("user_id", "memory_id"),
    lambda flavour, scores: (scores.score, scores.sequence, *flavour.checked(scores)),
)
_OUTCOMES: Final = Walk(
    "outcomes",
    ("user_id", "sequence"),
    lambda flavour, outcomes: (
        *(outcomes.intervention_style, outcomes.effectiveness, outcomes.occurred_at),
        *flavour.checked(outcomes),
    ),
)
_SAID: Final = Walk(
    "messages", ("user_id", "conversation_id", "sequence"), lambda flavour, messages: flavour.checked(messages)
)
#: What names a row of each that cannot be read: its sequence and its text.
_named_score, _named_outcome, _named_message = itemgetter(3, 4), itemgetter(1, 5), itemgetter(2, 3)
_HOUR: Final = timedelta(hours=1)


def aggregate(session: Session, question: rec.Question[Any]) -> Any:
    """Answer one question, or ``None`` for one that is not known; records that cannot be read do not count."""
    answer = _ANSWERS.get(type(question))
    if answer is None:
        return None
    with session.flavour.one_state(session):
        return answer(session, question)


def _importance(session: Session, question: rec.ImportanceByUser) -> rec.ImportanceAnswer:
    users: list[rec.UserImportance] = []
    for user in folding.measure_users(_scores(session, question)):
        users.append(user)
        if len(users) > question.limit:
            break
    return groups.importance(question, users)


def _scores(session: Session, question: rec.ImportanceByUser) -> Iterator[Scored]:
    for page in walk(session, _SCORES, question.user_ids, question.after or ""):
        read = read_all(session, "scores", page, _read_factors, _named_score)
        for (user_id, memory_id, units, *_), scored in read:
            yield Scored(user_id, memory_id, units, scored.factor_scores)


def _approaches(session: Session, question: rec.EffectivenessByApproach) -> rec.EffectivenessAnswer:
    if question.context is None:
        return groups.approaches(question, grouping.outcomes_by_approach(session, question))
    return groups.approaches(question, folding.group_outcomes(_in_context(session, question, question.context)))


def _in_context(
    session: Session, question: rec.EffectivenessByApproach, key: str
) -> Iterator[tuple[tuple[str, str | None], str, int]]:
    since = to_micros(question.since) if question.since else None
    until = to_micros(question.until) if question.until else None
    for page in walk(session, _OUTCOMES, question.user_ids):
        read = read_all(session, "outcomes", page, _read_context, _named_outcome)
        for (user_id, _, style, units, moment, *_), tried in read:
            if (since is None or moment >= since) and (until is None or moment < until):
                yield (style, context_label(tried.context.get(key))), user_id, units


def _trend(session: Session, question: rec.EffectivenessTrend) -> rec.TrendAnswer:
    return groups.periods(question, grouping.outcomes_by_period(session, question))


def _hours(session: Session, question: rec.ActivityByHour) -> rec.HourActivityAnswer:
    return groups.hours(question, folding.group_by_hour(_said(session, question)))


def _days(session: Session, question: rec.ActivityByDay) -> rec.DayActivityAnswer:
    return groups.days(question, folding.group_by_day(_said(session, question)))


def _cohorts(session: Session, question: rec.RetentionCohorts) -> rec.RetentionAnswer:
    return groups.cohorts(question, folding.group_cohorts(_said(session, question), question.days))


def _said(session: Session, question: Any) -> Iterator[Said]:
    """Yield what users wrote and nobody cleared, user by user."""
    since, until = getattr(question, "since", None), getattr(question, "until", None)
    for page in walk(session, _SAID, getattr(question, "user_ids", ())):
        marks = read_marks(session, {row[1] for row in page})
        shown = [row for row in page if row[2] > marks.get(row[1], 0)]
        read = read_all(session, "messages", shown, _read_words, _named_message)
        for (user_id, *_), said in read:
            moment = said.timestamp
            if said.role == "user" and (since is None or moment >= since) and (until is None or moment < until):
                yield Said(user_id, (moment - ORIGIN) // _HOUR)


def _core(session: Session, question: rec.CoreMemories) -> rec.CoreMemoriesAnswer:
    return groups.core(question, *grouping.core_memories(session, question, to_units(question.threshold)))


def _patterns(session: Session, question: rec.TopPatterns) -> rec.TopPatternsAnswer:
    return groups.patterns(question, *grouping.patterns(session, question))


def _namespaces(session: Session, question: rec.CompareNamespaces) -> rec.NamespacesAnswer:
    return groups.namespaces(question, grouping.namespaces(session))


_ANSWERS: Final[dict[type, Callable[[Session, Any], Any]]] = {
    rec.ImportanceByUser: _importance,
    rec.CoreMemories: _core,
    rec.TopPatterns: _patterns,
    rec.EffectivenessByApproach: _approaches,
    rec.EffectivenessTrend: _trend,
    rec.ActivityByHour: _hours,
    rec.ActivityByDay: _days,
    rec.RetentionCohorts: _cohorts,
    rec.CompareNamespaces: _namespaces,
}
