"""The numbered cases that must hold for strategies, for the plan's class and for a bot's own class that is adopted."""

from __future__ import annotations

import asyncio
import copy
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from whisper_persistence import AsyncStore, Durability, Outcome, OutcomeQuery, Strategy, StrategyChange
from whisper_persistence.companion import EmotionalIntelligence, Knowledge, MemoryImportanceEngine, PersistentStrategies

OPEN_DOORS: dict[str, Any] = {"min_intervention_gap": timedelta(0), "max_daily_interventions": 1_000}


async def learn(mind: EmotionalIntelligence, user_id: str, reply: str = "thank you", **needs: Any) -> Any:
    offered = await mind.create_support_intervention(user_id, needs)
    await mind.execute_intervention(offered)
    return await mind.track_intervention_response(offered.intervention_id, reply)


async def outcomes_of(store: AsyncStore, user_id: str) -> list[Outcome]:
    query = OutcomeQuery(user_id, 500)
    return list((await store.load_outcomes([query])).get(query, ()))


async def test_case_01_restart_hands_on_a_strategy_equal_in_every_field(backend, new_bot):
    async with backend.store() as store:
        bot = new_bot(store)
        for number, style in enumerate(["gentle_check_in", "direct_support"] * 7):
            await bot.track_intervention_response(bot.offer("u", style), 0.7 + 0.1 if number % 2 else 0.3 - 0.1)
        bot.user_strategies["u"].optimal_timing["evening"] = "immediate"
        bot.user_strategies["u"].user_preferences.update({"tea": [1, None, {"milk": False}]})
        bot.user_strategies["u"].communication_style = "gentle"
        await bot.user_strategies.aclose()
        before = copy.deepcopy(bot.user_strategies["u"])
    async with backend.store() as store:
        bot = new_bot(store)
        assessed = await bot.comprehensive_emotional_assessment("u", "hello", {})
        board = await bot.get_user_emotional_dashboard("u")

        assert type(assessed["strategy"]) is type(before)
        assert assessed["strategy"] == before
        assert assessed["strategy"].last_updated.utcoffset() == timedelta(0)
        assert board["support_history_count"] == 10
        assert bot.active_interventions == {}


async def test_case_01_restart_of_the_plans_class(backend):
    async with backend.store() as store:
        mind = EmotionalIntelligence(store, **OPEN_DOORS)
        for reply in ["thank you", "leave me alone", "hm", "hopeless"] * 4:
            await learn(mind, "u", reply)
        await mind.update_user_strategy(StrategyChange("u", communication_style="gentle"))
        before = await mind.load_user_strategy("u")
        advice = await mind.recommend_approach("u")
    async with backend.store() as store:
        reborn = EmotionalIntelligence(store)
        first_call = await reborn.recommend_approach("u")

        assert first_call == advice
        assert first_call.style == "gentle"
        assert await reborn.load_user_strategy("u") == before
        assert dict(reborn.active_interventions) == {}


async def test_case_02_down_at_load_back_at_save_loses_nothing(backend, switch, new_bot):
    async with backend.store(switch) as store:
        bot = new_bot(store)
        for _ in range(10):
            await bot.track_intervention_response(bot.offer("u", "resource_offering"), 0.1)
        switch.down = True
        bot = new_bot(store)
        await bot.comprehensive_emotional_assessment("u", "hello", {})
        for _ in range(3):
            await bot.track_intervention_response(bot.offer("u", "gentle_check_in"), 0.9)
        switch.down = False
        await bot.track_intervention_response(bot.offer("u", "direct_support"), 0.9)
        stored = (await store.load_strategies(["u"]))["u"]
        held = bot.user_strategies["u"]
        times = [entry["timestamp"] for entry in held.support_history]

        assert stored.approaches_to_avoid == ("resource_offering",)
        assert stored.effective_approaches == ("gentle_check_in", "direct_support")
        assert held.approaches_to_avoid == ["resource_offering"]
        assert times == sorted(times)
        assert len(times) == 10
        assert held.support_history == list(stored.support_history)
        assert len(await outcomes_of(store, "u")) == 14


