"""Statistics: exact after any changes, against a recount by hand."""

from __future__ import annotations

import random
from collections.abc import Mapping
from statistics import median

import pytest

from whisper_persistence.records import MemoryScore, ScoreQuery, Statistics, StatisticsChange
from whisper_persistence.records.memories import CORE_AT
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs

FACTORS = ("emotional_intensity", "recency", "\U0001f600")


def _statistics(store: Store, user: str = "alice") -> Statistics:
    return store.load_statistics([user])[user]


def _score(store: Store, *scores: MemoryScore, forgotten: tuple[str, ...] = ()) -> None:
    store.update_statistics([StatisticsChange("alice", scores, forgotten)])


def check_recount(found: Statistics, scores: Mapping[str, MemoryScore]) -> None:
    """Demand that statistics are those of exactly these scores."""
    values = [score.overall_score for score in scores.values()]
    named = {f: [s.factor_scores[f] for s in scores.values() if f in s.factor_scores] for f in FACTORS}

    assert found.total_memories_scored == len(values)
    assert found.score_sum == sum(round(value * 10**9) for value in values)
    assert (found.minimum, found.maximum) == (min(values, default=None), max(values, default=None))
    assert found.median == (pytest.approx(median(values), abs=1e-9) if values else None)
    assert found.core_memory_candidates == sum(value >= CORE_AT for value in values)
    assert {f: count for f, count in found.factor_counts.items() if count} == {
        f: len(parts) for f, parts in named.items() if parts
    }
    assert {f: total for f, total in found.factor_sums.items() if found.factor_counts[f]} == {
        f: sum(round(part * 10**9) for part in parts) for f, parts in named.items() if parts
    }


@needs("statistics")
class StatisticsConformance(Conformance):
    """What `update_statistics` counts, and what whole statistics keep."""

    def test_statistics_come_back_in_every_field(self, store: Store) -> None:
        store.save_statistics([samples.full_statistics(user) for user in nasty.IDS])
        found = store.load_statistics(nasty.IDS)

        assert sorted(found) == sorted(nasty.IDS)
        assert all(samples.same(found[user], samples.full_statistics(user)) for user in nasty.IDS)

    def test_random_scoring_equals_a_recount(self, store: Store) -> None:
        chance = random.Random(7)  # noqa: S311
        kept: dict[str, MemoryScore] = {}
        for _ in range(60):
            batch = [self._random_change(chance) for _ in range(chance.randint(1, 4))]
            store.update_statistics(batch)
            for change in batch:
                kept = {memory: s for memory, s in kept.items() if memory not in change.forgotten}
                kept |= {score.memory_id: score for score in change.scores}

            check_recount(_statistics(store), kept)

    def _random_change(self, chance: random.Random) -> StatisticsChange:
        memories = [f"m{n}" for n in chance.sample(range(12), chance.randint(0, 5))]
        cut = chance.randint(0, len(memories))
        scores = [
            samples.score(memory, chance.choice((0, 0.85, 0.849999999, 1, 0.1, chance.random())), factor_scores=factors)
            for memory in memories[:cut]
            for factors in [{f: chance.random() for f in chance.sample(FACTORS, chance.randint(0, 3))}]
        ]
        return StatisticsChange("alice", scores, tuple(memories[cut:]))

    def test_scoring_a_memory_again_replaces_its_score(self, store: Store) -> None:
        _score(store, samples.score("m", 0.9, factor_scores={"recency": 1.0}))
        _score(store, samples.score("m", 0.2))

        check_recount(_statistics(store), {"m": samples.score("m", 0.2)})

    def test_of_two_scores_of_a_memory_in_one_change_the_last_counts(self, store: Store) -> None:
        _score(store, samples.score("m", 0.9), samples.score("m", 0.2))

        check_recount(_statistics(store), {"m": samples.score("m", 0.2)})

    def test_forgetting_the_extremes_moves_them(self, store: Store) -> None:
        kept = {f"m{n}": samples.score(f"m{n}", n / 10) for n in range(1, 6)}
        _score(store, *kept.values())
        _score(store, forgotten=("m1", "m5", "never scored"))
        del kept["m1"], kept["m5"]

        check_recount(_statistics(store), kept)

    def test_lowering_the_highest_moves_the_maximum(self, store: Store) -> None:
        _score(store, samples.score("a", 0.9), samples.score("b", 0.5))
        _score(store, samples.score("a", 0.1))

        check_recount(_statistics(store), {"a": samples.score("a", 0.1), "b": samples.score("b", 0.5)})

    def test_forgetting_everything_leaves_nothing_counted(self, store: Store) -> None:
        _score(store, samples.score("a", 0.9, factor_scores={"recency": 0.1}))
        _score(store, forgotten=("a",))

        check_recount(_statistics(store), {})
        assert _statistics(store).average_importance() is None

    def test_statistics_saved_without_scores_stay_as_saved(self, store: Store) -> None:
        _score(store, samples.score("a", 0.9))
        store.save_statistics([samples.full_statistics()])

        assert samples.same(_statistics(store), samples.full_statistics())
        assert len(store.load_scores([ScoreQuery("alice")])[ScoreQuery("alice")]) == 1

    def test_weights_are_learned_for_one_user_and_stay_normalised(self, store: Store) -> None:
        for shift in (0.1, -1.0, 0.3):
            store.update_statistics([StatisticsChange("alice", weight_adjustments={"recency": shift, "uniqueness": 1})])
        store.update_statistics([StatisticsChange("bob", extra={"x": 1})])
        found = _statistics(store)

        assert found.weight_adjustments == {"recency": -600_000_000, "uniqueness": 3_000_000_000}
        assert found.adjustments == 3
        assert sum(found.weights().values()) == pytest.approx(1)
        assert _statistics(store, "bob").weights() == pytest.approx(Statistics("x").weights())

    def test_scoring_applied_twice_counts_once(self, store: Store) -> None:
        change = StatisticsChange("alice", [samples.score("m", 0.5)], weight_adjustments={"recency": 0.1})
        later = StatisticsChange("alice", [samples.score("m", 0.7)])
        store.update_statistics([change, change, later])
        once = _statistics(store)
        store.update_statistics([change])

        assert samples.same(_statistics(store), once)
        assert (once.total_memories_scored, once.score_sum, once.adjustments) == (1, 700_000_000, 1)

    def test_prefix_users_never_mix(self, store: Store) -> None:
        for user, value in (("u", 0.1), ("u_1", 0.9), ("u_10", 0.5)):
            store.update_statistics([StatisticsChange(user, [samples.score("m", value, user)])])

        assert _statistics(store, "u").maximum == 0.1
        assert _statistics(store, "u_1").total_memories_scored == 1

    def test_a_change_told_late_keeps_the_newer_time_and_sets_extras(self, store: Store) -> None:
        for moment in (samples.MOMENT, samples.EDGES[0]):
            store.update_statistics([StatisticsChange("alice", extra={f"{moment}": 1}, timestamp=moment)])
        found = _statistics(store)

        assert found.last_updated == samples.MOMENT
        assert len(found.extra) == 2

    def test_statistics_never_stored_are_absent(self, store: Store) -> None:
        _score(store, samples.score("m", 0.5))

        assert store.load_statistics(["alic", "alice ", "Alice", "nobody"]) == {}
        assert _statistics(store).user_id == "alice"
