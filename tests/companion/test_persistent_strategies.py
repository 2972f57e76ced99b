"""A dict of strategies that remembers what was changed in place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from whisper_persistence import (
    AsyncStore,
    ConfigurationError,
    Durability,
    Outcome,
    OutcomeQuery,
    StorageRefusedError,
    Store,
    Strategy,
    StrategyChange,
    ValidationError,
)
from whisper_persistence.companion import (
    EmotionalIntelligence,
    HybridConversationStorage,
    Knowledge,
    MemoryImportanceEngine,
    PersistentStrategies,
    SupportStrategy,
    strategy_entry,
)

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def entry(minute: int, score: float = 0.5) -> dict[str, Any]:
    return {
        "intervention_id": f"u_intervention_{minute}",
        "intervention_style": "gentle_check_in",
        "effectiveness_score": score,
        "outcome_type": "partial",
        "timestamp": (NOW + timedelta(minutes=minute)).isoformat(),
    }


def held(minute: int = 0, **fields: Any) -> SupportStrategy:
    return SupportStrategy("u_strategy", last_updated=NOW + timedelta(minutes=minute), **fields)


async def wait_for_user(store: AsyncStore, user_id: str) -> None:
    async with asyncio.timeout(30):
        while user_id not in await store.load_strategies([user_id]):
            pass


async def test_it_is_a_mapping(store):
    strategies = PersistentStrategies(store)
    strategies["u"] = value = held()

    assert (strategies["u"], list(strategies), len(strategies)) == (value, ["u"], 1)
    assert strategies.get("v") is None
    assert "v" not in strategies
    del strategies["u"]
    assert not strategies
    with pytest.raises(KeyError):
        del strategies["u"]
    with pytest.raises(KeyError):
        strategies["u"]


async def test_what_changed_in_place_is_written_and_nothing_else(store, switch):
    strategies = PersistentStrategies(store)
    assert await strategies.ensure("u") is Knowledge.ABSENT

    strategies["u"] = held(user_preferences={"tea": True}, optimal_timing={"evening": "immediate"})
    first = await strategies.flush("u")
    value = strategies["u"]
    value.effective_approaches.append("humour")
    value.support_history.append(entry(1, 0.7 + 0.1))
    value.user_preferences["tea"] = False
    del value.optimal_timing["evening"]
    value.communication_style = "gentle"
    value.last_updated = NOW + timedelta(minutes=1)
    second = await strategies.flush("u")
    switch.calls.clear()
    third = await strategies.flush("u")
    unchanged = dict(switch.calls)
    (stored,) = (await store.load_strategies(["u"])).values()

    assert first is not None
    assert second is not None
    assert (first.durability, second.durability, third) == (Durability.DURABLE, Durability.DURABLE, None)
    assert unchanged == {}
    assert (stored.effective_approaches, stored.communication_style) == (("humour",), "gentle")
    assert (stored.user_preferences, stored.optimal_timing) == ({"tea": False}, {})
    assert stored.last_updated == NOW + timedelta(minutes=1)
    assert list(stored.support_history) == value.support_history == [entry(1, 0.8)]


async def test_only_the_difference_is_written(store):
    await store.update_strategies([StrategyChange("u", effective_approaches=("a",), user_preferences={"tea": True})])
    strategies = PersistentStrategies(store)
    await strategies.ensure("u")
    elsewhere = StrategyChange("u", effective_approaches=("b",), user_preferences={"tea": False})
    await store.update_strategies([elsewhere])
    strategies["u"].effective_approaches.append("c")
    await strategies.flush("u")
    stored = (await store.load_strategies(["u"]))["u"]

    assert stored.effective_approaches == ("a", "b", "c")
    assert stored.user_preferences == {"tea": False}


@pytest.mark.parametrize("shape", ["dataclass", "attrs", "mapping"])
async def test_values_are_of_the_class_given_and_equal_after_a_restart(store, bot_strategy, shape):
    kind = {"dataclass": bot_strategy, "attrs": SupportStrategy, "mapping": dict}[shape]
    more = {"mood": {"x": [1]}} if kind is dict else {}
    strategies = PersistentStrategies(store, kind)
    await strategies.ensure("u")
    strategies["u"] = kind(
        strategy_id="mine",
        user_preferences={"a": [1, {"b": None}]},
        effective_approaches=["x", "y"],
        approaches_to_avoid=["y"],
        optimal_timing={"evening": "immediate"},
        communication_style="gentle",
        support_history=[entry(minute, 0.1 + 0.2) for minute in range(10)],
        last_updated=NOW,
        **more,
    )
    await strategies.flush("u")
    reborn = PersistentStrategies(store, kind)
    await reborn.ensure("u")

    assert type(reborn["u"]) is kind
    assert reborn["u"] == strategies["u"]
    assert await reborn.flush("u") is None


async def test_every_outcome_is_kept_beyond_the_ten_that_the_bot_keeps(store):
    strategies = PersistentStrategies(store)
    strategies["u"] = held()
    for minute in range(25):
        strategies["u"].support_history = [*strategies["u"].support_history, entry(minute)][-10:]
        await strategies.flush("u")
    query = OutcomeQuery("u", 100)
    outcomes = (await store.load_outcomes([query]))[query]
    stored = (await store.load_strategies(["u"]))["u"]

    assert [outcome.intervention_id for outcome in outcomes] == [f"u_intervention_{n}" for n in reversed(range(25))]
    assert (stored.interventions, len(stored.support_history)) == (25, 10)


async def test_an_unknown_user_is_joined_not_overwritten(store, switch):
    known = [Outcome("i", "humour", 0.9, timestamp=NOW + timedelta(minutes=n)) for n in range(8)]
    await store.update_strategies([StrategyChange("u", known, communication_style="gentle", timestamp=NOW)])
    switch.down = True
    strategies = PersistentStrategies(store)
    knowledge = await strategies.ensure("u")
    strategies["u"] = value = held(60, approaches_to_avoid=["direct_support"], effective_approaches=["humour"])
    lost: list[Any] = []
    for minute in range(20, 25):
        value.support_history.append(entry(minute))
        lost.append(await strategies.flush("u"))
    switch.down = False
    receipt = await strategies.flush("u")
    stored = (await store.load_strategies(["u"]))["u"]

    assert knowledge is Knowledge.UNKNOWN
    assert {each.durability for each in lost} == {Durability.VOLATILE}
    assert receipt is not None
    assert receipt.durability is Durability.DURABLE
    assert strategies["u"] is value
    assert (value.effective_approaches, value.approaches_to_avoid) == (["humour"], ["direct_support"])
    assert value.communication_style == stored.communication_style == "gentle"
    assert [item["timestamp"] for item in value.support_history] == sorted(
        (NOW + timedelta(minutes=minute)).isoformat() for minute in (3, 4, 5, 6, 7, 20, 21, 22, 23, 24)
    )
    assert (stored.interventions, list(stored.support_history)) == (13, value.support_history)


async def test_data_in_memory_is_adopted_once(store):
    stored_entries = [
        Outcome("s", "humour", 0.5, timestamp=NOW + timedelta(minutes=minute)) for minute in range(1, 20, 2)
    ]
    older = StrategyChange(
        "u", stored_entries, effective_approaches=("a",), communication_style="gentle", timestamp=NOW
    )
    await store.update_strategies([older])
    for _ in range(2):
        data = {
            "u": held(60, effective_approaches=["b"], support_history=[entry(n) for n in range(0, 20, 2)]),
            "v": held(),
        }
        strategies = PersistentStrategies(store, SupportStrategy, data)
        assert await strategies.flush_all() == 0
    stored = await store.load_strategies(["u", "v"])
    query = OutcomeQuery("u", 100)

    assert stored.keys() == {"u", "v"}
    assert stored["u"].effective_approaches == ("a", "b")
    assert stored["u"].communication_style == "casual"
    assert strategies["u"].support_history == list(stored["u"].support_history)
    assert [item["timestamp"] for item in stored["u"].support_history] == [
        (NOW + timedelta(minutes=minute)).isoformat() for minute in range(10, 20)
    ]
    assert len((await store.load_outcomes([query]))[query]) == 20


async def test_older_data_in_memory_does_not_win(store):
    await store.save_strategies([Strategy("u", "s", "gentle", user_preferences={"tea": True}, last_updated=NOW)])
    data = {"u": held(-60, user_preferences={"tea": False, "milk": False})}
    strategies = PersistentStrategies(store, SupportStrategy, data)
    await strategies.ensure("u")

    assert strategies["u"].communication_style == "gentle"
    assert strategies["u"].user_preferences == {"tea": True, "milk": False}
    assert strategies["u"].last_updated == NOW


async def test_a_write_whose_answer_was_lost_counts_once(store, switch):
    strategies = PersistentStrategies(store)
    strategies["u"] = held(support_history=[{"note": 1}])
    switch.answers_lost = True
    await strategies.ensure("u")
    lost = await strategies.flush("u")
    switch.answers_lost = False
    strategies["u"].support_history.append({"note": 2})
    await strategies.flush("u")
    stored = (await store.load_strategies(["u"]))["u"]

    assert lost is not None
    assert lost.durability is Durability.VOLATILE
    assert list(stored.support_history) == [{"note": 1}, {"note": 2}]


async def test_a_value_that_cannot_be_stored_is_named_and_can_be_mended(store):
    strategies = PersistentStrategies(store)
    strategies["u"] = held(user_preferences={"tea": float("nan")})
    strategies["v"] = held()
    for _ in range(2):
        with pytest.raises(ValidationError):
            await strategies.flush("u")
    waiting = await strategies.flush_all()
    strategies["u"].user_preferences["tea"] = 1.5
    mended = await strategies.flush_all()

    assert (waiting, mended) == (1, 0)
    assert (await store.load_strategies(["u", "v"])).keys() == {"u", "v"}


async def test_a_value_that_cannot_be_stored_hides_nothing_once_it_is_mended(store):
    await store.update_strategies([StrategyChange("u", effective_approaches=("a",))])
    strategies = PersistentStrategies(store)
    strategies["u"] = held(user_preferences={"tea": float("inf")})
    with pytest.raises(ValidationError):
        await strategies.ensure("u")
    strategies["u"].user_preferences.clear()
    await strategies.ensure("u")

    assert strategies["u"].effective_approaches == ["a"]


async def test_preferences_that_shrink_a_lot_are_saved(store):
    strategies = PersistentStrategies(store)
    await strategies.ensure("u")
    strategies["u"] = SupportStrategy("u_strategy", user_preferences={f"key {n}": n for n in range(1_500)})
    await strategies.flush("u")
    strategies["u"].user_preferences.clear()
    strategies["u"].user_preferences["k" * 5_000] = 1
    await strategies.flush("u")
    strategies["u"].user_preferences.clear()
    strategies["u"].communication_style = "gentle"
    receipt = await strategies.flush("u")
    stored = (await store.load_strategies(["u"]))["u"]

    assert receipt is not None
    assert (stored.user_preferences, stored.communication_style) == ({}, "gentle")


async def test_what_the_store_refuses_for_good_is_said_once(backend, switch):
    switch.refused = "refused"
    async with backend.store(switch) as store:
        strategies = PersistentStrategies(store)
        strategies["refused"], strategies["u"] = held(), held()
        waiting = await strategies.flush_all()
        again = await strategies.flush("refused")
        strategies["refused"].effective_approaches.append("a")
        with pytest.raises(StorageRefusedError):
            await strategies.flush("refused")

        assert (waiting, again) == (1, None)
        assert (await store.load_strategies(["u", "refused"])).keys() == {"u"}


async def test_what_waits_is_bounded(store, switch, monkeypatch):
    monkeypatch.setattr(strategy_entry, "MAX_PENDING", 5)
    strategies = PersistentStrategies(store)
    strategies["u"] = held()
    await strategies.flush("u")
    switch.down = True
    for minute in range(9):
        strategies["u"].support_history.append(entry(minute))
        await strategies.flush("u")
    switch.down = False
    await strategies.flush("u")

    assert (await store.load_strategies(["u"]))["u"].interventions == 5


async def test_two_who_meet_one_cold_user_hold_one_value(store):
    await store.update_strategies([StrategyChange("u", effective_approaches=("a",))])
    strategies = PersistentStrategies(store)

    async def learn(style: str) -> None:
        await strategies.ensure("u")
        strategies["u"].effective_approaches.append(style)
        await strategies.flush("u")

    await asyncio.gather(*[learn(f"style-{number}") for number in range(20)])
    stored = (await store.load_strategies(["u"]))["u"]

    assert set(stored.effective_approaches) == {"a", *[f"style-{number}" for number in range(20)]}


async def test_what_other_processes_learn_is_seen_after_a_while(store, backend):
    seconds = [0.0]
    strategies = PersistentStrategies(store, refresh_after=10, clock=lambda: seconds[0])
    strategies["u"] = value = held()
    await strategies.ensure("u")
    await store.update_strategies([StrategyChange("u", effective_approaches=("a",))])
    seconds[0] = 5
    await strategies.ensure("u")
    young = list(value.effective_approaches)
    value.effective_approaches.append("b")
    seconds[0] = 20
    await strategies.ensure("u")
    grown = set(value.effective_approaches)
    async with backend.store() as other:
        await other.erase_users(["u"])
    seconds[0] = 40
    await strategies.ensure("u")

    assert (young, grown) == ([], {"a", "b"})
    assert "u" not in strategies
    assert await strategies.flush("u") is None
    assert await store.load_strategies(["u"]) == {}


async def test_closing_writes_what_nobody_flushed(store):
    strategies = PersistentStrategies(store)
    for number in range(1_200):
        strategies[f"u{number}"] = held()
    await strategies.aclose()
    page = await store.scan("strategies", None, 1_000)

    assert page.cursor is not None


async def test_direct_edits_are_flushed_by_a_task(store):
    strategies = PersistentStrategies(store)
    strategies["u"] = held()
    task = asyncio.create_task(strategies.keep_flushing(0.001))
    await wait_for_user(store, "u")
    task.cancel()
    await strategies.flush("u")

    assert await strategies.flush("u") is None


async def test_a_forgotten_user_does_not_come_back(store):
    strategies = PersistentStrategies(store)
    strategies["u"] = held(effective_approaches=["a"])
    await strategies.flush("u")
    await store.erase_users(["u"])
    await strategies.flush_all()

    assert await strategies.ensure("u") is Knowledge.ABSENT
    assert "u" not in strategies


@pytest.mark.parametrize(
    "companion", [EmotionalIntelligence, MemoryImportanceEngine, HybridConversationStorage, PersistentStrategies]
)
def test_a_store_that_cannot_be_awaited_is_refused_at_once(companion):
    with (
        Store.from_settings(url="memory://") as store,
        pytest.raises(ConfigurationError, match=r"a Store: .* an Async"),
    ):
        companion(store)
    with pytest.raises(ConfigurationError, match=r"a str: give it an AsyncStore"):
        companion("sqlite:///memory.db")
