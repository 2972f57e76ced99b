"""The engine over a real database: what is kept, what is learned, what it costs, and who never sees whose."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from typing import Any

import attrs
import pytest

from whisper_persistence import AsyncStore, Durability, MemoryScore, Statistics, ValidationError
from whisper_persistence.companion.importance_options import ImportanceOptions
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.records.memories import BASE_WEIGHTS, CORE_AT

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOY = {
    "content": "I trust you, I love you, you know me, you understand me. My secret dream: a home, a family, a wedding, "
    "my mother and my sister there, and every friend",
    "emotional_context": {"emotion": "joy", "intensity": 0.9},
    "timestamp": START.isoformat(),
}
TEA = {"content": "tea at four", "emotional_context": {"intensity": 0.1}, "timestamp": "2020-01-01T00:00:00"}
DRAB = {**dict.fromkeys(BASE_WEIGHTS, 0.1), "emotional_intensity": 1.0}


@attrs.define
class Time:
    """A clock that goes where a test sets it."""

    moment: datetime = START
    seconds: float = 1_000.0

    def options(self, **more: Any) -> ImportanceOptions:
        return ImportanceOptions(now=lambda: self.moment, clock=lambda: self.seconds, random=Random(7), **more)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def engine(store: AsyncStore, time: Time) -> MemoryImportanceEngine:
    return MemoryImportanceEngine(store, time.options())


async def score(engine: MemoryImportanceEngine, user_id: str, memory_id: str = "m", memory: Any = TEA) -> MemoryScore:
    return await engine.calculate_memory_importance(memory_id, user_id, memory, [])


async def teach(engine: MemoryImportanceEngine, user_id: str, helpful: bool = True) -> None:
    lesson = MemoryScore(user_id, "m", 0.5, DRAB)
    await engine.record_feedback(user_id, "m", helpful, lesson)


# What is kept


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
    assert engine.knowledge_of("nobody") is Knowledge.ABSENT
    assert await engine.load_user_statistics("nobody") is None
    assert await engine.identify_core_memories("nobody") == []


async def test_saved_statistics_come_back_whole(engine: MemoryImportanceEngine) -> None:
    saved = Statistics("alice", 3, 2_100_000_000, 0.6, 0.8, 0.7, weight_adjustments={"recency": 7}, extra={"x": [1]})
    durability = await engine.save_user_statistics(saved)

    assert durability is Durability.DURABLE
    assert await engine.load_user_statistics("alice") == saved
    assert engine.knowledge_of("alice") is Knowledge.LOADED


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
    assert engine.pending_changes == 0
    assert await engine.get_importance_statistics("alice") == {}


# The cases of the contract


async def test_case_1_restart_the_importance_cache_is_empty_and_what_was_learned_is_used(
    engine: MemoryImportanceEngine, store: AsyncStore, time: Time
) -> None:
    await score(engine, "alice", "m1", JOY)
    await teach(engine, "alice")
    again = MemoryImportanceEngine(store, time.options())

    assert len(again.importance_cache) == 0
    assert await again.weights_for("alice") == await engine.weights_for("alice") != dict(BASE_WEIGHTS)
    assert len(await again.identify_core_memories("alice")) == 1
    assert len(again.importance_cache) == 0


async def test_case_4_a_hundred_users_at_once_never_see_each_others_weights(
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


async def test_case_4_a_view_of_the_weights_is_the_callers_own(engine: MemoryImportanceEngine) -> None:
    (await engine.weights_for("alice"))["recency"] = 99.0

    assert await engine.weights_for("alice") == pytest.approx(dict(BASE_WEIGHTS))
    with pytest.raises(TypeError):
        engine.importance_weights["recency"] = 99.0  # type: ignore[index]


async def test_case_7_a_new_users_first_pattern_is_kept_before_anything_else(engine: MemoryImportanceEngine) -> None:
    assert await engine.update_memory_patterns("newcomer", "tea") is Durability.DURABLE
    assert [pattern.frequency for pattern in await engine.load_memory_patterns("newcomer")] == [1]


async def test_case_8_what_two_processes_learn_for_one_user_both_counts(store: AsyncStore, time: Time) -> None:
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


async def test_case_9_users_whose_names_begin_alike_never_mix(engine: MemoryImportanceEngine) -> None:
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


async def test_case_9_erasing_one_user_leaves_the_other(engine: MemoryImportanceEngine, store: AsyncStore) -> None:
    for user in ("u", "u_1"):
        await score(engine, user, "m", JOY)
        await teach(engine, user)
    await store.erase_users(["u"])
    engine.forget_user("u")

    assert await engine.get_importance_statistics("u") == {}
    assert await engine.weights_for("u") == pytest.approx(dict(BASE_WEIGHTS))
    assert (await engine.get_importance_statistics("u_1"))["total_memories_scored"] == 1
    assert len(engine.importance_cache) == 1


async def test_case_16_ids_of_120_characters_are_kept(engine: MemoryImportanceEngine, time: Time) -> None:
    user_id, memory_id = "u" * 120, "é" * 120
    await score(engine, user_id, memory_id, {**JOY, "content": f"{JOY['content']} " * 20})
    await engine.record_access(user_id, "m" * 512)

    assert [entry["memory"]["memory_id"] for entry in await engine.identify_core_memories(user_id)] == [memory_id]


async def test_case_17_tables_are_there_in_an_empty_directory(
    backend: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    async with backend.store() as store:
        await score(MemoryImportanceEngine(store), "alice", "m", JOY)

        assert await MemoryImportanceEngine(store).get_importance_statistics("alice")
    assert list(empty.iterdir()) == []


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
    await asyncio.gather(*(score(engine, f"user {number}") for number in range(100)))

    assert switch.calls == {"load_statistics": 1, "update_statistics": 1}
    await asyncio.gather(*(score(engine, f"user {number % 3}", str(number)) for number in range(100)))
    assert switch.calls == {"load_statistics": 1, "update_statistics": 2}
    assert switch.items["update_statistics"] == 200


# Learning


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


# Switches


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


# Core memories and fading


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


async def test_the_importance_cache_forgets_the_oldest(store: AsyncStore, time: Time) -> None:
    engine = MemoryImportanceEngine(store, time.options(cached_scores=2))
    for memory_id in ("a", "b", "a", "c"):
        await score(engine, "alice", memory_id)

    assert [cached.memory_id for cached in engine.importance_cache.of_user("alice")] == ["a", "c"]