async def test_case_03_down_from_start_answers_as_without_us_and_recovers(backend, switch, bot_without, new_bot):
    async def live(bot: Any) -> list[Any]:
        answers: list[Any] = [await bot.get_user_emotional_dashboard("u")]
        scores = (0.9, 0.1, 0.5, 0.2)
        answers += [await bot.track_intervention_response(bot.offer("u", "skill_building"), score) for score in scores]
        answers.append(await bot.get_user_emotional_dashboard("u"))
        answers.append((await bot.comprehensive_emotional_assessment("u", "", {}))["strategy"].approaches_to_avoid)
        with pytest.raises(TypeError):
            await bot.track_intervention_response(bot.offer("u", "skill_building"), None)
        return answers

    switch.down = True
    async with backend.store(switch) as store:
        bot = new_bot(store)
        assert await live(bot) == await live(bot_without())
        switch.down = False
        await bot.get_user_emotional_dashboard("u")

        assert (await store.load_strategies(["u"]))["u"].interventions == 4


async def test_case_03_down_from_start_the_plans_class_goes_on(backend, switch):
    switch.down = True
    async with backend.store(switch) as store:
        mind = EmotionalIntelligence(store, **OPEN_DOORS)
        board, strategy = await mind.get_user_emotional_dashboard("u"), await mind.load_user_strategy("u")
        judged = await learn(mind, "u")
        saved = await mind.save_user_strategy(Strategy("v", "s"))
        updated = await mind.update_user_strategy(StrategyChange("w", communication_style="gentle"))
        advice, meanwhile = await mind.recommend_approach("u"), await mind.load_all_user_strategies()
        switch.down = False

        assert (board["status"], strategy) == ("unknown", None)
        assert {judged.durability, saved.durability, updated.durability} == {Durability.VOLATILE}
        assert advice.approach == "gentle_check_in"
        assert await mind.flush() == 0
        assert (await mind.load_all_user_strategies()).keys() == meanwhile.keys() == {"u", "v", "w"}


async def test_case_04_a_hundred_users_at_once_never_mix(backend, new_bot):
    async with backend.store() as store:
        bot, mind = new_bot(store), EmotionalIntelligence(store, **OPEN_DOORS)

        async def live(number: int) -> None:
            user, style = f"u{number}", f"style-{number}"
            for _ in range(3):
                await bot.track_intervention_response(bot.offer(user, style), 0.9)
            await learn(mind, f"m{number}", intervention_style=style)

        await asyncio.gather(*map(live, range(100)))
        stored = await mind.load_all_user_strategies()

        assert len(stored) == 200
        for user_id, strategy in stored.items():
            assert strategy.effective_approaches == (f"style-{user_id[1:]}",)
            assert strategy.interventions == (3 if user_id.startswith("u") else 1)


async def longest_stall(work: Any) -> float:
    """Return the longest time that the loop was away while some work was done, in seconds."""
    task, longest = asyncio.ensure_future(work), 0.0
    while not task.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
    await task
    return longest


async def test_case_05_a_slow_database_never_stalls_the_loop(backend, switch, new_bot):
    switch.seconds = 0.5
    async with backend.store(switch) as store:
        stalls: list[float] = []
        while len(stalls) < 5 and min(stalls, default=1) > 0.02:  # other processes may hold the processor
            bot, mind = new_bot(store), EmotionalIntelligence(store, **OPEN_DOORS)
            first = bot.track_intervention_response(bot.offer("u", "direct_support"), 0.9)
            scored = MemoryImportanceEngine(store).calculate_memory_importance("m", "w", {"content": "tea"}, [])
            stalls.append(await longest_stall(asyncio.gather(first, learn(mind, "v"), scored)))

        idle = await longest_stall(asyncio.sleep(1.0)) if min(stalls) >= 0.02 else 0.0
        assert min(stalls) < max(0.02, 2 * idle)
        assert threading.get_ident() not in switch.threads


