"""Broken drivers for strategies and outcomes."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

from whisper_persistence.codec import from_mapping, to_mapping
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import Outcome, OutcomeQuery, Receipt, Strategy, StrategyChange
from whisper_persistence.records.fields import new_id
from whisper_persistence.testing.broken.breaking import Breaker, caught_by


class _SpoilsLoadedStrategies(Breaker):
    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, Strategy] | None:
        """Return spoiled strategies."""
        found = self.below.load_strategies(user_ids=user_ids)
        return {user: self.spoil(strategy) for user, strategy in found.items()} if found is not None else None

    def spoil(self, strategy: Strategy) -> Strategy:
        """Return what becomes of a strategy."""
        return strategy


@caught_by("test_the_time_comes_back_aware_and_to_the_microsecond")
class DropsTimeZone(_SpoilsLoadedStrategies):
    """Returns naive times."""

    def spoil(self, strategy: Strategy) -> Strategy:
        """Drop the time zone."""
        return attrs.evolve(strategy, last_updated=strategy.last_updated.replace(tzinfo=None))


@caught_by("test_the_time_comes_back_aware_and_to_the_microsecond")
class DropsMicroseconds(_SpoilsLoadedStrategies):
    """Keeps times to the millisecond."""

    def spoil(self, strategy: Strategy) -> Strategy:
        """Drop the microseconds."""
        moment = strategy.last_updated
        return attrs.evolve(strategy, last_updated=moment.replace(microsecond=moment.microsecond // 1000 * 1000))


@caught_by("test_unknown_extra_fields_survive_a_change")
class ForgetsExtra(_SpoilsLoadedStrategies):
    """Keeps only the columns it knows."""

    def spoil(self, strategy: Strategy) -> Strategy:
        """Drop the unknown fields."""
        return attrs.evolve(strategy, extra={})


@caught_by("test_large_and_deep_json_stays_exact")
class ConfusesNumbers(_SpoilsLoadedStrategies):
    """Returns 1.0 as 1, as some JSON columns do."""

    def spoil(self, strategy: Strategy) -> Strategy:
        """Turn whole floats into integers."""
        return from_mapping(Strategy, _whole(to_mapping(strategy)))


@caught_by("test_a_strategy_comes_back_in_every_field")
class SortsLists(_SpoilsLoadedStrategies):
    """Keeps lists as sets."""

    def spoil(self, strategy: Strategy) -> Strategy:
        """Sort the approaches."""
        return attrs.evolve(strategy, effective_approaches=sorted(strategy.effective_approaches))


@caught_by("test_ids_that_look_alike_are_different_users")
class SwapsUsers(Breaker):
    """Gives each user of a batch the next one's strategy."""

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, Strategy]:
        """Return the strategies, one place off."""
        found = self.below.load_strategies(user_ids=user_ids) or {}
        shifted = [*list(found.values())[1:], *list(found.values())[:1]]
        return dict(zip(found, shifted, strict=True))


@caught_by("test_ids_that_look_alike_are_different_users")
class NormalisesUnicode(Breaker):
    """Takes ids of one normal form for one user."""

    @hookimpl
    def save_strategies(self, strategies: Sequence[Strategy]) -> Sequence[Receipt] | None:
        """Save under the normal form."""
        normal = [attrs.evolve(s, user_id=unicodedata.normalize("NFC", s.user_id)) for s in strategies]
        return self.below.save_strategies(strategies=normal)


@caught_by("test_of_several_saves_of_one_user_the_last_wins")
class FirstSaveWins(Breaker):
    """Of several saves in one batch keeps the first."""

    @hookimpl
    def save_strategies(self, strategies: Sequence[Strategy]) -> Sequence[Receipt] | None:
        """Save in reverse."""
        return self.below.save_strategies(strategies=list(strategies)[::-1])


@caught_by("test_learning_applied_twice_counts_once")
class DoublesOnReplay(Breaker):
    """Counts a change that is sent again."""

    @hookimpl
    def update_strategies(self, changes: Sequence[StrategyChange]) -> Sequence[Receipt] | None:
        """Make every change another."""
        fresh = [
            attrs.evolve(
                change,
                change_id=new_id(),
                outcomes=tuple(attrs.evolve(outcome, outcome_id=new_id()) for outcome in change.outcomes),
            )
            for change in changes
        ]
        return self.below.update_strategies(changes=fresh)


@caught_by("test_every_outcome_of_every_thread_is_counted")
class NotThreadSafe(Breaker):
    """Reads, changes and writes back, without holding anything meanwhile."""

    @hookimpl
    def update_strategies(self, changes: Sequence[StrategyChange]) -> Sequence[Receipt] | None:
        """Read, wait for the others, write."""
        found = dict(self.below.load_strategies(user_ids=[change.user_id for change in changes]) or {})
        time.sleep(0.002)
        for change in changes:
            found[change.user_id] = change.apply_to(found.get(change.user_id))
        return self.below.save_strategies(strategies=[found[change.user_id] for change in changes])


@caught_by("test_the_strategy_keeps_ten_and_the_history_all")
class CapsOutcomes(Breaker):
    """Keeps ten outcomes, as the strategy does."""

    @hookimpl
    def load_outcomes(self, queries: Sequence[OutcomeQuery]) -> Mapping[OutcomeQuery, tuple[Outcome, ...]]:
        """Return the newest ten."""
        return {query: page[:10] for query, page in (self.below.load_outcomes(queries=queries) or {}).items()}


@caught_by("test_history_pages_hold_every_outcome_once")
class PagesOverlap(Breaker):
    """Begins each page of outcomes with the last one of the page before."""

    @hookimpl
    def load_outcomes(self, queries: Sequence[OutcomeQuery]) -> Mapping[OutcomeQuery, tuple[Outcome, ...]]:
        """Read from one further back."""
        asked = {q: attrs.evolve(q, before=q.before + 1 if q.before and q.before > 1 else q.before) for q in queries}
        found = self.below.load_outcomes(queries=list(asked.values())) or {}
        return {query: found[further] for query, further in asked.items() if further in found}


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [*map(_whole, cast("Sequence[Any]", value))]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
