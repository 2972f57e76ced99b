"""Questions over everything that is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from whisper_persistence import records as rec
from whisper_persistence.codec import decoder
from whisper_persistence.records.fields import from_units, to_units
from whisper_persistence.records.memories import CORE_AT
from whisper_persistence.records.questions.base import ORIGIN, context_label, period_of
from whisper_persistence_drivers.aggregation import folding, groups
from whisper_persistence_drivers.aggregation.folding import SUCCESS_UNITS, Said, Scored
from whisper_persistence_drivers.memory.state import State, User

_read_score = decoder(rec.MemoryScore)
_read_outcome = decoder(rec.Outcome)
_read_pattern = decoder(rec.Pattern)
_read_message = decoder(rec.Message)


def aggregate(state: State, namespace: str, question: rec.Question[Any]) -> Any:
    """Answer one question, or ``None`` for one that is not known."""
    if isinstance(question, rec.CompareNamespaces):
        return groups.namespaces(question, [_summary(state, namespace)])
    answer = _ANSWERS.get(type(question))
    return answer(state, question) if answer else None


def _importance(state: State, question: rec.ImportanceByUser) -> rec.ImportanceAnswer:
    after = question.after or ""
    scores = (score for score in _scores(state, question.user_ids) if score.user_id > after)
    return groups.importance(question, list(folding.measure_users(scores)))


def _core(state: State, question: rec.CoreMemories) -> rec.CoreMemoriesAnswer:
    return groups.core(question, *folding.find_core(question, _scores(state, question.user_ids)))


def _patterns(state: State, question: rec.TopPatterns) -> rec.TopPatternsAnswer:
    users = _users(state, question.user_ids)
    seen = (_read_pattern(text) for _, user in users for text in user.tables.get("patterns", {}).values())
    return groups.patterns(question, folding.group_patterns(seen))


def _approaches(state: State, question: rec.EffectivenessByApproach) -> rec.EffectivenessAnswer:
    rows = [
        ((one.intervention_style, _label(one, question.context)), one.user_id, to_units(one.effectiveness_score))
        for one in _outcomes(state, question)
    ]
    return groups.approaches(question, folding.group_outcomes(rows))


def _label(outcome: rec.Outcome, key: str | None) -> str | None:
    return None if key is None else context_label(outcome.context.get(key))


def _trend(state: State, question: rec.EffectivenessTrend) -> rec.TrendAnswer:
    rows = [
        (period_of(one.timestamp, question.days), one.user_id, to_units(one.effectiveness_score))
        for one in _outcomes(state, question)
        if question.approach in (None, one.intervention_style)
    ]
    return groups.periods(question, folding.group_outcomes(rows))


def _hours(state: State, question: rec.ActivityByHour) -> rec.HourActivityAnswer:
    return groups.hours(question, folding.group_by_hour(_said(state, question)))


def _days(state: State, question: rec.ActivityByDay) -> rec.DayActivityAnswer:
    return groups.days(question, folding.group_by_day(_said(state, question)))


def _cohorts(state: State, question: rec.RetentionCohorts) -> rec.RetentionAnswer:
    return groups.cohorts(question, folding.group_cohorts(_said(state, question), question.days))


_ANSWERS: Final[dict[type, Callable[[State, Any], Any]]] = {
    rec.ImportanceByUser: _importance,
    rec.CoreMemories: _core,
    rec.TopPatterns: _patterns,
    rec.EffectivenessByApproach: _approaches,
    rec.EffectivenessTrend: _trend,
    rec.ActivityByHour: _hours,
    rec.ActivityByDay: _days,
    rec.RetentionCohorts: _cohorts,
}


def _users(state: State, user_ids: tuple[str, ...]) -> Iterator[tuple[str, User]]:
    wanted = sorted(set(user_ids) & state.users.keys()) if user_ids else sorted(state.users)
    return ((user_id, state.users[user_id]) for user_id in wanted)


def _scores(state: State, user_ids: tuple[str, ...]) -> Iterator[Scored]:
    for user_id, user in _users(state, user_ids):
        for row in user.scores:
            yield Scored(user_id, row.item, to_units(row.score), _read_score(row.text).factor_scores)


def _outcomes(state: State, question: Any) -> Iterator[rec.Outcome]:
    for _, user in _users(state, question.user_ids):
        for row in user.outcomes:
            outcome = _read_outcome(row.text)
            if _within(outcome.timestamp, question):
                yield outcome


def _said(state: State, question: Any) -> list[Said]:
    """Return what users wrote and nobody cleared, user by user."""
    users: frozenset[str] = frozenset(getattr(question, "user_ids", ()))
    found: list[Said] = []
    for conversation in state.conversations.values():
        for _, row in conversation.messages.oldest(conversation.cleared):
            if row.author_id and (not users or row.user_id in users):
                moment = _read_message(row.text).timestamp
                if _within(moment, question):
                    found.append(Said(row.user_id, (moment - ORIGIN).days * 24 + moment.hour))
    return sorted(found)


def _within(moment: datetime, question: Any) -> bool:
    since, until = getattr(question, "since", None), getattr(question, "until", None)
    return (since is None or moment >= since) and (until is None or moment < until)


def _summary(state: State, namespace: str) -> rec.NamespaceSummary:
    users = state.users.items()
    messages = [row for conversation in state.conversations.values() for row in conversation.messages]
    scores = [to_units(row.score) for _, user in users for row in user.scores]
    outcomes = [to_units(_read_outcome(row.text).effectiveness_score) for _, user in users for row in user.outcomes]
    known = {user_id for user_id, user in users if any(user.tables.values()) or len(user.outcomes) or len(user.scores)}
    return rec.NamespaceSummary(
        namespace,
        len(known | {row.user_id for row in messages}),
        len(scores),
        from_units(sum(scores)) / len(scores) if scores else None,
        sum(units >= to_units(CORE_AT) for units in scores),
        len(outcomes),
        sum(units >= SUCCESS_UNITS for units in outcomes),
        from_units(sum(outcomes)) / len(outcomes) if outcomes else None,
        len(messages),
    )
