"""What the engine keeps over a real database, which memories are the core, and how scores fade."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from statistics import median
from typing import Any

import attrs
import pytest

from whisper_persistence import AsyncStore, Durability, MemoryScore, Statistics, ValidationError
from whisper_persistence.companion.importance_stored import StoredScores
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.records.memories import BASE_WEIGHTS, CORE_AT

from .importance import DRAB, JOY, TEA, Time, score


async def test_a_score_is_kept_with_every_field_and_counted(engine: MemoryImportanceEngine, store: AsyncStore) -> None:
    found = await score(engine, "alice", "m1", JOY)
    await score(engine, "alice", "m2", TEA)
    statistics = await engine.get_importance_statistics("alice")
    core = await engine.identify_core_memories("alice", memories=[{**JOY, "id": "m1"}, {**TEA, "id": "m2"}])

    assert found.overall_score >= CORE_AT
    assert found.score_explanation.startswith("strong emotions")
    assert [entry["importance_score"] for entry in core] == [found]
    assert core[0]["memory"]["content"] == JOY["content"]
    assert core[0]["score_value"] == found.overall_score
    assert set(statistics) == {
        "total_memories_scored",
        "average_importance",
        "median_importance",
        "max_importance",
        "min_importance",
        "core_memory_candidates",
        "factor_averages",
    }
    assert list(statistics["factor_averages"]) == list(BASE_WEIGHTS)
    assert (statistics["total_memories_scored"], statistics["core_memory_candidates"]) == (2, 1)


async def test_a_score_made_elsewhere_counts_like_one_made_here(
    engine: MemoryImportanceEngine, store: AsyncStore
) -> None:
    made = MemoryScore("alice", "m", 0.9, DRAB, score_explanation="by the bot's own engine")
    durability = await engine.record_score(made)
    learned = (await engine.record_feedback("alice", "m", helpful=True)).weights

    assert durability is Durability.DURABLE
    assert (await engine.identify_core_memories("alice"))[0]["importance_score"] == made
    assert (await engine.get_importance_statistics("alice"))["average_importance"] == 0.9
    assert learned["emotional_intensity"] > BASE_WEIGHTS["emotional_intensity"]
    with pytest.raises(ValidationError, match="overall_score"):
        await engine.record_score(attrs.evolve(made, overall_score=1.5))


async def test_statistics_are_exact_whatever_is_scored_again(engine: MemoryImportanceEngine) -> None:
    scores = {}
    for number in range(60):
        memory_id = str(number % 23)
        memory = {**TEA, "emotional_context": {"intensity": number / 60}}
        scores[memory_id] = (await score(engine, "alice", memory_id, memory)).overall_score
    found = await engine.get_importance_statistics("alice")

    assert found["total_memories_scored"] == 23
    assert found["average_importance"] == pytest.approx(sum(scores.values()) / 23, abs=1e-9)
    assert found["median_importance"] == median(scores.values())
    assert (found["min_importance"], found["max_importance"]) == (min(scores.values()), max(scores.values()))


async def test_nothing_scored_means_no_statistics(engine: MemoryImportanceEngine) -> None:
    assert await engine.get_importance_statistics("nobody") == {}
    assert engine.knowledge("nobody") is Knowledge.ABSENT
    assert await engine.load_user_statistics("nobody") is None
    assert await engine.identify_core_memories("nobody") == []


async def test_saved_statistics_come_back_whole(engine: MemoryImportanceEngine) -> None:
    saved = Statistics("alice", 3, 2_100_000_000, 0.6, 0.8, 0.7, weight_adjustments={"recency": 7}, extra={"x": [1]})
    durability = await engine.save_user_statistics(saved)

    assert durability is Durability.DURABLE
    assert await engine.load_user_statistics("alice") == saved
    assert engine.knowledge("alice") is Knowledge.LOADED


async def test_preferences_are_put_changed_and_kept(engine: MemoryImportanceEngine, store: AsyncStore) -> None:
    await engine.save_user_preferences("alice", {"topics": ["tea"], "tone": "dry"})
    await engine.update_user_preferences("alice", {"tone": "warm"}, removed=["topics"])
    await engine.save_user_preferences("alice_2", {"tone": "loud"})
    again = MemoryImportanceEngine(store)

    assert await again.load_user_preferences("alice") == {"tone": "warm"}
    assert await again.load_user_preferences("bob") == {}


async def test_patterns_accumulate_and_confidence_stays_between_zero_and_one(engine: MemoryImportanceEngine) -> None:
    for confidence in (1.0, 0.9, 0.8):
        await engine.update_memory_patterns("alice", "tea", confidence=confidence, importance=0.5, keywords=["cup"])
    (found,) = await engine.load_memory_patterns("alice")

    assert (found.frequency, found.keywords) == (3, ("cup",))
    assert found.confidence() == pytest.approx(0.9)
    with pytest.raises(ValidationError, match="confidence"):
        await engine.update_memory_patterns("alice", "tea", confidence=1.23)


async def test_a_memory_that_cannot_be_scored_gets_the_default_and_is_not_counted(
    engine: MemoryImportanceEngine,
) -> None:
    for memory in (None, 7, {"content": "tea", "emotional_context": "[" * 100_000}):
        found = await score(engine, "alice", "m", memory)

        assert (found.overall_score, found.decay_rate) == (0.5, 0.01)
        assert list(found.factor_scores.values()) == [0.5, 0.5, 0.5, 0.1, 0.5, 0.0]
    assert await engine.get_importance_statistics("alice") == {}


async def test_what_no_driver_can_keep_is_scored_and_not_recorded(engine: MemoryImportanceEngine) -> None:
    found = [await score(engine, *ids) for ids in (("", "m"), ("alice", "\0"), ("alice", "x" * 600))]

    assert all(0 < one.overall_score < 1 for one in found)
    assert engine.pending == 0
    assert await engine.get_importance_statistics("alice") == {}


@attrs.define
class Manager:
    """A bot's memory manager with the one method that every manager has."""

    memories: list[dict[str, Any]]
    told: dict[str, float] = attrs.field(factory=dict)

    async def get_memories_by_user(self, user_id: str) -> list[dict[str, Any]]:
        return self.memories


