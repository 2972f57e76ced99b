"""Strategies: whole records come back as they were."""

from __future__ import annotations

import attrs

from whisper_persistence.records import Strategy, StrategyChange
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs


@needs("strategies")
class StrategyConformance(Conformance):
    """What `save_strategies` puts, `load_strategies` returns."""

    def test_a_strategy_comes_back_in_every_field(self, store: Store) -> None:
        store.save_strategies([samples.full_strategy()])

        assert samples.same(store.load_strategies(["alice"])["alice"], samples.full_strategy())

    def test_the_time_comes_back_aware_and_to_the_microsecond(self, store: Store) -> None:
        for moment in (samples.MOMENT, *samples.EDGES):
            store.save_strategies([attrs.evolve(samples.full_strategy(), last_updated=moment)])
            found = store.load_strategies(["alice"])["alice"].last_updated

            assert found == moment
            assert found.tzinfo is not None
            assert found.microsecond == moment.microsecond

    def test_ids_that_look_alike_are_different_users(self, store: Store) -> None:
        strategies = {user: Strategy(user, f"of {n}", last_updated=samples.MOMENT) for n, user in enumerate(nasty.IDS)}
        store.save_strategies(list(strategies.values()))
        found = store.load_strategies(nasty.IDS)

        assert sorted(found) == sorted(strategies)
        assert all(samples.same(found[user], strategies[user]) for user in strategies)

    def test_the_texts_of_a_strategy_stay_exact(self, store: Store) -> None:
        texts = [text for text in nasty.TEXTS if len(text.encode()) <= 1_000]
        saved = [
            Strategy(f"u{n}", text, text, (text,), (text, "x"), {text: text}, {text: [text]}, ({text: text},))
            for n, text in enumerate(texts)
        ]
        store.save_strategies(saved)
        found = store.load_strategies([strategy.user_id for strategy in saved])

        assert samples.same([found[strategy.user_id] for strategy in saved], saved)

    def test_large_and_deep_json_stays_exact(self, store: Store) -> None:
        for value in (nasty.LARGE_JSON, nasty.nested(), nasty.json_object()):
            saved = attrs.evolve(samples.full_strategy(), user_preferences=value, extra=value)
            store.save_strategies([saved])

            assert samples.same(store.load_strategies(["alice"])["alice"], saved)

    def test_unknown_extra_fields_survive_a_change(self, store: Store) -> None:
        store.save_strategies([samples.full_strategy()])
        store.update_strategies([StrategyChange("alice", extra={"new": [1]})])
        found = store.load_strategies(["alice"])["alice"]

        assert found.extra == {**samples.full_strategy().extra, "new": [1]}

    def test_saving_twice_is_saving_once_and_replaces_everything(self, store: Store) -> None:
        store.save_strategies([samples.full_strategy()])
        store.save_strategies([samples.full_strategy()])
        bare = Strategy("alice", "other", last_updated=samples.MOMENT)
        store.save_strategies([bare])

        assert samples.same(store.load_strategies(["alice"])["alice"], bare)

    def test_of_several_saves_of_one_user_the_last_wins(self, store: Store) -> None:
        batch = [Strategy(user, f"{n}") for n in range(5) for user in ("alice", "bob")]
        store.save_strategies(batch)
        found = store.load_strategies(["bob", "alice"])

        assert {user: strategy.strategy_id for user, strategy in found.items()} == {"alice": "4", "bob": "4"}

    def test_saving_leaves_the_outcomes_alone(self, store: Store) -> None:
        store.update_strategies([StrategyChange("alice", [samples.outcome(outcome_id="kept")])])
        store.save_strategies([samples.full_strategy()])

        assert [o.outcome_id for o in samples.read(store, frozenset({"strategies"}))["outcomes"]] == ["kept"]

    def test_a_strategy_never_stored_is_absent(self, store: Store) -> None:
        store.save_strategies([samples.full_strategy("u_1")])

        assert store.load_strategies(["u", "u_", "u_10", "U_1", "%", "u%"]) == {}
        assert store.load_strategies([]) == {}
        assert list(store.save_strategies([])) == []

    def test_each_user_has_their_own(self, store: Store) -> None:
        store.save_strategies([samples.full_strategy("u"), samples.full_strategy("u_1")])
        store.update_strategies([StrategyChange("u", communication_style="formal")])

        assert store.load_strategies(["u"])["u"].communication_style == "formal"
        assert samples.same(store.load_strategies(["u_1"])["u_1"], samples.full_strategy("u_1"))

    def test_a_thousand_at_once_are_all_kept(self, store: Store) -> None:
        saved = {f"u{n}": Strategy(f"u{n}", f"{n}") for n in range(1_000)}
        receipts = store.save_strategies(list(saved.values()))

        assert len(receipts) == 1_000
        assert store.load_strategies(list(saved)) == saved
