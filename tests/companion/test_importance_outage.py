"""A storage that does not answer: scoring goes on, what was learned waits, nothing stored is lost."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from random import Random
from typing import Any

import attrs
import pytest

from whisper_persistence import (
    AsyncStore,
    Durability,
    MemoryScore,
    Statistics,
    StorageRefusedError,
    StoreClosedError,
    ValidationError,
)
from whisper_persistence.companion.importance_options import ImportanceOptions
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.records.memories import BASE_WEIGHTS
from whisper_persistence.testing import Switch

from .importance import Time

MEMORY = {"content": "my sister's wedding", "emotional_context": {"emotion": "joy", "intensity": 0.7}}
LESSON = MemoryScore("alice", "m", 0.5, {**dict.fromkeys(BASE_WEIGHTS, 0.1), "uniqueness": 1.0})


@attrs.define(eq=False)
class Bench:
    """An engine over a database that can be switched off, and the clock that tells when to ask again."""

    store: AsyncStore
    switch: Switch
    seconds: float = 1_000.0

    def engine(self, **options: Any) -> MemoryImportanceEngine:
        chance = Random(7)
        return MemoryImportanceEngine(
            self.store, ImportanceOptions(clock=lambda: self.seconds, random=chance, **options)
        )

    def off(self) -> None:
        self.switch.down = True

    def on(self) -> None:
        self.switch.down = self.switch.answers_lost = False
        self.seconds += 1


@pytest.fixture
def bench(backend: Any, switch: Switch) -> Any:
    bench = Bench(backend.store(switch), switch)
    asyncio.run(bench.store.open())
    yield bench
    asyncio.run(bench.store.close())


async def score(engine: MemoryImportanceEngine, user_id: str = "alice", memory_id: str = "m") -> MemoryScore:
    return await engine.calculate_memory_importance(memory_id, user_id, MEMORY, [])


async def use_everything(engine: MemoryImportanceEngine) -> list[Any]:
    return [
        (await score(engine)).factor_scores,
        (await score(engine, memory_id="n")).overall_score,
        await engine.get_importance_statistics("alice"),
        await engine.identify_core_memories("alice", memories=[]),
        (await engine.auto_adjust_importance("alice")).adjusted,
        (await engine.record_feedback("alice", "m", helpful=True)).weights,
        await engine.weights_for("alice"),
        await engine.update_user_preferences("alice", {"tone": "warm"}) is not None,
        await engine.load_user_preferences("alice"),
        await engine.update_memory_patterns("alice", "tea") is not None,
    ]


async def test_case_03_down_from_the_start_everything_answers_as_with_a_storage(bench: Bench) -> None:
    bench.off()
    engine = bench.engine()
    without = await use_everything(engine)

    assert engine.pending == 5
    assert engine.knowledge("alice") is Knowledge.UNKNOWN
    bench.on()
    assert await engine.flush() == 0
    assert await engine.load_user_statistics("alice") == await bench.engine().load_user_statistics("alice")
    assert (await engine.get_importance_statistics("alice"))["total_memories_scored"] == 2
    assert [pattern.frequency for pattern in await engine.load_memory_patterns("alice")] == [1]
    await bench.store.erase_users(["alice"])
    assert await use_everything(bench.engine()) == without


async def test_case_02_down_at_load_and_back_at_save_nothing_stored_is_lost(bench: Bench) -> None:
    first = bench.engine()
    await score(first, memory_id="old")
    await first.record_feedback("alice", "m", helpful=True, score=LESSON)
    learned = await first.weights_for("alice")

    bench.off()
    second = bench.engine()
    scored = await score(second, memory_id="new")
    assert await second.weights_for("alice") == pytest.approx(dict(BASE_WEIGHTS))

    bench.on()
    third = await score(second, memory_id="newer")
    statistics = await second.get_importance_statistics("alice")

    assert statistics["total_memories_scored"] == 3
    assert {scored.overall_score, third.overall_score} <= {
        statistics["max_importance"],
        statistics["median_importance"],
        statistics["min_importance"],
    }
    assert await second.weights_for("alice") == learned != dict(BASE_WEIGHTS)


async def test_what_was_known_before_the_outage_goes_on_being_used(bench: Bench) -> None:
    engine = bench.engine(weights_max_age=10)
    await engine.record_feedback("alice", "m", helpful=True, score=LESSON)
    await engine.save_user_preferences("alice", {"tone": "warm", "topic": "tea"})
    learned, statistics = await engine.weights_for("alice"), await engine.load_user_statistics("alice")
    await engine.load_user_preferences("alice")
    bench.off()
    bench.seconds += 100

    assert await engine.weights_for("alice") == learned
    assert await engine.load_user_statistics("alice") == statistics
    assert engine.knowledge("alice") is Knowledge.UNKNOWN
    assert await engine.update_user_preferences("alice", {"tone": "dry"}, ["topic"]) is Durability.VOLATILE
    assert await engine.load_user_preferences("alice") == {"tone": "dry"}


async def test_feedback_in_an_outage_counts_at_once_and_once_only(bench: Bench) -> None:
    engine = bench.engine()
    await engine.record_feedback("alice", "m", helpful=True, score=LESSON)
    bench.off()
    waiting = await engine.record_feedback("alice", "m", helpful=True, score=LESSON)
    bench.on()
    assert await engine.flush() == 0
    after = await engine.weights_for("alice")
    stored = await bench.engine().load_user_statistics("alice")

    assert waiting.durability is Durability.VOLATILE
    assert after == waiting.weights == (stored and stored.weights())
    assert stored is not None
    assert stored.adjustments == 2


async def test_an_answer_that_was_lost_counts_once(bench: Bench) -> None:
    engine = bench.engine()
    bench.switch.answers_lost = True
    await engine.update_memory_patterns("alice", "tea")
    await engine.record_feedback("alice", "m", helpful=True, score=LESSON)
    bench.on()
    await engine.flush()
    statistics = await engine.load_user_statistics("alice")

    assert [pattern.frequency for pattern in await engine.load_memory_patterns("alice")] == [1]
    assert statistics is not None
    assert statistics.adjustments == 1


async def test_a_storage_that_does_not_answer_is_left_alone_for_a_moment(bench: Bench) -> None:
    engine = bench.engine()
    bench.off()
    await score(engine)
    asked = bench.switch.calls.total()
    await asyncio.gather(*(score(engine, memory_id=str(number)) for number in range(50)))

    assert bench.switch.calls.total() == asked
    assert engine.pending == 51
    bench.seconds += 1
    await score(engine)
    assert bench.switch.calls.total() == asked + 1


async def test_preferences_saved_in_an_outage_wipe_nothing_unseen(bench: Bench, backend: Any) -> None:
    engine = bench.engine()
    await engine.save_user_preferences("alice", {"tone": "warm", "topic": "tea"})
    await engine.load_user_preferences("alice")
    bench.off()
    await engine.save_user_preferences("alice", {"tone": "dry"})
    async with backend.store() as elsewhere:
        await MemoryImportanceEngine(elsewhere).update_user_preferences("alice", {"name": "Al"})
    bench.on()
    await engine.flush()

    assert await engine.load_user_preferences("alice") == {"tone": "dry", "name": "Al"}


async def test_in_an_outage_preferences_are_those_last_written_and_read(bench: Bench, backend: Any) -> None:
    engine = bench.engine()
    await engine.save_user_preferences("alice", {"share_diary": True, "tone": "warm"})
    await engine.update_user_preferences("alice", {"name": "Al"}, ["share_diary"])
    await engine.update_user_preferences("bob", {"name": "Bob"})
    async with backend.store() as elsewhere:
        await MemoryImportanceEngine(elsewhere).update_user_preferences("alice", {"topic": "tea"})
    bench.off()
    await engine.update_user_preferences("alice", {"mood": "calm"})
    during = [await engine.load_user_preferences(user_id) for user_id in ("alice", "bob")]
    bench.on()
    await engine.flush()
    bench.off()
    await engine.save_user_preferences("alice", {"tone": "dry"})
    bench.on()
    await engine.flush()

    assert during == [{"tone": "warm", "name": "Al", "mood": "calm"}, {}]
    assert await engine.load_user_preferences("alice") == {"tone": "dry", "topic": "tea"}


async def test_preferences_that_shrink_a_lot_in_an_outage_do_so_afterwards(bench: Bench) -> None:
    engine = bench.engine()
    await engine.save_user_preferences("alice", {"k" * 5_000: 1, **{f"key {number}": 1 for number in range(2_000)}})
    await engine.load_user_preferences("alice")
    bench.off()
    durability = await engine.save_user_preferences("alice", {"tone": "dry"})
    during = await engine.load_user_preferences("alice")
    bench.on()

    assert (durability, during) == (Durability.VOLATILE, {"tone": "dry"})
    assert await engine.flush() == 0
    assert await bench.engine().load_user_preferences("alice") == {"tone": "dry"}
    assert engine.lost == 0


async def test_statistics_saved_in_an_outage_wipe_nothing_unseen(bench: Bench, backend: Any) -> None:
    engine = bench.engine()
    await engine.record_feedback("alice", "m", helpful=True, score=LESSON)
    known = await engine.load_user_statistics("alice")
    assert known is not None
    bench.off()
    wanted = {**known.weight_adjustments, "recency": known.weight_adjustments["recency"] + 10_000_000}
    await engine.save_user_statistics(attrs.evolve(known, weight_adjustments=wanted, extra={"mood": "calm"}))
    async with backend.store() as elsewhere:
        other = MemoryImportanceEngine(elsewhere)
        await other.record_feedback("alice", "m", helpful=True, score=LESSON)
        await other.calculate_memory_importance("n", "alice", MEMORY, [])
        seen = await other.load_user_statistics("alice")
    bench.on()
    await engine.flush()
    found = await engine.load_user_statistics("alice")

    assert seen is not None
    assert found is not None
    assert (found.total_memories_scored, found.extra) == (1, {"mood": "calm"})
    shifts = {name: learned - seen.weight_adjustments[name] for name, learned in found.weight_adjustments.items()}
    assert {name: shift for name, shift in shifts.items() if shift} == {"recency": 10_000_000}


async def test_what_waits_is_sent_in_order_and_in_few_batches(bench: Bench) -> None:
    engine = bench.engine()
    bench.off()
    await engine.save_user_preferences("alice", {"a": 1})
    await engine.update_user_preferences("alice", {"b": 2})
    await engine.save_user_preferences("alice", {"c": 3})
    await engine.update_user_preferences("alice", {"d": 4})
    for number in range(100):
        await score(engine, memory_id=str(number))
    bench.on()
    asked = bench.switch.calls.total()

    assert await engine.flush() == 0
    assert bench.switch.calls.total() == asked + 3, "one is tried before the others"
    assert await engine.load_user_preferences("alice") == {"c": 3, "d": 4}
    assert (await engine.get_importance_statistics("alice"))["total_memories_scored"] == 100


async def test_too_many_that_wait_lose_the_oldest_and_say_so(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    engine = bench.engine(max_pending=10)
    bench.off()
    with caplog.at_level(logging.WARNING):
        for number in range(15):
            await score(engine, memory_id=str(number))
    bench.on()
    await engine.flush()
    kept = [entry.memory_id for entry in engine.importance_cache.of_user("alice")]

    assert (engine.pending, engine.lost, len(kept)) == (0, 5, 15)
    assert (await engine.get_importance_statistics("alice"))["total_memories_scored"] == 10
    assert len([line for line in caplog.messages if "does not answer" in line]) == 1
    assert "alice" not in caplog.text
    assert "wedding" not in caplog.text


async def test_more_scores_than_one_change_may_hold_fade_in_an_outage(bench: Bench, time: Time) -> None:
    engine = bench.engine(now=lambda: time.moment)
    await asyncio.gather(*(score(engine, memory_id=str(number)) for number in range(1_200)))
    before = await engine.get_importance_statistics("alice")
    time.moment += timedelta(days=3)
    bench.off()
    faded = await engine.auto_adjust_importance("alice")
    bench.on()
    await engine.flush()
    after = await engine.get_importance_statistics("alice")

    assert (faded.adjusted, faded.durability, engine.lost) == (1_200, Durability.VOLATILE, 0)
    assert after["total_memories_scored"] == 1_200
    assert after["max_importance"] < before["max_importance"]
    assert after["min_importance"] < before["min_importance"]
    assert (await engine.auto_adjust_importance("alice")).adjusted == 0
    time.moment += timedelta(days=1)
    assert (await engine.auto_adjust_importance("alice")).adjusted == 1_200


async def test_scores_whose_fading_was_lost_fade_the_next_time(bench: Bench, time: Time) -> None:
    engine = bench.engine(now=lambda: time.moment, max_pending=1)
    fresh = await score(engine)
    time.moment += timedelta(days=3)
    bench.off()
    await engine.auto_adjust_importance("alice")
    await engine.update_user_preferences("alice", {"tone": "warm"})
    bench.on()
    await engine.flush()
    time.moment += timedelta(days=1)
    found = await engine.auto_adjust_importance("alice")

    assert (engine.lost, found.adjusted) == (1, 1)
    expected = fresh.overall_score - 4 * fresh.decay_rate
    assert (await engine.get_importance_statistics("alice"))["max_importance"] == pytest.approx(expected, abs=1e-8)


async def test_a_change_refused_while_others_waited_does_not_hold_them_up(bench: Bench) -> None:
    engine = bench.engine()
    bench.off()
    for user_id in ("alice", "mallory", "bob"):
        await score(engine, user_id)
    bench.switch.refused = "mallory"
    bench.on()

    assert await engine.flush() == 0
    assert engine.lost == 1
    bench.switch.refused = ""
    for user_id, count in (("alice", 1), ("bob", 1), ("mallory", 0)):
        assert (await engine.get_importance_statistics(user_id)).get("total_memories_scored", 0) == count


async def test_a_refusal_is_no_outage(bench: Bench) -> None:
    engine = bench.engine()
    bench.switch.refused = "mallory"
    found = await score(engine, "mallory")

    assert 0 < found.overall_score < 1
    assert (engine.pending, engine.lost) == (0, 0)
    with pytest.raises(StorageRefusedError):
        await engine.save_user_statistics(Statistics("mallory"))


@pytest.mark.parametrize("waiting", [0, 1])
async def test_in_an_outage_illegal_input_is_refused_as_ever(bench: Bench, waiting: int) -> None:
    engine = bench.engine()
    bench.off()
    for number in range(waiting):
        await engine.update_user_preferences("alice", {"n": number})
    for refused in (
        engine.update_user_preferences("alice", {"x": float("nan")}),
        engine.save_user_preferences("alice", {"x": float("nan")}),
        engine.update_user_preferences("", {"x": 1}),
        engine.update_memory_patterns("alice", "p", confidence=7.0),
        engine.record_access("alice", "\0"),
        engine.record_score(MemoryScore("alice", "m", 9.0)),
        engine.save_user_statistics(Statistics("alice", total_memories_scored=-1)),
    ):
        with pytest.raises(ValidationError):
            await refused
    bench.on()

    assert (engine.pending, await engine.flush(), engine.lost) == (waiting, 0, 0)
    assert len(engine.importance_cache) == 0


async def test_a_cancelled_score_is_recorded_once(bench: Bench) -> None:
    engine = bench.engine()
    await score(engine, memory_id="first")
    task = asyncio.create_task(engine.record_feedback("alice", "m", helpful=True, score=LESSON))
    for _ in range(2):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.flush()
    statistics = await engine.load_user_statistics("alice")

    assert statistics is not None
    assert (statistics.adjustments, engine.pending) == (1, 0)


async def test_accesses_counted_in_an_outage_add_to_those_that_are_stored(bench: Bench) -> None:
    before = bench.engine(count_accesses=True)
    await before.record_access("alice", "m")
    bench.off()
    engine = bench.engine(count_accesses=True)
    for _ in range(2):
        await engine.record_access("alice", "m")
    during = await score(engine)
    bench.on()
    after = await score(engine)

    assert during.factor_scores["access_frequency"] == pytest.approx(0.3)
    assert after.factor_scores["access_frequency"] == pytest.approx(0.4)


async def test_forgetting_a_user_forgets_what_waits_about_them_alone(bench: Bench) -> None:
    engine = bench.engine()
    bench.off()
    for user_id in ("u", "u_1"):
        await score(engine, user_id)
        await engine.update_user_preferences(user_id, {"tone": "warm"})
    engine.forget_user("u")
    bench.on()

    assert engine.pending == 2
    assert await engine.get_importance_statistics("u") == {}
    assert await engine.load_user_preferences("u") == {}
    assert (await engine.get_importance_statistics("u_1"))["total_memories_scored"] == 1


async def test_a_closed_store_is_an_error_to_all_but_scoring_and_keeps_what_waits(bench: Bench) -> None:
    engine = bench.engine()
    bench.off()
    await score(engine, memory_id="waits")
    bench.on()
    await bench.store.close()
    found = await score(engine, memory_id="late")

    assert 0 < found.overall_score < 1
    with pytest.raises(StoreClosedError):
        await engine.update_memory_patterns("alice", "tea")
    assert await engine.flush() == 1
    await bench.store.open()
    assert await engine.flush() == 0
    assert (await engine.get_importance_statistics("alice"))["total_memories_scored"] == 1