class TellableManager(Manager):
    def update_memory_importance(self, memory_id: str, score: float) -> None:
        self.told[memory_id] = score


class BrokenManager(Manager):
    async def get_memories_by_user(self, user_id: str) -> list[dict[str, Any]]:
        raise OSError("no index")


async def test_core_memories_are_the_highest_that_the_manager_still_has(engine: MemoryImportanceEngine) -> None:
    for number in range(30):
        await score(engine, "alice", f"m{number:02}", JOY)
    await score(engine, "alice", "tea", TEA)
    manager = Manager([{"id": f"m{number:02}"} for number in range(30) if number != 3])
    found = await engine.identify_core_memories("alice", memory_manager=manager)
    three = await engine.identify_core_memories("alice", 3, manager)
    every = await engine.identify_core_memories("alice", 100, manager)

    assert (len(found), len(three), len(every)) == (20, 3, 29)
    assert [entry["score_value"] for entry in found] == sorted([e["score_value"] for e in found], reverse=True)
    assert found[:3] == three
    assert "m03" not in [entry["memory"]["id"] for entry in every]
    assert await engine.identify_core_memories("alice", 0) == []


async def test_a_manager_that_fails_leaves_the_ids(engine: MemoryImportanceEngine) -> None:
    await score(engine, "alice", "m", JOY)
    (found,) = await engine.identify_core_memories("alice", memory_manager=BrokenManager([]))

    assert found["memory"] == {"memory_id": "m"}


async def test_scores_fade_by_the_day_once_also_after_a_restart(
    engine: MemoryImportanceEngine, store: AsyncStore, time: Time
) -> None:
    first = await score(engine, "alice", "m", JOY)
    manager = TellableManager([])
    time.moment += timedelta(hours=23)
    young = await engine.auto_adjust_importance("alice", manager)
    time.moment += timedelta(days=10)
    again = MemoryImportanceEngine(store, time.options())
    old = await again.auto_adjust_importance("alice", manager)
    nothing = await again.auto_adjust_importance("alice", manager)
    expected = first.overall_score - 10 * first.decay_rate

    assert (young.adjusted, old.adjusted, nothing.adjusted) == (0, 1, 0)
    assert old.durability is Durability.DURABLE
    assert old.weights == pytest.approx(dict(BASE_WEIGHTS))
    assert (await again.get_importance_statistics("alice"))["max_importance"] == pytest.approx(expected, abs=1e-8)
    assert manager.told == {"m": pytest.approx(expected, abs=1e-8)}
    assert len(again.importance_cache) == 0


async def test_fading_reaches_every_page_and_the_cache(engine: MemoryImportanceEngine, time: Time) -> None:
    await asyncio.gather(*(score(engine, "alice", str(number), TEA) for number in range(1_100)))
    time.moment += timedelta(days=2)
    found = await engine.auto_adjust_importance("alice")
    statistics = await engine.get_importance_statistics("alice")

    assert found.adjusted == statistics["total_memories_scored"] == 1_100
    assert statistics["max_importance"] == max(one.overall_score for one in engine.importance_cache.of_user("alice"))


async def test_fading_does_not_take_back_what_is_scored_meanwhile(
    engine: MemoryImportanceEngine, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    await score(engine, "alice", "m", JOY)
    time.moment += timedelta(days=2)
    scored: list[MemoryScore] = []
    read = StoredScores.page

    async def read_and_score(*asked: Any) -> Any:
        found = await read(*asked)
        scored.append(await score(engine, "alice", "m", JOY))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(StoredScores, "page", read_and_score)
        adjusted = (await engine.auto_adjust_importance("alice")).adjusted
    (kept,) = await engine._scores.page("alice", 10)

    assert adjusted == 0
    assert kept == scored[-1]


async def test_the_importance_cache_forgets_the_oldest(store: AsyncStore, time: Time) -> None:
    engine = MemoryImportanceEngine(store, time.options(cached_scores=2))
    for memory_id in ("a", "b", "a", "c"):
        await score(engine, "alice", memory_id)

    assert [cached.memory_id for cached in engine.importance_cache.of_user("alice")] == ["a", "c"]
