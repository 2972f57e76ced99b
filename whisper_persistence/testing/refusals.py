"""Refusals: one bad item refuses the whole call, and nothing of it is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import (
    Pattern,
    Preferences,
    PreferencesChange,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
)
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs


def _refused(write: Callable[[Sequence[Any]], Any], good: Sequence[Any], bad: Any, field: str) -> None:
    for batch in ([*good, bad], [bad, *good]):
        with pytest.raises(ValidationError) as refusal:
            write(batch)

        assert refusal.value.field == field


class RefusalConformance(Conformance):
    """That what is not legal is refused before anything is written."""

    @needs("strategies")
    def test_a_bad_strategy_or_change_stores_nothing(self, store: Store) -> None:
        good, late = Strategy("alice", "s"), datetime(2026, 1, 1)
        change = StrategyChange("alice", [samples.outcome()])
        _refused(store.save_strategies, [good], Strategy("", "s"), "Strategy.user_id")
        _refused(store.save_strategies, [good], Strategy("b", "s\0"), "Strategy.strategy_id")
        _refused(store.save_strategies, [good], Strategy("b", "s", last_updated=late), "Strategy.last_updated")
        _refused(
            store.update_strategies,
            [change],
            StrategyChange("b", [samples.outcome(1.5)]),
            "StrategyChange.outcomes[0].effectiveness_score",
        )

        assert samples.read(store, frozenset({"strategies"})) == {}

    @needs("statistics")
    def test_bad_statistics_patterns_or_preferences_store_nothing(self, store: Store) -> None:
        too_deep = nasty.nested(33)
        _refused(store.save_statistics, [Statistics("alice")], Statistics("b", minimum=2), "Statistics.minimum")
        _refused(
            store.update_statistics,
            [StatisticsChange("alice", [samples.score("m", 0.5)])],
            StatisticsChange("alice", [samples.score("m", float("nan"))]),
            "StatisticsChange.scores[0].overall_score",
        )
        _refused(store.save_patterns, [Pattern("alice", "p")], Pattern("b", "p" * 513), "Pattern.pattern_id")
        _refused(store.save_preferences, [Preferences("alice")], Preferences("b", too_deep), "Preferences.values")
        _refused(
            store.update_preferences,
            [PreferencesChange("alice", {"a": 1})],
            PreferencesChange("alice", {"a": 2**63}),
            "PreferencesChange.values",
        )

        assert samples.read(store, frozenset({"statistics"})) == {}

    @needs("conversations")
    def test_a_bad_message_stores_nothing(self, store: Store) -> None:
        good = samples.talk(2)
        _refused(store.save_messages, good, samples.message(content="\ud800"), "Message.content")
        _refused(store.save_messages, good, samples.message(content="x" * 1_000_001), "Message.content")
        _refused(store.save_messages, good, samples.message(message_id=""), "Message.message_id")
        _refused(store.save_messages, good, samples.message(role="robot"), "Message.role")
        _refused(store.save_messages, good, samples.message(extra={"x": {1, 2}}), "Message.extra")
        with pytest.raises(ValidationError):
            store.save_messages([samples.message() for _ in range(1_001)])

        assert samples.read(store, frozenset({"conversations"})) == {}
