"""What feedback teaches the engine, what it costs, and the switches that change scores."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from whisper_persistence import AsyncStore, Durability, MemoryScore
from whisper_persistence.companion.importance_learning import LIMIT
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.records.fields import to_units
from whisper_persistence.records.memories import BASE_WEIGHTS, CORE_AT

from .importance import JOY, TEA, Time, score, teach


async def test_scoring_teaches_nothing_so_scores_do_not_rise(engine: MemoryImportanceEngine, store: AsyncStore) -> None:
    engine.options.random.seed(3)
    first = [(await score(engine, "alice", str(number), JOY)).overall_score for number in range(30)]
    engine.options.random.seed(3)
    for _ in range(3):
        await engine.update_memory_patterns("alice", "wedding", confidence=1.0, importance=1.0, keywords=["wedding"])
        await engine.get_importance_statistics("alice")
        await engine.identify_core_memories("alice")
    second = [(await score(engine, "alice", str(number), JOY)).overall_score for number in range(30)]

    assert second == first
    assert (await store.load_statistics(["alice"]))["alice"].adjustments == 0


async def test_feedback_makes_the_order_of_memories_more_like_the_users_own(engine: MemoryImportanceEngine) -> None:
    chance = Random(1)
    names = [name for name in BASE_WEIGHTS if name != "access_frequency"]

    def liked(factors: dict[str, float]) -> bool:
        return factors["uniqueness"] + factors["relationship_milestone"] > factors["emotional_intensity"] + 0.5

    def some(count: int) -> list[dict[str, float]]:
        return [{**{name: chance.random() for name in names}, "access_frequency": 0.3} for _ in range(count)]

    def agreement(weights: dict[str, float], tried: list[dict[str, float]]) -> float:
        value = [sum(weights[name] * one[name] for name in weights) for one in tried]
        pairs = [(a, b) for a in range(len(tried)) for b in range(len(tried)) if liked(tried[a]) > liked(tried[b])]
        return sum(value[a] > value[b] for a, b in pairs) / len(pairs)

    tried = some(80)
    before = agreement(await engine.weights_for("alice"), tried)
    for number, factors in enumerate(some(50)):
        lesson = MemoryScore("alice", str(number), 0.5, factors)
        await engine.record_feedback("alice", str(number), liked(factors), lesson)
    after = agreement(await engine.weights_for("alice"), tried)

    assert before < 0.6
    assert after > before + 0.2


async def test_feedback_finds_the_score_in_the_cache_or_among_the_stored(
    engine: MemoryImportanceEngine, store: AsyncStore
) -> None:
    await score(engine, "alice", "m1", {**TEA, "emotional_context": {"intensity": 1.0}})
    once = await engine.record_feedback("alice", "m1", helpful=True)
    engine.clear_cache()
    twice = await engine.record_feedback("alice", "m1", helpful=True)
    unknown = await engine.record_feedback("alice", "never scored", helpful=True)

    assert BASE_WEIGHTS["emotional_intensity"] < once.weights["emotional_intensity"]
    assert once.weights["emotional_intensity"] < twice.weights["emotional_intensity"]
    assert unknown.weights == twice.weights
    assert once.durability is Durability.DURABLE
    assert (await store.load_statistics(["alice"]))["alice"].adjustments == 2


async def test_feedback_costs_one_write_and_no_read_after_the_first(
    engine: MemoryImportanceEngine, switch: Any
) -> None:
    await teach(engine, "alice")
    switch.calls.clear()
    for number in range(10):
        await teach(engine, "alice", helpful=number % 2 == 0)

    assert switch.calls == {"update_statistics": 10}


async def test_feedback_and_scores_at_once_leave_the_weights_that_are_stored(
    engine: MemoryImportanceEngine, store: AsyncStore
) -> None:
    for number in range(20):
        user_id = f"user {number}"
        await asyncio.gather(*(call(engine, user_id) for _ in range(5) for call in (teach, score)))

        assert await engine.weights_for(user_id) == (await store.load_statistics([user_id]))[user_id].weights()


@pytest.mark.parametrize("down", [False, True])
async def test_feedback_at_once_moves_a_weight_no_further_than_feedback_in_sequence(
    engine: MemoryImportanceEngine, store: AsyncStore, switch: Any, time: Time, down: bool
) -> None:
    switch.down = down
    await asyncio.gather(*(teach(engine, "alice") for _ in range(30)))
    switch.down = False
    time.seconds += 1
    await engine.flush()
    learned = (await store.load_statistics(["alice"]))["alice"].weight_adjustments

    assert max(map(abs, learned.values())) == learned["emotional_intensity"] == to_units(LIMIT)


async def test_a_random_access_factor_teaches_nothing(engine: MemoryImportanceEngine, store: AsyncStore) -> None:
    await score(engine, "alice", "m1", JOY)
    await engine.record_feedback("alice", "m1", helpful=True)

    assert "access_frequency" not in (await store.load_statistics(["alice"]))["alice"].weight_adjustments


async def test_another_processes_feedback_is_followed_once_the_weights_are_old(store: AsyncStore, time: Time) -> None:
    one, two = (MemoryImportanceEngine(store, time.options(weights_max_age=60)) for _ in range(2))
    before = await two.weights_for("alice")
    await teach(one, "alice")

    assert await two.weights_for("alice") == before
    time.seconds += 60
    assert await two.weights_for("alice") == await one.weights_for("alice") != before


async def test_the_random_access_factor_repeats_with_its_seed_and_never_exceeds_one_half(
    store: AsyncStore, time: Time
) -> None:
    runs = []
    for _ in range(2):
        engine = MemoryImportanceEngine(store, time.options())
        runs.append([(await score(engine, "alice")).factor_scores["access_frequency"] for _ in range(50)])

    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 40
    assert all(0.1 <= value <= 0.5 for value in runs[0])


async def test_counted_accesses_replace_chance_and_survive_a_restart(store: AsyncStore, time: Time) -> None:
    engine = MemoryImportanceEngine(store, time.options(count_accesses=True))
    before = await score(engine, "alice")
    for _ in range(8):
        await engine.record_access("alice", "m")
    await engine.record_access("alice", "another")
    again = MemoryImportanceEngine(store, time.options(count_accesses=True))
    after = [await score(one, "alice") for one in (engine, again)]

    assert before.factor_scores["access_frequency"] == 0.1
    assert [one.factor_scores["access_frequency"] for one in after] == pytest.approx([0.9, 0.9])
    assert "frequent_access" in after[1].boost_events
    assert await again.load_memory_patterns("alice") == ()


async def test_a_memory_that_counts_its_own_accesses_is_believed(store: AsyncStore, time: Time) -> None:
    engine = MemoryImportanceEngine(store, time.options(count_accesses=True))
    told = [{**TEA, "access_count": 4}, {**TEA, "metadata": {"access_count": 4}}, {**TEA, "access_count": "4"}]
    found = [(await score(engine, "alice", "m", memory)).factor_scores["access_frequency"] for memory in told]

    assert found == pytest.approx([0.5, 0.5, 0.1])


async def test_lifting_finds_core_memories_in_the_shape_the_manager_returns(store: AsyncStore, time: Time) -> None:
    stored = {
        "id": "m",
        "content": JOY["content"],
        "timestamp": JOY["timestamp"],
        "metadata": {"detected_emotion": "joy", "intensity": 0.9, "topic": "family"},
    }
    plain, lifting = (MemoryImportanceEngine(store, time.options(lift_memory_shape=flag)) for flag in (False, True))
    before, after = [await e.calculate_memory_importance("m", "alice", stored, [stored]) for e in (plain, lifting)]

    assert before.overall_score <= 0.81
    assert after.overall_score >= CORE_AT
    assert (before.factor_scores["uniqueness"], after.factor_scores["uniqueness"]) == (0.6, 1.0)