async def test_case_06_ids_repeat_after_a_restart_and_both_are_kept(backend, new_bot):
    for _ in range(2):
        async with backend.store() as store:
            bot, mind = new_bot(store), EmotionalIntelligence(store, **OPEN_DOORS)
            await bot.track_intervention_response(bot.offer("u", "direct_support"), 0.9)
            await learn(mind, "v")
            kept = await outcomes_of(store, "u"), await outcomes_of(store, "v")

    assert [outcome.intervention_id for outcome in kept[0]] == ["u_intervention_1"] * 2
    assert [outcome.intervention_id for outcome in kept[1]] == ["v_intervention_1"] * 2
    for outcomes in kept:
        assert len({outcome.outcome_id for outcome in outcomes}) == 2
        assert len({outcome.session_id for outcome in outcomes} - {""}) == 2


async def test_case_07_a_new_users_first_write_may_be_anything(store):
    mind = EmotionalIntelligence(store)
    receipt = await mind.update_user_strategy(StrategyChange("u", optimal_timing={"evening": "immediate"}))

    assert receipt.durability is Durability.DURABLE


async def test_case_08_two_processes_learn_for_one_user_and_both_count(backend, new_bot):
    async with backend.store() as one, backend.store() as other:
        bots, minds = [new_bot(one), new_bot(other)], [EmotionalIntelligence(s, **OPEN_DOORS) for s in (one, other)]
        for bot, mind in zip(bots, minds, strict=True):
            await bot.get_user_emotional_dashboard("u")
            await mind.load_user_strategy("v")
        for number in range(6):
            await bots[number % 2].track_intervention_response(bots[number % 2].offer("u", f"style-{number}"), 0.9)
            await learn(minds[number % 2], "v", intervention_style=f"style-{number}")
        stored = await one.load_strategies(["u", "v"])

        for user_id in ("u", "v"):
            assert stored[user_id].effective_approaches == tuple(f"style-{number}" for number in range(6))
            assert stored[user_id].interventions == len(await outcomes_of(one, user_id)) == 6


async def test_case_09_users_whose_ids_begin_alike_never_mix(store, new_bot):
    bot, mind = new_bot(store), EmotionalIntelligence(store, **OPEN_DOORS)
    for user in ("u", "u_1"):
        await bot.track_intervention_response(bot.offer(user, f"bot-{user}"), 0.9)
    for user in ("u", "u_1", "u_1_intervention"):
        await learn(mind, user, intervention_style=f"mind-{user}")
    await store.erase_users(["u"])

    assert await mind.load_user_strategy("u") is None
    stored = await store.load_strategies(["u", "u_1", "u_1_intervention"])
    assert {user: strategy.effective_approaches for user, strategy in stored.items()} == {
        "u_1": ("bot-u_1", "mind-u_1"),
        "u_1_intervention": ("mind-u_1_intervention",),
    }


async def test_case_14_what_was_erased_stays_erased(backend, switch, new_bot):
    async with backend.store(switch) as store:
        bot, mind = new_bot(store), EmotionalIntelligence(store, **OPEN_DOORS)
        await bot.track_intervention_response(bot.offer("u", "direct_support"), 0.9)
        await learn(mind, "v")
        switch.down = True
        await bot.track_intervention_response(bot.offer("u", "direct_support"), 0.9)
        await learn(mind, "v")
        switch.down = False
        await store.erase_users(["u", "v"])
        await bot.user_strategies.aclose()
        await mind.aclose()
    async with backend.store() as store:
        assert await store.load_strategies(["u", "v"]) == {}
        assert await outcomes_of(store, "u") == await outcomes_of(store, "v") == []


async def test_case_14_an_erase_by_another_process_is_not_undone(store, backend):
    mind, other = EmotionalIntelligence(store, **OPEN_DOORS), EmotionalIntelligence(store, **OPEN_DOORS)
    await learn(other, "u", intervention_style="direct_support")
    await mind.load_user_strategy("u")
    async with backend.store() as elsewhere:
        await elsewhere.erase_users(["u"])
    await learn(mind, "u", intervention_style="skill_building")

    assert await mind.load_user_strategy("u") == (await store.load_strategies(["u"]))["u"]
    assert (await mind.get_user_emotional_dashboard("u"))["personalization"]["effective_approaches"] == [
        "skill_building"
    ]


