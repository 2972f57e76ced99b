"""Learning from outcomes, by the rule exactly, and the history of all of them."""

from __future__ import annotations

from datetime import timedelta

from whisper_persistence.records import Outcome, OutcomeQuery, Strategy, StrategyChange
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs


def _history(store: Store, user: str = "alice") -> list[Outcome]:
    return list(samples.read(store, frozenset({"strategies"}), user).get("outcomes", ()))


def _strategy(store: Store, user: str = "alice") -> Strategy:
    return store.load_strategies([user])[user]


@needs("strategies")
class LearningConformance(Conformance):
    """What `update_strategies` learns, and `load_outcomes` remembers."""

    def test_the_first_outcome_makes_a_strategy(self, store: Store) -> None:
        store.update_strategies([StrategyChange("u" * 120, [samples.outcome(0.5)], timestamp=samples.MOMENT)])
        found = _strategy(store, "u" * 120)

        assert (found.strategy_id, found.communication_style) == ("u" * 120 + "_strategy", "casual")
        assert (found.effective_approaches, found.approaches_to_avoid) == ((), ())
        assert found.last_updated == samples.MOMENT

    def test_the_thresholds_are_exact(self, store: Store) -> None:
        for style, value in {"a": 0.7, "b": 0.699999999, "c": 0.3, "d": 0.300000001, "e": 1, "f": 0}.items():
            store.update_strategies([StrategyChange("alice", [samples.outcome(value, style)])])
        found = _strategy(store)

        assert found.effective_approaches == ("a", "e")
        assert found.approaches_to_avoid == ("c", "f")
        assert (found.interventions, found.successes) == (6, 3)
        assert found.effectiveness_sum == 3_000_000_000

    def test_a_style_may_be_in_both_lists_and_once_in_each(self, store: Store) -> None:
        for value in (0.9, 0.1, 0.9, 0.1):
            store.update_strategies([StrategyChange("alice", [samples.outcome(value, "direct")])])
        found = _strategy(store)

        assert found.effective_approaches == found.approaches_to_avoid == ("direct",)

    def test_the_strategy_keeps_ten_and_the_history_all(self, store: Store) -> None:
        outcomes = [samples.outcome(outcome_id=f"o{n}", intervention_id=f"i{n}") for n in range(25)]
        for start in range(0, 25, 5):
            store.update_strategies([StrategyChange("alice", outcomes[start : start + 5])])
        kept = [entry["intervention_id"] for entry in _strategy(store).support_history]

        assert kept == [f"i{n}" for n in range(15, 25)]
        assert [o.outcome_id for o in _history(store)] == [f"o{n}" for n in reversed(range(25))]

    def test_an_outcome_comes_back_in_every_field(self, store: Store) -> None:
        outcomes = [samples.full_outcome("alice", outcome_id) for outcome_id in nasty.IDS]
        store.update_strategies([StrategyChange("alice", outcomes)])

        assert samples.same(_history(store)[::-1], outcomes)

    def test_a_long_response_is_kept_whole(self, store: Store) -> None:
        told = samples.outcome(user_response=nasty.LONG_TEXT, user_id="alice")
        store.update_strategies([StrategyChange("alice", [told])])

        assert samples.same(_history(store), [told])

    def test_history_pages_hold_every_outcome_once(self, store: Store) -> None:
        outcomes = [samples.outcome(outcome_id=f"o{n}", timestamp=samples.MOMENT) for n in range(57)]
        store.update_strategies([StrategyChange("alice", [each]) for each in outcomes])
        seen: list[Outcome] = []
        before = None
        while page := store.load_outcomes([OutcomeQuery("alice", 10, before)]):
            seen += page[OutcomeQuery("alice", 10, before)]
            before = seen[-1].sequence

        assert [o.outcome_id for o in seen] == [f"o{n}" for n in reversed(range(57))]
        assert len(seen) == len({o.sequence for o in seen})

    def test_repeated_intervention_ids_are_kept_apart(self, store: Store) -> None:
        for session in ("first run", "second run"):
            told = samples.outcome(intervention_id="alice_intervention_1", session_id=session)
            store.update_strategies([StrategyChange("alice", [told])])

        assert [o.session_id for o in _history(store)] == ["second run", "first run"]

    def test_learning_applied_twice_counts_once(self, store: Store) -> None:
        change = StrategyChange("alice", [samples.outcome(0.8)], support_history=[{"old": 1}], change_id="c1")
        store.update_strategies([change, change])
        store.update_strategies([StrategyChange("alice", [samples.outcome(0.2)])])
        once = _strategy(store)
        store.update_strategies([change])

        assert samples.same(_strategy(store), once)
        assert (once.interventions, len(once.support_history), len(_history(store))) == (2, 3, 2)

    def test_an_outcome_recorded_before_is_left_out(self, store: Store) -> None:
        told, other = samples.outcome(0.8, outcome_id="same"), samples.outcome(0.4, outcome_id="new")
        store.update_strategies([StrategyChange("alice", [told, told])])
        store.update_strategies([StrategyChange("alice", [told, other], communication_style="formal")])
        found = _strategy(store)

        assert (found.interventions, found.successes, found.communication_style) == (2, 1, "formal")
        assert [o.outcome_id for o in _history(store)] == ["new", "same"]

    def test_learning_of_one_batch_folds_in_order(self, store: Store) -> None:
        changes = [
            StrategyChange("alice", effective_approaches=["a", "b"], optimal_timing={"x": 1, "y": 2, "z" * 2_000: 3}),
            StrategyChange("alice", removed={"effective_approaches": ["a"], "optimal_timing": ["x", "z" * 2_000]}),
            StrategyChange("bob", [samples.outcome(0.9)], communication_style=""),
            StrategyChange("alice", effective_approaches=["a"], communication_style="direct"),
        ]
        store.update_strategies(changes)
        expected = None
        for change in (changes[0], changes[1], changes[3]):
            expected = change.apply_to(expected)

        assert samples.same(_strategy(store), expected)
        assert _strategy(store).effective_approaches == ("b", "a")
        assert _strategy(store).optimal_timing == {"y": 2}
        assert _strategy(store, "bob").communication_style == ""

    def test_a_change_told_late_keeps_the_newer_time(self, store: Store) -> None:
        for days in (0, -3):
            late = samples.MOMENT + timedelta(days=days)
            store.update_strategies([StrategyChange("alice", [samples.outcome(timestamp=late)], timestamp=late)])

        assert _strategy(store).last_updated == samples.MOMENT
        assert _history(store)[0].timestamp == samples.MOMENT - timedelta(days=3)

    def test_two_hundred_changes_one_by_one_are_all_counted(self, store: Store) -> None:
        for n in range(201):
            store.update_strategies([StrategyChange("alice", [samples.outcome(outcome_id=f"o{n}")])])

        assert (_strategy(store).interventions, len(_history(store))) == (201, 201)

    def test_histories_of_users_never_mix(self, store: Store) -> None:
        told = {user: samples.outcome(outcome_id=f"o{n}") for n, user in enumerate(nasty.IDS)}
        store.update_strategies([StrategyChange(user, [each]) for user, each in told.items()])
        pages = store.load_outcomes([OutcomeQuery(user) for user in nasty.IDS])

        assert {query.user_id: [o.outcome_id for o in page] for query, page in pages.items()} == {
            user: [each.outcome_id] for user, each in told.items()
        }

    def test_a_user_without_outcomes_is_absent(self, store: Store) -> None:
        store.update_strategies([StrategyChange("alice", communication_style="formal")])

        assert store.load_outcomes([OutcomeQuery("alice"), OutcomeQuery("nobody")]) == {}
