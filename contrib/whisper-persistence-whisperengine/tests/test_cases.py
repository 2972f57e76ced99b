"""The numbered cases that must hold, for a bot that was attached from outside."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from whisper_persistence_whisperengine import attach

from whisper_persistence import OutcomeQuery, ScoreQuery


async def outcomes_of(store: Any, user_id: str) -> list[Any]:
    query = OutcomeQuery(user_id, 500)
    return list((await store.load_outcomes([query])).get(query, ()))


async def test_case_01_after_a_restart_the_strategy_is_equal_in_every_field(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        for number in range(14):
            await core.live("u", f"style_{number % 3}", ("thank you", "leave me alone", "hm")[number % 3])
        strategy = core.emotional.user_strategies["u"]
        strategy.communication_style = "gentle"
        strategy.optimal_timing["evening"] = "immediate"
        strategy.user_preferences.update({"tea": [1, None, {"milk": False}]})
        await core.score("u", "m")
        before = copy.deepcopy(strategy)
        await persistence.detach()
    async with backend.store() as store:
        core = new_core()
        await attach(core, store=store)
        assessed = await core.emotional.comprehensive_emotional_assessment("u", "hello", {})
        board = await core.emotional.get_user_emotional_dashboard("u")

        assert type(assessed["strategy"]) is type(before)
        assert assessed["strategy"] == before
        assert assessed["strategy"].last_updated.utcoffset() == timedelta(0)
        assert board["personalization"]["support_history_count"] == 10
        assert len(await outcomes_of(store, "u")) == 14
        assert core.emotional.active_interventions == core.engine.importance_cache == {}
        await (await attach(core)).detach()


async def test_case_02_down_at_load_back_at_save_loses_nothing(backend, switch, new_core):
    async with backend.store(switch) as store:
        core = new_core()
        first = await attach(core, store=store)
        for _ in range(10):
            await core.live("u", "resource_offering", "leave me alone")
        await first.detach()
        switch.down = True
        core = new_core()
        second = await attach(core, store=store)
        await core.emotional.comprehensive_emotional_assessment("u", "hello", {})
        for _ in range(3):
            await core.live("u", "gentle_check_in", "thank you")
        await core.score("u", "m")
        switch.down = False
        await core.live("u", "direct_support", "thank you")
        second.importance._backlog._silent_at = None
        assert await second.flush() == 0
        stored, held = (await store.load_strategies(["u"]))["u"], core.emotional.user_strategies["u"]
        times = [entry["timestamp"] for entry in held.support_history]

        assert stored.approaches_to_avoid == ("resource_offering",)
        assert stored.effective_approaches == ("gentle_check_in", "direct_support")
        assert held.approaches_to_avoid == ["resource_offering"]
        assert times == sorted(times)
        assert len(times) == 10
        assert held.support_history == list(stored.support_history)
        assert len(await outcomes_of(store, "u")) == 14
        assert (await store.load_statistics(["u"]))["u"].total_memories_scored == 1
        await second.detach()


async def live_through(core: Any) -> list[Any]:
    """Return what every public method answers over a life."""
    answers: list[Any] = [await core.emotional.get_user_emotional_dashboard("u"), await core.score("u", "m")]
    answers += [await core.live("u", "skill_building", reply) for reply in ("thank you", "leave me alone", "hm")]
    answers.append(await core.emotional.track_intervention_response("nobody_intervention_9", "hm", {}))
    answers.append(await core.emotional.get_user_emotional_dashboard("u"))
    answers.append((await core.emotional.comprehensive_emotional_assessment("u", "", {}))["strategy"])
    answers.append(await core.phase2_integration.process_message_with_emotional_intelligence("u", "I am sad"))
    answers.append(core.engine.get_importance_statistics("u"))
    return answers


def without_times(answers: list[Any]) -> str:
    plain = copy.deepcopy(answers)
    plain[1].calculation_timestamp = plain[7].last_updated = None
    for entry in plain[7].support_history:
        entry["timestamp"] = None
    return repr(plain)


async def test_case_03_down_from_the_start_answers_as_without_us_and_recovers(backend, switch, new_core):
    switch.down = True
    core = new_core()
    store = backend.store(switch)
    persistence = await attach(core, store=store, learn_from_replies=True)

    assert without_times(await live_through(core)) == without_times(await live_through(new_core()))
    switch.down = False
    persistence.store._again_at = 0.0
    persistence.importance._backlog._silent_at = None

    assert await persistence.flush() == 0
    assert (await store.load_strategies(["u"]))["u"].interventions == 3
    assert (await store.load_statistics(["u"]))["u"].total_memories_scored == 1
    await persistence.detach()
    await store.close()


async def test_case_04_a_hundred_users_at_once_never_mix(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        own, before = core.engine.importance_weights, dict(core.engine.importance_weights)
        values = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        for number in range(5):
            await core.score(f"u{number}", "m", *values)
            for _ in range(number):
                await persistence.importance.record_feedback(f"u{number}", "m", helpful=True)
        expected = [await persistence.importance.weights_for(f"u{number % 5}") for number in range(100)]
        await asyncio.gather(*(core.score(f"v{number}", "m", *values) for number in range(95)))

        async def live(number: int) -> Any:
            user = f"u{number}" if number < 5 else f"v{number}"
            await core.live(user, f"style-{number}", "thank you")
            return await core.score(user, "m", *values)

        scores = await asyncio.gather(*map(live, range(100)))
        stored = await store.load_strategies([f"u{n}" if n < 5 else f"v{n}" for n in range(100)])

        assert core.engine.importance_weights is own
        assert own == before
        assert len({score.overall_score for score in scores[:5]}) == 5
        for number, score in enumerate(scores):
            wanted = expected[number]["emotional_intensity"] if number < 5 else 0.30
            assert abs(score.overall_score - wanted) < 1e-12
        for number in range(100):
            user = f"u{number}" if number < 5 else f"v{number}"
            assert stored[user].effective_approaches == (f"style-{number}",)
        await persistence.detach()


async def test_case_05_a_slow_database_never_stalls_the_loop(backend, switch, new_core):
    switch.seconds = 0.5
    stalls: list[float] = []
    async with backend.store(switch) as store:
        while len(stalls) < 5 and min(stalls, default=1.0) > 0.02:  # other processes may hold the processor
            core = new_core()
            persistence = await attach(core, store=store)
            work = asyncio.gather(core.live("u", "direct_support", "thank you"), core.score("u", "m"))
            stalls.append(await longest_stall(work))
            await persistence.detach()

    idle = await longest_stall(asyncio.sleep(1.0)) if min(stalls) >= 0.02 else 0.0
    assert min(stalls) < max(0.02, 2 * idle)
    assert threading.get_ident() not in switch.threads


async def longest_stall(work: Any) -> float:
    """Return the longest time that the loop was away while some work was done, in seconds."""
    task, longest = asyncio.ensure_future(work), 0.0
    while not task.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
    await task
    return longest


async def test_case_06_ids_repeat_after_a_restart_and_both_are_kept(backend, new_core):
    for _ in range(2):
        async with backend.store() as store:
            core = new_core()
            persistence = await attach(core, store=store)
            await core.live("u", "direct_support", "thank you")
            kept = await outcomes_of(store, "u")
            await persistence.detach()

    assert [outcome.intervention_id for outcome in kept] == ["u_intervention_1"] * 2
    assert len({outcome.outcome_id for outcome in kept}) == 2
    assert len({outcome.session_id for outcome in kept} - {""}) == 2


async def test_case_08_two_processes_learn_for_one_user_and_both_count(backend, new_core):
    async with backend.store() as one, backend.store() as other:
        cores = [new_core(), new_core()]
        attached = [await attach(core, store=store) for core, store in zip(cores, (one, other), strict=True)]
        for core in cores:
            await core.emotional.get_user_emotional_dashboard("u")
        for number in range(6):
            await cores[number % 2].live("u", f"style-{number}", "thank you")
            await cores[number % 2].score("u", f"m{number}")
        stored = (await one.load_strategies(["u"]))["u"]

        assert stored.effective_approaches == tuple(f"style-{number}" for number in range(6))
        assert stored.interventions == len(await outcomes_of(one, "u")) == 6
        assert (await one.load_statistics(["u"]))["u"].total_memories_scored == 6
        for persistence in attached:
            await persistence.detach()


async def test_case_09_users_whose_ids_begin_alike_never_mix(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store)
        for user in ("u", "u_1", "u_1_x"):
            await core.live(user, f"style-{user}", "thank you")
            for number in range(len(user)):
                await core.score(user, f"m{number}")
            await core.emotional.comprehensive_emotional_assessment(user, "hello", {})
        await persistence.flush()
        totals = {u: core.engine.get_importance_statistics(u)["total_memories_scored"] for u in ("u", "u_1", "u_1_x")}
        await persistence.erase_user("u")

        assert totals == {"u": 1, "u_1": 3, "u_1_x": 5}
        assert set(core.emotional.user_strategies) == set(core.emotional.user_assessments) == {"u_1", "u_1_x"}
        assert set(core.emotional.active_interventions) == {"u_1_intervention_2", "u_1_x_intervention_3"}
        assert {score.user_id for score in core.engine.importance_cache.values()} == {"u_1", "u_1_x"}
        assert set(core.engine.user_statistics) == {"u_1", "u_1_x"}
        assert set(await store.load_strategies(["u", "u_1", "u_1_x"])) == {"u_1", "u_1_x"}
        assert set(await store.load_statistics(["u", "u_1", "u_1_x"])) == {"u_1", "u_1_x"}
        await persistence.detach()


async def test_case_16_long_ids_and_long_replies_are_kept(backend, new_core):
    user = "ü" * 60 + "x" * 60
    async with backend.store() as store:
        core = new_core()
        persistence = await attach(core, store=store, learn_from_replies=True)
        process = core.phase2_integration.process_message_with_emotional_intelligence
        await process(user, "I am sad")
        await process(user, "word " * 400)
        await core.score(user, "m" * 120)

        query = ScoreQuery(user)
        assert len(await outcomes_of(store, user)) == 1
        assert (await store.load_scores([query]))[query][0].memory_id == "m" * 120
        await persistence.detach()


SCRIPT = """
import asyncio
from types import SimpleNamespace as Names

