"""Questions over many users: grouped by the database where SQL can, folded here page by page where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from whisper_persistence import records as rec
from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records.fields import to_units
from whisper_persistence.records.questions.base import ORIGIN, context_label
from whisper_persistence_drivers.aggregation import folding, groups
from whisper_persistence_drivers.aggregation.folding import Said, Scored
from whisper_persistence_drivers.sql import grouping
from whisper_persistence_drivers.sql.marks import read_marks
from whisper_persistence_drivers.sql.session import Session, to_micros
from whisper_persistence_drivers.sql.walking import Walk, walk


class _Factors(msgspec.Struct):
    factor_scores: dict[str, float] = {}


class _Context(msgspec.Struct):
    context: dict[str, Any] = {}


_read_factors = msgspec.json.Decoder(_Factors).decode
_read_context = msgspec.json.Decoder(_Context).decode

_SCORES: Final = Walk("scores", ("user_id", "memory_id"), lambda _, scores: (scores.score, scores.record))
_OUTCOMES: Final = Walk(
    "outcomes",
    ("user_id", "sequence"),
    lambda _, outcomes: (outcomes.intervention_style, outcomes.effectiveness, outcomes.occurred_at, outcomes.record),
)
_SAID: Final = Walk(
    "messages",
    ("user_id", "conversation_id", "sequence"),
    lambda flavour, messages: (flavour.member(messages.record, "timestamp"),),
    lambda flavour, messages: flavour.member(messages.record, "role") == "user",
)


def aggregate(session: Session, question: rec.Question[Any]) -> Any:
    """Answer one question, or ``None`` for one that is not known.

    Raises:
        StorageDamagedError: a stored record cannot be read.
    """
    answer = _ANSWERS.get(type(question))
    if answer is None:
        return None
    try:
        with session.flavour.one_state(session):
            return answer(session, question)
    except msgspec.MsgspecError:
        raise StorageDamagedError("a stored record cannot be read: restore it from a backup") from None


def _importance(session: Session, question: rec.ImportanceByUser) -> rec.ImportanceAnswer:
    users: list[rec.UserImportance] = []
    for user in folding.measure_users(_scores(session, question)):
        users.append(user)
        if len(users) > question.limit:
            break
    return groups.importance(question, users)


def _scores(session: Session, question: rec.ImportanceByUser) -> Iterator[Scored]:
    for page in walk(session, _SCORES, question.user_ids, question.after or ""):
        for user_id, memory_id, units, record in page:
            yield Scored(user_id, memory_id, units, _read_factors(record).factor_scores)


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
        for user_id, _, style, units, moment, record in page:
            if (since is None or moment >= since) and (until is None or moment < until):
                yield (style, context_label(_read_context(record).context.get(key))), user_id, units


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
    days: dict[str, int] = {}
    for page in walk(session, _SAID, getattr(question, "user_ids", ())):
        marks = read_marks(session, {row[1] for row in page})
        for user_id, conversation_id, sequence, moment in page:
            if sequence > marks.get(conversation_id, 0) and _within(moment, since, until):
                yield Said(user_id, _hour(moment, days))


def _within(moment: str, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    said = datetime.fromisoformat(moment)
    return (since is None or said >= since) and (until is None or said < until)


def _hour(moment: str, days: dict[str, int]) -> int:
    """Return the hour of a moment that is written as ISO 8601 in UTC; ``days`` remembers what was worked out."""
    day = moment[:10]
    number = days.get(day)
    if number is None:
        number = days[day] = (datetime.fromisoformat(f"{day}T00:00:00Z") - ORIGIN).days
    return number * 24 + int(moment[11:13])


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
