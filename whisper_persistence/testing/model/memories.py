"""Scores and statistics of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import MemoryScore, Receipt, ScoreQuery, Statistics, StatisticsChange
from whisper_persistence.testing.model.users import UserModel


@attrs.define(eq=False)
class MemoryModel(UserModel):
    """What is known of a user's memories."""

    @hookimpl
    def save_statistics(self, statistics: Sequence[Statistics]) -> Sequence[Receipt]:
        """Put whole statistics."""
        return [self.written(item.user_id, self.space.statistics, item) for item in statistics]

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> dict[str, Statistics]:
        """Return the statistics of these users."""
        return {user: self.measured(user) for user in user_ids if user in self.space.statistics}

    @hookimpl
    def update_statistics(self, changes: Sequence[StatisticsChange]) -> Sequence[Receipt]:
        """Apply changes to statistics and scores."""
        return [self.applied(change, self._score) for change in changes]

    @hookimpl
    def load_scores(self, queries: Sequence[ScoreQuery]) -> dict[ScoreQuery, tuple[MemoryScore, ...]]:
        """Return pages of the users' scores."""
        pages = {query: tuple(self._scores(query))[: query.limit] for query in queries}
        return {query: page for query, page in pages.items() if page}

    def measured(self, user: str) -> Statistics:
        """Return a user's statistics, with what the stored scores say where all are stored."""
        kept = self.space.statistics[user]
        values = [score.overall_score for score in self.space.scores.get(user, {}).values()]
        if len(values) != kept.total_memories_scored:
            return kept
        return attrs.evolve(
            kept,
            minimum=min(values, default=None),
            maximum=max(values, default=None),
            median=median(values) if values else None,
        )

    def _score(self, change: StatisticsChange) -> None:
        known = self.space.scores.setdefault(change.user_id, {})
        previous = {memory: known[memory] for memory in change.memory_ids() if memory in known}
        self.space.statistics[change.user_id] = change.apply_to(self.space.statistics.get(change.user_id), previous)
        for memory in change.forgotten:
            known.pop(memory, None)
        for score in change.latest_scores().values():
            known[score.memory_id] = attrs.evolve(score, sequence=self.space.next_sequence("user", change.user_id))

    def _scores(self, query: ScoreQuery) -> list[MemoryScore]:
        key = _top if query.order == "top" else _recent
        ordered = sorted(self.space.scores.get(query.user_id, {}).values(), key=key, reverse=True)
        return [score for score in ordered if query.after is None or key(score) < key(query.after)]


def _top(score: MemoryScore) -> tuple[float, str]:
    return score.overall_score, score.memory_id


def _recent(score: MemoryScore) -> tuple[float, str]:
    return score.sequence or 0, ""