async def test_case_16_long_ids_and_long_messages(store, new_bot):
    user, message = "u" * 120, "ä" * 1_981 + " thank you, honest."
    bot, mind = new_bot(store), EmotionalIntelligence(store, **OPEN_DOORS)
    await bot.track_intervention_response(bot.offer(user, "direct_support"), 0.9)
    judged = await learn(mind, user, message)
    strategy = await mind.load_user_strategy(user)
    newest = (await outcomes_of(store, user))[0]

    assert judged.durability is Durability.DURABLE
    assert strategy is not None
    assert strategy.strategy_id == f"{user}_strategy"
    assert newest.user_response == message


PROGRAM = """
import asyncio, sys
from whisper_persistence import AsyncStore, StrategyChange
from whisper_persistence.companion import EmotionalIntelligence, MemoryImportanceEngine

async def main():
    async with AsyncStore.from_settings(url=sys.argv[1]) as store:
        learned = await EmotionalIntelligence(store).update_user_strategy(StrategyChange("u"))
        print(learned.durability.value, (await MemoryImportanceEngine(store).update_memory_patterns("u", "tea")).value)

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_case_17_in_an_empty_directory_the_tables_are_made(name, tmp_path, request):
    url = "sqlite:///memory.db" if name == "sqlite" else request.getfixturevalue("postgres_url")
    command = [sys.executable, "-P", "-W", "error", "-c", PROGRAM, url]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)  # noqa: S603

    assert (done.stdout, done.stderr) == ("durable durable\n", "")
    assert (tmp_path / "memory.db").exists() == (name == "sqlite")


async def test_case_18_unchanged_means_no_writes(store, switch, new_bot):
    bot = new_bot(store)
    await bot.track_intervention_response(bot.offer("u", "direct_support"), 0.9)
    switch.calls.clear()
    for _ in range(5):
        await bot.get_user_emotional_dashboard("u")
        await bot.comprehensive_emotional_assessment("u", "", {})
        await bot.track_intervention_response("u_intervention_99", 0.9)
        await bot.user_strategies.flush_all()
    await bot.user_strategies.aclose()

    assert not switch.calls


async def test_case_18_one_outcome_costs_one_write_and_a_hundred_share_one(store, switch):
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    await mind.load_user_strategy("u")
    await mind.recommend_approach("u")
    offered = [await mind.create_support_intervention(f"u{n}") for n in range(100)]
    offered += [await mind.create_support_intervention("u") for n in range(101)]
    for each in offered:
        await mind.execute_intervention(each)
    switch.calls.clear()
    await mind.track_intervention_response(offered[-1].intervention_id, "thank you")
    await mind.load_user_strategy("u")
    await mind.recommend_approach("u")
    alone = dict(switch.calls)
    many: list[dict[str, int]] = []
    for first in (0, 100):
        switch.calls.clear()
        ids = [each.intervention_id for each in offered[first : first + 100]]
        judged = await asyncio.gather(*[mind.track_intervention_response(each, "thank you") for each in ids])
        many.append(dict(switch.calls))
        assert {each.durability for each in judged} == {Durability.DURABLE}

    assert alone == {"update_strategies": 1}
    assert many == [{"update_strategies": 1}] * 2


async def test_case_18_adoption_costs_one_write_an_outcome_and_a_hundred_share_one(store, switch, new_bot):
    bot = new_bot(store)
    await bot.get_user_emotional_dashboard("u")
    switch.calls.clear()
    for _ in range(10):
        await bot.track_intervention_response(bot.offer("u", "direct_support"), 0.8)

    assert dict(switch.calls) == {"update_strategies": 10}
    assert bot.user_strategies.knowledge("u") is Knowledge.LOADED
    assert isinstance(bot.user_strategies, PersistentStrategies)

    users = [f"u{number}" for number in range(100)]
    await asyncio.gather(*map(bot.get_user_emotional_dashboard, users))
    switch.calls.clear()
    await asyncio.gather(*[bot.track_intervention_response(bot.offer(u, "direct_support"), 0.8) for u in users])

    assert dict(switch.calls) == {"update_strategies": 1}
