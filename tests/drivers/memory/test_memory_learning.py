"""Strategies, scores, patterns and preferences in memory: one look at every hook."""

from __future__ import annotations

from typing import Any

import pytest

from whisper_persistence import Store
from whisper_persistence.records import (
    MemoryScore,
    Outcome,
    OutcomeQuery,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Revision,
    ScoreQuery,
    Statistics,
    StatisticsChange,
    StrategyChange,
)

from .remembering import ALICE, weigh


def test_a_change_applied_before_changes_nothing(store: Store) -> None:
    strategy = StrategyChange("alice", [Outcome("i", "gentle", 0.9)])
    statistics = StatisticsChange("alice", [MemoryScore("alice", "m", 0.5)])
    pattern, wish = PatternChange("alice", "p"), PreferencesChange("alice", {"a": 1})
    store.update_strategies([strategy, strategy])
    store.update_statistics([statistics, statistics])
    store.update_patterns([pattern, pattern])
    receipts = store.update_preferences([wish, wish])

    assert [receipt.revision for receipt in receipts] == [4, 4]
    assert store.load_strategies(["alice"])["alice"].interventions == 1
    assert store.load_statistics(["alice"])["alice"].total_memories_scored == 1
    assert store.load_patterns(["alice"])["alice"][0].frequency == 1


def test_outcomes_and_scores_share_one_sequence(store: Store) -> None:
    first, second, third = (Outcome("i", "gentle", 0.9) for _ in range(3))
    store.update_strategies([StrategyChange("alice", [first, second])])
    weigh(store, ("m1", 0.2), ("m2", 0.4), ("m1", 0.6))
    store.update_strategies([StrategyChange("alice", [second, third])])
    outcomes, scores = OutcomeQuery("alice"), ScoreQuery("alice", "recent")

    assert [one.sequence for one in store.load_outcomes([outcomes])[outcomes]] == [5, 2, 1]
    assert [(one.memory_id, one.sequence) for one in store.load_scores([scores])[scores]] == [("m1", 4), ("m2", 3)]
    assert store.load_strategies(["alice"])["alice"].interventions == 3
    assert store.load_revisions([ALICE]) == {ALICE: Revision(revision=3, sequence=5)}


def test_outcomes_come_in_pages(store: Store) -> None:
    store.update_strategies([StrategyChange("alice", [Outcome(f"i{n}", "gentle", 0.9) for n in range(5)])])
    query = OutcomeQuery("alice", limit=2, before=4)
    pages = store.load_outcomes([query, OutcomeQuery("nobody")])

    assert list(pages) == [query]
    assert [outcome.intervention_id for outcome in pages[query]] == ["i2", "i1"]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.3], (0.3, 0.3, 0.3)), ([0.3, 0.8], (0.3, 0.55, 0.8)), ([0.9, 0.1, 0.3], (0.1, 0.3, 0.9))],
)
def test_the_median_of_one_two_and_three_scores(
    store: Store, scores: list[float], expected: tuple[float, float, float]
) -> None:
    found = weigh(store, *((f"m{n}", score) for n, score in enumerate(scores)))

    assert (found.minimum, found.median, found.maximum) == expected
    assert store.scan("statistics", None, 1).records == (found,)


def test_extremes_follow_replaced_and_forgotten_scores(store: Store) -> None:
    weigh(store, ("low", 0.1), ("mid", 0.5), ("high", 0.9))
    replaced = weigh(store, ("low", 0.6))
    left = weigh(store, forgotten=["high", "mid", "unknown"])
    none = weigh(store, forgotten=["low"])

    assert (replaced.minimum, replaced.median, replaced.maximum) == (0.5, 0.6, 0.9)
    assert (left.minimum, left.median, left.maximum, left.total_memories_scored) == (0.6, 0.6, 0.6, 1)
    assert (none.minimum, none.median, none.maximum, none.total_memories_scored) == (None, None, None, 0)


def test_statistics_saved_without_their_scores_stay_as_saved(store: Store) -> None:
    saved = Statistics("alice", 3, 1_500_000_000, minimum=0.25, maximum=0.75, median=0.5)
    store.save_statistics([saved])

    assert store.load_statistics(["alice", "nobody"]) == {"alice": saved}


def test_a_score_both_forgotten_and_given_stays(store: Store) -> None:
    found = weigh(store, ("m", 0.4), forgotten=["m"])

    assert found.total_memories_scored == len(store.scan("scores", None, 9).records) == 1


@pytest.mark.parametrize("order", ["top", "recent"])
def test_pages_of_scores_join_without_gap(store: Store, order: Any) -> None:
    weigh(store, ("a", 0.5), ("b", 0.5), ("c", 0.9), ("é", 0.5))
    seen, after = list[str](), None
    while page := store.load_scores([query := ScoreQuery("alice", order, 1, after)]).get(query):
        seen, after = [*seen, *(score.memory_id for score in page)], page[0]

    assert seen == (["c", "é", "b", "a"] if order == "top" else ["é", "c", "b", "a"])


def test_patterns_and_preferences(store: Store) -> None:
    store.save_patterns([Pattern("alice", "é"), Pattern("alice", "z", "old"), Pattern("alice", "z", "new")])
    store.update_patterns([PatternChange("alice", "a", keywords=["rain"])])
    store.save_preferences([Preferences("alice", {"a": 1, "b": 2})])
    store.update_preferences([PreferencesChange("alice", {"c": 3}, removed=["a"])])
    patterns = store.load_patterns(["alice", "nobody"])

    assert list(patterns) == ["alice"]
    assert [(one.pattern_id, one.pattern_type) for one in patterns["alice"]] == [("a", ""), ("z", "new"), ("é", "")]
    assert store.load_preferences(["alice", "nobody"])["alice"].values == {"b": 2, "c": 3}