from whisper_persistence_whisperengine import attach


class Emotional:
    def __init__(self):
        self.user_strategies = {}

    async def track_intervention_response(self, intervention_id, reply, context):
        self.user_strategies["u"] = {"strategy_id": "u_strategy", "communication_style": reply}


async def main():
    core = Names(phase2_integration=Names(emotional_intelligence=Emotional()))
    persistence = await attach(core)
    await core.phase2_integration.emotional_intelligence.track_intervention_response("u_intervention_1", "gentle", {})
    print((await persistence.store.load_strategies(["u"]))["u"].communication_style)
    await persistence.detach()


asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_case_17_in_an_empty_directory_the_tables_are_made(name, tmp_path, request):
    url = "sqlite:///memory.db" if name == "sqlite" else request.getfixturevalue("postgres_url")
    environment = {"WHISPER_PERSISTENCE_URL": url, "HOME": str(tmp_path)}
    command = [sys.executable, "-I", "-W", "error", "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.stdout, done.stderr) == ("gentle\n", "")
    assert (tmp_path / "memory.db").exists() == (name == "sqlite")


async def test_case_18_an_unchanged_strategy_is_never_written(backend, switch, new_core):
    async with backend.store(switch) as store:
        core = new_core()
        persistence = await attach(core, store=store)
        await core.live("u", "direct_support", "thank you")
        switch.calls.clear()
        for _ in range(20):
            await core.emotional.comprehensive_emotional_assessment("u", "hello", {})
            await core.emotional.get_user_emotional_dashboard("u")
        await persistence.flush()

        assert switch.calls == {}
        await core.live("u", "direct_support", "thank you")
        assert switch.calls == {"update_strategies": 1}
        switch.calls.clear()
        for number in range(20):
            await core.score("u", f"m{number}")
        assert switch.calls["update_statistics"] == 20
        assert switch.calls["load_statistics"] < 20
        await persistence.detach()
