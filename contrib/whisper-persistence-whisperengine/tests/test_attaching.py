"""Adoption: once, of what there is, and all of it can be taken back."""

from __future__ import annotations

import asyncio
import inspect
import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from whisper_persistence_whisperengine import attach

from whisper_persistence import ConfigurationError, Durability
from whisper_persistence.companion import PersistentStrategies


def attributes(core: Any) -> dict[str, dict[str, Any]]:
    """Return what every part of a core has of its own, and which class it has."""
    parts = [core, core.phase2_integration, core.emotional, core.phase3_memory_networks, core.engine]
    return {type(part).__name__: dict(vars(part)) for part in parts}


async def test_attaching_twice_is_attaching_once(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        first, second = await asyncio.gather(attach(core, store=store), attach(core, store=store))
        strategies, method = core.emotional.user_strategies, core.emotional.track_intervention_response
        third = await attach(core, url="sqlite:///never-opened.db")

        assert first is second is third
        assert core.emotional.user_strategies is strategies
        assert core.emotional.track_intervention_response is method
        assert len(core.shutdown_manager.registered) == 1
        await first.detach()


async def test_detaching_puts_everything_back(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        await core.live("old", "direct_support", "thank you")
        own = core.emotional.user_strategies
        before = attributes(core)
        for _ in range(2):
            persistence = await attach(core, store=store, learn_from_replies=True)
            assert isinstance(core.emotional.user_strategies, PersistentStrategies)
            await core.live("new", "direct_support", "thank you")
            await asyncio.gather(persistence.detach(), persistence.detach())
            after = attributes(core)

            assert core.emotional.user_strategies is own
            assert {name: part.keys() for name, part in after.items()} == {n: p.keys() for n, p in before.items()}
            for name, part in before.items():
                assert {k for k, v in part.items() if after[name][k] is not v} <= {"counter"}
            assert set(own) == {"old", "new"}
        assert await core.live("late", "direct_support", "thank you")
        assert set(await store.load_strategies(["old", "new", "late"])) == {"new"} | {"old"}


async def test_what_is_in_memory_is_taken_over_with_its_outcomes(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        for _ in range(12):
            await core.live("u", "direct_support", "thank you")
        held = core.emotional.user_strategies["u"]
        persistence = await attach(core, store=store)
        assert core.emotional.user_strategies["u"] is held
        await persistence.flush()
        stored = (await store.load_strategies(["u"]))["u"]

        assert list(stored.support_history) == held.support_history
        assert (stored.effective_approaches, stored.interventions) == (("direct_support",), 10)
        await persistence.detach()


@pytest.mark.parametrize(
    "core",
    [
        object(),
        SimpleNamespace(),
        SimpleNamespace(phase2_integration=None, phase3_memory_networks=None, shutdown_manager=None),
        SimpleNamespace(phase2_integration=SimpleNamespace(emotional_intelligence=object())),
        SimpleNamespace(
            phase2_integration=SimpleNamespace(emotional_intelligence=SimpleNamespace(user_strategies=None))
        ),
        SimpleNamespace(phase3_memory_networks=SimpleNamespace(importance_engine=object())),
        SimpleNamespace(shutdown_manager=object()),
    ],
)
async def test_what_is_absent_is_passed_over(core, backend):
    async with backend.store() as store:
        persistence = await attach(core, store=store)

        assert (persistence.strategies, persistence.importance) == (None, None)
        assert await persistence.on_user_message("u", "hello") is None
        assert await persistence.flush() == 0
        await persistence.erase_user("u")
        await persistence.detach()


async def test_who_is_erased_does_not_come_back_with_what_was_replaced(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        for user in ("u", "v"):
            await core.live(user, "direct_support", "thank you")
            core.engine.user_statistics[user] = {"total_memories_scored": 1}
        persistence = await attach(core, store=store)
        for user in ("u", "v"):
            await core.emotional.comprehensive_emotional_assessment(user, "hello", {})
        assert set(await store.load_strategies(["u", "v"])) == {"u", "v"}
        await persistence.erase_user("u")
        await persistence.detach()

        assert set(core.emotional.user_strategies) == set(core.engine.user_statistics) == {"v"}
        persistence = await attach(core, store=store)
        await core.emotional.comprehensive_emotional_assessment("u", "hello again", {})
        await persistence.flush()
        assert set(await store.load_strategies(["u", "v"])) == {"v"}
        await persistence.detach()


async def test_a_part_with_some_of_the_methods_is_adopted_as_far_as_it_goes(backend):
    class Emotional:
        def __init__(self) -> None:
            self.user_strategies: dict[str, Any] = {}

        async def get_user_emotional_dashboard(self, user_id: str) -> Any:
            return self.user_strategies.get(user_id)

    class Engine:
        async def calculate_memory_importance(self, memory_id: str, user_id: str) -> str:
            return "no score"

    core = SimpleNamespace(
        phase2_integration=SimpleNamespace(emotional_intelligence=Emotional()),
        phase3_memory_networks=SimpleNamespace(importance_engine=Engine()),
    )
    async with backend.store() as store:
        persistence = await attach(core, store=store)
        assert await core.phase2_integration.emotional_intelligence.get_user_emotional_dashboard(user_id="u") is None
        assert await core.phase3_memory_networks.importance_engine.calculate_memory_importance("m", "u") == "no score"
        assert await store.load_statistics(["u"]) == {}
        await persistence.detach()


async def test_other_parts_of_the_core_stay_the_same_objects(backend, new_core):
    core = new_core()
    names = ("conversation_cache", "emotion_cache", "sentiment_cache")
    before = [getattr(core, name) for name in names]
    inner = core.engine.importance_cache, core.engine.importance_weights, core.emotional.active_interventions
    async with backend.store() as store:
        persistence = await attach(core, store=store)
        await core.live("u", "direct_support", "thank you")
        await core.score("u", "m")

        assert all(getattr(core, name) is value for name, value in zip(names, before, strict=True))
        assert inner[0] is core.engine.importance_cache
        assert inner[1] is core.engine.importance_weights
        assert inner[2] is core.emotional.active_interventions
        await persistence.detach()


async def test_the_shutdown_manager_closes_the_memory_last(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        order: list[str] = []

        async def writer() -> None:
            core.emotional.user_strategies["u"].communication_style = "gentle"
            order.append("writer")

        core.shutdown_manager.register_cleanup(writer)
        await attach(core, store=store)
        await core.live("u", "direct_support", "thank you")
        (function,) = [f for _, f in core.shutdown_manager.registered if f is not writer]
        assert inspect.iscoroutinefunction(function)
        await core.shutdown_manager.shutdown()

        assert order == ["writer"]
        assert (await store.load_strategies(["u"]))["u"].communication_style == "gentle"
        assert not isinstance(core.emotional.user_strategies, PersistentStrategies)


async def test_errors_of_the_bot_stay_its_own(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        with pytest.raises(TypeError):
            await core.emotional.track_intervention_response("u_intervention_1")
        with pytest.raises(TypeError):
            await core.emotional.get_user_emotional_dashboard()
        with pytest.raises(TypeError):
            await core.engine.calculate_memory_importance()
        await persistence.detach()


async def test_a_wrong_setting_raises_and_leaves_the_core_alone(new_core):
    core = new_core()
    before = attributes(core)
    with pytest.raises(ConfigurationError):
        await attach(core, url="mysql://nowhere")

    assert attributes(core) == before
    persistence = await attach(core, url="memory://")
    assert isinstance(core.emotional.user_strategies, PersistentStrategies)
    await persistence.detach()


async def test_a_server_that_comes_up_later_is_used_without_a_restart(postgres_url, new_core):
    parts = urlsplit(postgres_url)
    name = f"{parts.path.strip('/')}_later"
    url = parts._replace(path=f"/{name}").geturl()
    core = new_core()
    persistence = await attach(core, url=url)
    await core.live("u", "direct_support", "thank you")
    assert await persistence.flush() == 1
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    persistence.store._again_at = 0.0

    assert await persistence.flush() == 0
    assert (await persistence.store.load_strategies(["u"]))["u"].interventions == 1
    await persistence.detach()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_a_bot_waits_for_the_storage_only_a_little(backend, switch, new_core):
    async with backend.store(switch) as store:
        core = new_core()
        persistence = await attach(core, store=store, patience=0.05)
        switch.seconds = 1.0
        began = asyncio.get_running_loop().time()
        await core.live("u", "direct_support", "thank you")
        await core.score("u", "m")
        assert asyncio.get_running_loop().time() - began < 0.9
        switch.seconds = 0.0
        await persistence.flush()

        assert (await store.load_strategies(["u"]))["u"].interventions == 1
        assert (await store.load_statistics(["u"]))["u"].total_memories_scored == 1
        await persistence.detach()


async def test_a_cancelled_bot_loses_nothing_that_it_learned(backend, switch, new_core):
    async with backend.store(switch) as store:
        core = new_core()
        persistence = await attach(core, store=store)
        await core.emotional.get_user_emotional_dashboard("u")
        switch.seconds = 0.3
        switch.called.clear()
        task = asyncio.create_task(core.live("u", "direct_support", "thank you"))
        await asyncio.to_thread(switch.called.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await persistence.flush()

        assert (await store.load_strategies(["u"]))["u"].interventions == 1
        await persistence.detach()


async def test_statistics_tell_of_all_scores_ever_and_the_synchronous_call_learns_of_them(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        assert core.engine.get_importance_statistics("u") == {}
        for number in range(3):
            await core.score("u", f"m{number}", *([0.1 * number] * 6))
        await core.engine.calculate_memory_importance("unscored", "u", {}, [])
        await persistence.detach()
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        await core.score("u", "m9", *([0.9] * 6))
        await persistence.flush()
        exact = await persistence.importance.get_importance_statistics("u")
        found = core.engine.get_importance_statistics("u")

        assert found == exact == core.engine.user_statistics["u"]
        assert (found["total_memories_scored"], found["core_memory_candidates"]) == (4, 1)
        assert found["median_importance"] == pytest.approx(0.15)
        assert found["max_importance"] == pytest.approx(0.9)
        own = core.engine.user_statistics
        await persistence.detach()

        assert core.engine.get_importance_statistics("u")["total_memories_scored"] == 1
        assert core.engine.user_statistics is not own


async def test_feedback_shifts_one_users_scores_and_survives(backend, new_core):
    values = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        before = await core.score("u", "m", *values)
        learned = await persistence.importance.record_feedback("u", "m", helpful=True)
        assert learned.durability is Durability.DURABLE
        await persistence.detach()
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        after, other = await core.score("u", "m", *values), await core.score("v", "m", *values)

        assert other.overall_score == before.overall_score < after.overall_score
        assert core.engine.importance_cache["u_m"] is after
        assert sum(learned.weights.values()) == pytest.approx(1)
        await persistence.detach()


async def test_the_next_message_is_the_reply_once(backend, new_core, old):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        await core.emotional.execute_intervention("u", "direct_support")
        await core.emotional.execute_intervention("u", "gentle_check_in")
        aged = await core.emotional.execute_intervention("v", "direct_support")
        old(core, aged, timedelta(hours=3))
        first, second = await asyncio.gather(*(persistence.on_user_message("u", "thank you") for _ in range(2)))

        assert (first.intervention_id, second) == ("u_intervention_2", None)
        assert await persistence.on_user_message("u", "and another thing") is None
        assert await persistence.on_user_message("v", "thank you") is None
        assert (await store.load_strategies(["u"]))["u"].effective_approaches == ("gentle_check_in",)
        await persistence.detach()


async def test_the_message_that_caused_an_offer_is_not_its_reply(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store, learn_from_replies=True)
        process = core.phase2_integration.process_message_with_emotional_intelligence
        for _ in range(2):
            assert await process("u", "I am sad") == "processed I am sad"
        assert await store.load_strategies(["u"]) == {}
        await process(user_id="u", message="thank you")

        assert (await store.load_strategies(["u"]))["u"].effective_approaches == ("direct_support",)
        await persistence.detach()


async def test_a_reply_that_the_bot_cannot_take_is_logged_without_its_words(backend, new_core, caplog):
    async with backend.store() as store:
        core = new_core()

        async def broken(*_: Any) -> None:
            raise RuntimeError("thank you")

        core.phase2_integration.handle_intervention_response = broken
        persistence = await attach(core, store=store)
        await core.emotional.execute_intervention("u", "direct_support")
        with caplog.at_level(logging.DEBUG):
            assert await persistence.on_user_message("u", "thank you") is None

        assert [record.getMessage() for record in caplog.records] == ["a reply was not learned from"]
        assert "thank you" not in caplog.text
        await persistence.detach()


async def test_what_somebody_else_wrapped_since_is_left_to_them(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        ours = core.emotional.track_intervention_response
        seen: list[str] = []

        async def theirs(intervention_id: str, *args: Any) -> Any:
            seen.append(intervention_id)
            return await ours(intervention_id, *args)

        core.emotional.track_intervention_response = theirs
        await persistence.detach()
        outcome = await core.live("u", "direct_support", "thank you")

        assert outcome.outcome_type == "successful"
        assert seen == ["u_intervention_1"]
        assert await store.load_strategies(["u"]) == {}
