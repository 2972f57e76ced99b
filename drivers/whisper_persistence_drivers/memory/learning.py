"""What changes a strategy with its outcomes, and statistics with their scores."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from itertools import islice

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import (
    MemoryScore,
    Outcome,
    OutcomeQuery,
    Receipt,
    ScoreQuery,
    Statistics,
    StatisticsChange,
    StrategyChange,
    fields,
)
from whisper_persistence_drivers.memory.log import Row, ScoreRow
from whisper_persistence_drivers.memory.state import State, User
from whisper_persistence_drivers.memory.tables import STATISTICS, STRATEGIES

_read_outcome = decoder(Outcome)
_read_score = decoder(MemoryScore)


def update_strategies(state: State, changes: Sequence[StrategyChange]) -> list[Receipt]:
    """Fold changes into strategies and append their outcomes."""
    return [_learn(state, change) for change in changes]


def _learn(state: State, change: StrategyChange) -> Receipt:
    user = state.peek_user(change.user_id)
    if change.change_id in state.applied:
        return user.receipt()
    stored = frozenset(o.outcome_id for o in change.outcomes if user.outcomes.sequence(o.outcome_id) is not None)
    news = change.without_outcomes(stored)
    receipt = STRATEGIES.put(state, news.apply_to(STRATEGIES.get(user)))
    for outcome in news.outcomes:
        _append_outcome(state, outcome)
    state.applied.add(change.change_id)
    return receipt


def _append_outcome(state: State, outcome: Outcome) -> None:
    user = state.users[outcome.user_id]
    sequence = user.take_sequence()
    user.outcomes.append(sequence, Row(outcome.outcome_id, encode(attrs.evolve(outcome, sequence=sequence))))
    state.notify("outcomes", outcome.user_id, outcome.outcome_id, user.revision)


def load_outcomes(state: State, queries: Sequence[OutcomeQuery]) -> Mapping[OutcomeQuery, tuple[Outcome, ...]]:
    """Return pages of outcomes, newest first."""
    found = {query: _newest_outcomes(state.peek_user(query.user_id), query) for query in queries}
    return {query: page for query, page in found.items() if page}


def _newest_outcomes(user: User, query: OutcomeQuery) -> tuple[Outcome, ...]:
    return tuple(_read_outcome(row.text) for _, row in islice(user.outcomes.newest(query.before), query.limit))


def update_statistics(state: State, changes: Sequence[StatisticsChange]) -> list[Receipt]:
    """Fold changes into statistics, and put or remove the scores they name."""
    return [_weigh(state, change) for change in changes]


def _weigh(state: State, change: StatisticsChange) -> Receipt:
    user = state.peek_user(change.user_id)
    if change.change_id in state.applied:
        return user.receipt()
    rows = [row for row in map(user.scores.get, change.memory_ids()) if row]
    record = change.apply_to(STATISTICS.get(user), {row.item: _read_score(row.text) for row in rows})
    receipt = STATISTICS.put(state, record)
    user = state.users[change.user_id]
    _remove_scores(user, rows)
    for score in _last_of_each(change.scores):
        _append_score(user, score)
    for memory_id in change.memory_ids():
        state.notify("scores", change.user_id, memory_id, user.revision)
    state.applied.add(change.change_id)
    return receipt


def _last_of_each(scores: Sequence[MemoryScore]) -> list[MemoryScore]:
    latest = {score.memory_id: position for position, score in enumerate(scores)}
    return [scores[position] for position in sorted(latest.values())]


def _remove_scores(user: User, rows: Sequence[ScoreRow]) -> None:
    user.scores.remove([row.item for row in rows])
    for row in rows:
        del user.ranking[bisect_left(user.ranking, (row.score, row.item))]


def _append_score(user: User, score: MemoryScore) -> None:
    sequence = user.take_sequence()
    text = encode(attrs.evolve(score, sequence=sequence))
    user.scores.append(sequence, ScoreRow(score.memory_id, text, score.overall_score))
    insort(user.ranking, (score.overall_score, score.memory_id))


def load_statistics(state: State, user_ids: Sequence[str]) -> Mapping[str, Statistics]:
    """Return statistics by user id, with what the stored scores tell."""
    stored = STATISTICS.load(state, user_ids)
    return {user_id: with_extremes(record, state.users[user_id]) for user_id, record in stored.items()}


def with_extremes(record: Statistics, user: User) -> Statistics:
    """Return statistics with minimum, maximum and median of the stored scores, where every counted one is stored."""
    ranking, count = user.ranking, len(user.ranking)
    if count != record.total_memories_scored:
        return record
    if not count:
        return attrs.evolve(record, minimum=None, maximum=None, median=None)
    middle = (ranking[(count - 1) // 2][0] + ranking[count // 2][0]) / 2
    return attrs.evolve(record, minimum=ranking[0][0], maximum=ranking[-1][0], median=fields.quantise(middle))


def load_scores(state: State, queries: Sequence[ScoreQuery]) -> Mapping[ScoreQuery, tuple[MemoryScore, ...]]:
    """Return pages of scores."""
    found = {query: _page(state.peek_user(query.user_id), query) for query in queries}
    return {query: page for query, page in found.items() if page}


def _page(user: User, query: ScoreQuery) -> tuple[MemoryScore, ...]:
    after = query.after
    if query.order == "recent":
        rows = user.scores.newest((after.sequence or 0) if after else None)
        return tuple(_read_score(row.text) for _, row in islice(rows, query.limit))
    end = bisect_left(user.ranking, (after.overall_score, after.memory_id)) if after else len(user.ranking)
    ranked = user.ranking[max(0, end - query.limit) : end]
    return tuple(_read_score(row.text) for row in map(user.scores.get, (item for _, item in reversed(ranked))) if row)
