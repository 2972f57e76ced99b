"""Broken drivers for statistics, scores, patterns and preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import (
    MemoryScore,
    Pattern,
    PatternChange,
    PreferencesChange,
    Receipt,
    ScoreQuery,
    Statistics,
    StatisticsChange,
)
from whisper_persistence.testing.broken.breaking import Breaker, caught_by


@caught_by("test_forgetting_the_extremes_moves_them")
class StaleMinimum(Breaker):
    """Lowers the minimum with each score and never raises it again."""

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, Statistics]:
        """Return the lowest minimum ever shown."""
        return {user: self._lowest(s) for user, s in (self.below.load_statistics(user_ids=user_ids) or {}).items()}

    @hookimpl
    def update_statistics(self, changes: Sequence[StatisticsChange]) -> Sequence[Receipt] | None:
        """Remember the lowest scores."""
        for score in (score for change in changes for score in change.scores):
            lowest = self.world.get(score.user_id, score.overall_score)
            self.world[score.user_id] = min(lowest, score.overall_score)
        return self.below.update_statistics(changes=changes)

    def _lowest(self, statistics: Statistics) -> Statistics:
        return attrs.evolve(statistics, minimum=self.world.get(statistics.user_id, statistics.minimum))


@caught_by("test_random_scoring_equals_a_recount")
class StatisticsDrift(Breaker):
    """Sums floats, so that the sum drifts a little with each change."""

    @hookimpl
    def update_statistics(self, changes: Sequence[StatisticsChange]) -> Sequence[Receipt] | None:
        """Count the changes."""
        self.world["drift"] = self.world.get("drift", 0) + len(changes)
        return self.below.update_statistics(changes=changes)

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, Statistics]:
        """Return sums that are a little off."""
        found = self.below.load_statistics(user_ids=user_ids) or {}
        return {
            user: attrs.evolve(s, score_sum=s.score_sum + self.world.get("drift", 0) // 10) for user, s in found.items()
        }


@caught_by("test_scoring_a_memory_again_replaces_its_score")
class CountsScoresTwice(Breaker):
    """Counts a memory again each time it is scored, as if it were another."""

    @hookimpl
    def update_statistics(self, changes: Sequence[StatisticsChange]) -> Sequence[Receipt] | None:
        """Make every memory another."""
        return self.below.update_statistics(changes=[self._renamed(change) for change in changes])

    def _renamed(self, change: StatisticsChange) -> StatisticsChange:
        scores = [attrs.evolve(s, memory_id=f"{s.memory_id} {self.count('score')}") for s in change.scores]
        return attrs.evolve(change, scores=scores)


@caught_by("test_walking_the_top_sees_each_score_once_and_in_order")
class PagesByScoreAlone(Breaker):
    """Continues a page after the last score's value, so that its equals are lost."""

    @hookimpl
    def load_scores(self, queries: Sequence[ScoreQuery]) -> Mapping[ScoreQuery, tuple[MemoryScore, ...]]:
        """Ask for what is below the value."""
        asked = {query: self._value_alone(query) for query in queries}
        found = self.below.load_scores(queries=list(asked.values())) or {}
        return {query: found[other] for query, other in asked.items() if other in found}

    def _value_alone(self, query: ScoreQuery) -> ScoreQuery:
        after = query.after and attrs.evolve(query.after, memory_id="\0")
        return attrs.evolve(query, after=after)


@caught_by("test_walking_the_recent_sees_each_score_once_and_newest_first")
class RecentIsOldest(Breaker):
    """Shows the first scored for the last scored."""

    @hookimpl
    def load_scores(self, queries: Sequence[ScoreQuery]) -> Mapping[ScoreQuery, tuple[MemoryScore, ...]]:
        """Turn recent pages round."""
        found = self.below.load_scores(queries=queries) or {}
        return {query: page[::-1] if query.order == "recent" else page for query, page in found.items()}


@caught_by("test_observations_accumulate")
class PatternsOverwrite(Breaker):
    """Writes each observation over the ones before."""

    @hookimpl
    def update_patterns(self, changes: Sequence[PatternChange]) -> Sequence[Receipt] | None:
        """Save each observation as if it were the first."""
        return self.below.save_patterns(patterns=[change.apply_to(None) for change in changes])


@caught_by("test_patterns_come_back_in_every_field_by_code_point")
class PatternsWithoutOrder(Breaker):
    """Returns patterns in the order of a locale."""

    @hookimpl
    def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[Pattern, ...]]:
        """Sort without regard to case."""
        found = self.below.load_patterns(user_ids=user_ids) or {}
        return {user: tuple(sorted(each, key=lambda p: p.pattern_id.lower())) for user, each in found.items()}


@caught_by("test_any_sequence_of_hooks_equals_the_reference")
class KeepsWhatIsTakenBack(Breaker):
    """Never takes a wish away."""

    @hookimpl
    def update_preferences(self, changes: Sequence[PreferencesChange]) -> Sequence[Receipt] | None:
        """Set wishes only."""
        return self.below.update_preferences(changes=[attrs.evolve(change, removed=()) for change in changes])
