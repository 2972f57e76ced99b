"""Strategies, patterns and preferences of the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import (
    Outcome,
    OutcomeQuery,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Receipt,
    Strategy,
    StrategyChange,
)
from whisper_persistence.testing.model.space import Space


@attrs.define(eq=False)
class UserModel:
    """What is kept under a user's id, scores apart."""

    space: Space = attrs.field(factory=Space, init=False)

    @hookimpl
    def save_strategies(self, strategies: Sequence[Strategy]) -> Sequence[Receipt]:
        """Put whole strategies."""
        return [self.written(item.user_id, self.space.strategies, item) for item in strategies]

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> dict[str, Strategy]:
        """Return strategies by user id."""
        return {user: self.space.strategies[user] for user in user_ids if user in self.space.strategies}

    @hookimpl
    def update_strategies(self, changes: Sequence[StrategyChange]) -> Sequence[Receipt]:
        """Apply changes to strategies."""
        return [self.applied(change, self._learn) for change in changes]

    @hookimpl
    def load_outcomes(self, queries: Sequence[OutcomeQuery]) -> dict[OutcomeQuery, tuple[Outcome, ...]]:
        """Return pages of the users' learning histories."""
        pages = {query: tuple(self._page(query))[: query.limit] for query in queries}
        return {query: page for query, page in pages.items() if page}

    @hookimpl
    def save_patterns(self, patterns: Sequence[Pattern]) -> Sequence[Receipt]:
        """Put whole patterns."""
        return [
            self.written(item.pattern_id, self.space.patterns.setdefault(item.user_id, {}), item) for item in patterns
        ]

    @hookimpl
    def load_patterns(self, user_ids: Sequence[str]) -> dict[str, tuple[Pattern, ...]]:
        """Return patterns by user id."""
        return {
            user: tuple(pattern for _, pattern in sorted(self.space.patterns[user].items()))
            for user in user_ids
            if user in self.space.patterns
        }

    @hookimpl
    def update_patterns(self, changes: Sequence[PatternChange]) -> Sequence[Receipt]:
        """Apply observations to patterns."""
        return [self.applied(change, self._observe) for change in changes]

    @hookimpl
    def save_preferences(self, preferences: Sequence[Preferences]) -> Sequence[Receipt]:
        """Put whole preferences."""
        return [self.written(item.user_id, self.space.preferences, item) for item in preferences]

    @hookimpl
    def load_preferences(self, user_ids: Sequence[str]) -> dict[str, Preferences]:
        """Return preferences by user id."""
        return {user: self.space.preferences[user] for user in user_ids if user in self.space.preferences}

    @hookimpl
    def update_preferences(self, changes: Sequence[PreferencesChange]) -> Sequence[Receipt]:
        """Apply changes to preferences."""
        return [self.applied(change, self._wish) for change in changes]

    def written(self, key: str, table: dict[str, Any], record: Any) -> Receipt:
        """Put one record into a table, raising its user's revision."""
        table[key] = record
        self.space.raise_revision("user", record.user_id)
        return self.space.receipt("user", record.user_id)

    def applied(self, change: Any, apply: Callable[[Any], None]) -> Receipt:
        """Apply one change unless it was applied before, raising its user's revision."""
        if self.space.is_new(change.user_id, change.change_id):
            apply(change)
            self.space.raise_revision("user", change.user_id)
        return self.space.receipt("user", change.user_id)

    def _learn(self, change: StrategyChange) -> None:
        history = self.space.outcomes.setdefault(change.user_id, [])
        fresh = change.without_outcomes(frozenset(outcome.outcome_id for outcome in history))
        self.space.strategies[change.user_id] = fresh.apply_to(self.space.strategies.get(change.user_id))
        for outcome in fresh.outcomes:
            history.append(attrs.evolve(outcome, sequence=self.space.next_sequence("user", change.user_id)))

    def _observe(self, change: PatternChange) -> None:
        known = self.space.patterns.setdefault(change.user_id, {})
        known[change.pattern_id] = change.apply_to(known.get(change.pattern_id))

    def _wish(self, change: PreferencesChange) -> None:
        self.space.preferences[change.user_id] = change.apply_to(self.space.preferences.get(change.user_id))

    def _page(self, query: OutcomeQuery) -> list[Outcome]:
        newest_first = reversed(self.space.outcomes.get(query.user_id, []))
        return [o for o in newest_first if query.before is None or (o.sequence or 0) < query.before]
