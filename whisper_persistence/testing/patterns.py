"""Patterns: observations add up, in whatever order they come."""

from __future__ import annotations

import attrs
import pytest

from whisper_persistence.records import Pattern, PatternChange
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs


def _pattern(store: Store, user: str = "alice") -> Pattern:
    (found,) = store.load_patterns([user])[user]
    return found


@needs("statistics")
class PatternConformance(Conformance):
    """What `update_patterns` adds up and `save_patterns` puts."""

    def test_patterns_come_back_in_every_field_by_code_point(self, store: Store) -> None:
        saved = [samples.full_pattern("alice", pattern) for pattern in nasty.IDS]
        store.save_patterns(saved)

        assert samples.same(store.load_patterns(["alice"])["alice"], sorted(saved, key=lambda p: p.pattern_id))

    def test_a_first_pattern_needs_nothing_stored_before(self, store: Store) -> None:
        store.update_patterns([PatternChange("new", "p", 0.25, 0.75, "topic", ["a"], timestamp=samples.MOMENT)])
        found = _pattern(store, "new")

        assert samples.same(
            found,
            Pattern("new", "p", "topic", ["a"], 1, 250_000_000, 750_000_000, samples.MOMENT, samples.MOMENT),
        )

    def test_observations_accumulate(self, store: Store) -> None:
        for n in range(30):
            store.update_patterns([PatternChange("alice", "p", 1, 0.1, keywords=[f"k{n % 3}"], extra={f"{n}": n})])
        found = _pattern(store)

        assert (found.frequency, found.confidence_sum, found.importance_sum) == (30, 30_000_000_000, 3_000_000_000)
        assert found.keywords == ("k0", "k1", "k2")
        assert len(found.extra) == 30
        assert 0 <= found.confidence() <= 1
        assert found.importance() == pytest.approx(0.1)

    def test_observations_of_one_batch_fold_in_order(self, store: Store) -> None:
        batch = [
            PatternChange("alice", "p", 0.1 * n, pattern_type="ab"[n % 2], keywords=[f"{9 - n}"]) for n in range(9)
        ]
        store.update_patterns(batch)
        expected = None
        for change in batch:
            expected = change.apply_to(expected)

        assert samples.same(_pattern(store), expected)

    def test_late_observations_move_the_first_seen(self, store: Store) -> None:
        for moment in (samples.MOMENT, *samples.EDGES):
            store.update_patterns([PatternChange("alice", "p", timestamp=moment)])
        found = _pattern(store)

        assert (found.first_seen, found.last_seen) == samples.EDGES

    def test_an_observation_applied_twice_counts_once(self, store: Store) -> None:
        change = PatternChange("alice", "p", 0.5)
        store.update_patterns([change, change])
        store.update_patterns([PatternChange("alice", "p", 0.7), change])

        assert _pattern(store).frequency == 2

    def test_saving_a_pattern_replaces_it_and_the_last_wins(self, store: Store) -> None:
        store.update_patterns([PatternChange("alice", "p")])
        saved = samples.full_pattern("alice", "p")
        store.save_patterns([Pattern("alice", "p"), attrs.evolve(saved, frequency=1), saved])

        assert samples.same(_pattern(store), saved)

    def test_users_may_have_patterns_of_one_name(self, store: Store) -> None:
        changes = [PatternChange(user, "p", n / 100, timestamp=samples.MOMENT) for n, user in enumerate(nasty.IDS)]
        store.update_patterns(changes)
        found = store.load_patterns([*nasty.IDS, "nobody"])

        assert found == {change.user_id: (change.apply_to(None),) for change in changes}
