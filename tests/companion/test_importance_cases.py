"""The numbered cases that must hold for memory importance; cases 2 and 3 are in ``test_importance_outage.py``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from whisper_persistence import AsyncStore, Durability
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.records.memories import BASE_WEIGHTS

from .importance import JOY, TEA, Time, score, teach


async def test_case_01_restart_the_importance_cache_is_empty_and_what_was_learned_is_used(
    engine: MemoryImportanceEngine, store: AsyncStore, time: Time
) -> None:
    await score(engine, "alice", "m1", JOY)
    await teach(engine, "alice")
    again = MemoryImportanceEngine(store, time.options())

    assert len(again.importance_cache) == 0
    assert await again.weights_for("alice") == await engine.weights_for("alice") != dict(BASE_WEIGHTS)
    assert len(await again.identify_core_memories("alice")) == 1
    assert len(again.importance_cache) == 0


async def test_case_04_a_hundred_users_at_once_never_see_each_others_weights(
    engine: MemoryImportanceEngine, store: AsyncStore, time: Time
) -> None:
    users = [f"u_{number}" for number in range(100)]
    await asyncio.gather(*(teach(engine, user) for number, user in enumerate(users) for _ in range(number % 5)))
    fresh = MemoryImportanceEngine(store, time.options(count_accesses=True))
    scored = await asyncio.gather(*(score(fresh, user, "m", TEA) for user in users))

    expected = [await fresh.weights_for(f"u_{number}") for number in range(5)]
    factors = scored[0].factor_scores
    assert len({tuple(weights.values()) for weights in expected}) == 5
    for number, found in enumerate(scored):
        weights = expected[number % 5]

        assert await fresh.weights_for(users[number]) == weights
        assert found.overall_score == pytest.approx(sum(weights[k] * v for k, v in factors.items()), abs=1e-8)
        assert sum(weights.values()) == pytest.approx(1)
    assert dict(engine.importance_weights) == dict(fresh.importance_weights) == dict(BASE_WEIGHTS)


async def test_case_04_a_view_of_the_weights_is_the_callers_own(engine: MemoryImportanceEngine) -> None:
    (await engine.weights_for("alice"))["recency"] = 99.0

    assert await engine.weights_for("alice") == pytest.approx(dict(BASE_WEIGHTS))
    with pytest.raises(TypeError):
        engine.importance_weights["recency"] = 99.0  # type: ignore[index]


async def test_case_07_a_new_users_first_pattern_is_kept_before_anything_else(engine: MemoryImportanceEngine) -> None:
    assert await engine.update_memory_patterns("newcomer", "tea") is Durability.DURABLE
    assert [pattern.frequency for pattern in await engine.load_memory_patterns("newcomer")] == [1]


async def test_case_08_what_two_processes_learn_for_one_user_both_counts(store: AsyncStore, time: Time) -> None:
    one, two = (MemoryImportanceEngine(store, time.options()) for _ in range(2))
    await asyncio.gather(one.weights_for("alice"), two.weights_for("alice"))
    await asyncio.gather(teach(one, "alice"), teach(two, "alice"), score(one, "alice", "a"), score(two, "alice", "b"))
    await asyncio.gather(*(engine.update_memory_patterns("alice", "tea") for engine in (one, two)))
    time.seconds += 61
    statistics = await one.load_user_statistics("alice")

    assert statistics is not None
    assert (statistics.adjustments, statistics.total_memories_scored) == (2, 2)
    assert statistics.weights() == await one.weights_for("alice") == await two.weights_for("alice")
    assert [pattern.frequency for pattern in await two.load_memory_patterns("alice")] == [2]


async def test_case_09_users_whose_names_begin_alike_never_mix(engine: MemoryImportanceEngine) -> None:
    await score(engine, "u", "1_m", JOY)
    await score(engine, "u_1", "m", TEA)
    await score(engine, "u_1", "n", TEA)
    await teach(engine, "u_1")

    assert len(engine.importance_cache) == 3
    assert (await engine.get_importance_statistics("u"))["total_memories_scored"] == 1
    assert (await engine.get_importance_statistics("u_1"))["total_memories_scored"] == 2
    assert await engine.weights_for("u") == pytest.approx(dict(BASE_WEIGHTS))
    engine.clear_cache("u")
    assert [cached.memory_id for cached in engine.importance_cache.of_user("u_1")] == ["m", "n"]
    assert engine.importance_cache.of_user("u") == []
    engine.clear_cache()
    assert len(engine.importance_cache) == 0
    assert (await engine.get_importance_statistics("u"))["total_memories_scored"] == 1


async def test_case_09_erasing_one_user_leaves_the_other(engine: MemoryImportanceEngine, store: AsyncStore) -> None:
    for user in ("u", "u_1"):
        await score(engine, user, "m", JOY)
        await teach(engine, user)
    await store.erase_users(["u"])

    assert await engine.get_importance_statistics("u") == {}
    assert await engine.weights_for("u") == pytest.approx(dict(BASE_WEIGHTS))
    assert (await engine.get_importance_statistics("u_1"))["total_memories_scored"] == 1
    assert len(engine.importance_cache) == 1


async def test_case_16_ids_of_120_characters_are_kept(engine: MemoryImportanceEngine, time: Time) -> None:
    user_id, memory_id = "u" * 120, "é" * 120
    await score(engine, user_id, memory_id, {**JOY, "content": f"{JOY['content']} " * 20})
    await engine.record_access(user_id, "m" * 512)

    assert [entry["memory"]["memory_id"] for entry in await engine.identify_core_memories(user_id)] == [memory_id]


async def test_case_18_reading_writes_nothing(engine: MemoryImportanceEngine, switch: Any) -> None:
    await score(engine, "alice", "m", JOY)
    before = {hook: count for hook, count in switch.calls.items() if not hook.startswith("load")}
    await engine.get_importance_statistics("alice")
    await engine.load_user_statistics("alice")
    await engine.load_user_preferences("alice")
    await engine.load_memory_patterns("alice")
    await engine.identify_core_memories("alice", memories=[{**JOY, "id": "m"}, {**JOY, "id": "never scored"}])
    await engine.weights_for("alice")
    await engine.auto_adjust_importance("alice")

    assert {hook: count for hook, count in switch.calls.items() if not hook.startswith("load")} == before


async def test_case_18_a_score_costs_one_write_and_no_read_after_the_first(
    engine: MemoryImportanceEngine, switch: Any
) -> None:
    await score(engine, "alice", "first")
    switch.calls.clear()
    for number in range(20):
        await score(engine, "alice", str(number))

    assert switch.calls == {"update_statistics": 20}


async def test_case_18_a_hundred_scores_awaited_together_share_one_batch(
    engine: MemoryImportanceEngine, switch: Any
) -> None:
    switch.calls.clear()
    await asyncio.gather(*(score(engine, f"user {number}") for number in range(100)))

    assert switch.calls == {"load_statistics": 1, "update_statistics": 1}
    await asyncio.gather(*(score(engine, f"user {number % 3}", str(number)) for number in range(100)))
    assert switch.calls == {"load_statistics": 1, "update_statistics": 2}
    assert switch.items["update_statistics"] == 200
