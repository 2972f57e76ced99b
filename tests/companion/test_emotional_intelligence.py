"""The plan's class: state kept and used, offers made and judged, and outages that nobody notices."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from whisper_persistence import (
    AsyncStore,
    Durability,
    Outcome,
    OutcomeQuery,
    Receipt,
    StorageRefusedError,
    Strategy,
    StrategyChange,
    ValidationError,
    hookimpl,
)
from whisper_persistence.companion import (
    EmotionalIntelligence,
    InterventionStyle,
    Knowledge,
    ReplyScore,
    SupportIntervention,
    SupportTiming,
    SupportType,
    score_reply,
)
from whisper_persistence.companion.strategy_page import StrategyPage

PRIVATE = "nobody-may-read-this"
NOW = datetime(2025, 3, 1, tzinfo=UTC)
OPEN_DOORS: dict[str, Any] = {"min_intervention_gap": timedelta(0), "max_daily_interventions": 1_000}


async def learn(mind: EmotionalIntelligence, user_id: str, reply: str = "thank you", **needs: Any) -> Any:
    offered = await mind.create_support_intervention(user_id, needs)
    delivered = await mind.execute_intervention(offered, {"topic": "work"})
    assert delivered["delivered"]
    return await mind.track_intervention_response(offered.intervention_id, reply, {"mood": "low"})


async def outcomes_of(store: AsyncStore, user_id: str) -> list[Outcome]:
    query = OutcomeQuery(user_id)
    return list((await store.load_outcomes([query])).get(query, ()))


async def test_an_outcome_is_learned_by_the_rule_and_kept_whole(store):
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    judged = await learn(mind, "u", "thank you")
    strategy = await mind.load_user_strategy("u")
    (kept,) = await outcomes_of(store, "u")

    assert (judged.effectiveness_score, judged.durability) == (0.8, Durability.DURABLE)
    assert judged.lessons_learned == ["gentle_check_in helps"]
    assert strategy is not None
    assert (strategy.strategy_id, strategy.effective_approaches) == ("u_strategy", ("gentle_check_in",))
    assert strategy.last_updated == judged.timestamp
    assert (kept.user_response, kept.session_id) == ("thank you", mind.session_id)
    assert kept.context == {"mood": "low", "topic": "work"}
    assert strategy == (await store.load_strategies(["u"]))["u"]


async def test_a_reply_that_could_not_be_judged_may_be_judged_again(store):
    asked = iter([True, False])

    def judge(reply: str) -> ReplyScore:
        if next(asked):
            raise TimeoutError
        return score_reply(reply)

    mind = EmotionalIntelligence(store, score=judge, **OPEN_DOORS)
    failed = await learn(mind, "u")
    judged = await mind.track_intervention_response(failed.intervention_id, "thank you")

    assert failed.durability is None
    assert (judged.effectiveness_score, judged.durability) == (0.8, Durability.DURABLE)


async def test_a_reply_teaches_once(store):
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    judged = await learn(mind, "u")
    again = await mind.track_intervention_response(judged.intervention_id, "thank you")
    stranger = await mind.track_intervention_response("u_intervention_77", "leave me alone")

    assert (again.durability, again.effectiveness_score) == (None, 0.8)
    assert (stranger.durability, stranger.effectiveness_score) == (None, 0.2)
    assert len(await outcomes_of(store, "u")) == 1
    assert not mind.active_interventions


async def test_the_ids_count_and_their_users_are_found_again(store):
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    await learn(mind, "a_intervention_b")
    offered = await mind.create_support_intervention("u")

    assert offered.intervention_id == "u_intervention_2"
    assert [s.user_id for s in (await mind.load_all_user_strategies()).values()] == ["a_intervention_b"]


async def test_offers_follow_what_the_bot_decides_itself(store):
    mind = EmotionalIntelligence(store)
    needs = {"intervention_style": "humour", "timing": "within_hour", "message_content": PRIVATE, "priority_level": 9}
    offered = await mind.create_support_intervention("u", {**needs, "support_type": "preventive"})

    assert (offered.intervention_style, offered.timing) == ("humour", SupportTiming.WITHIN_HOUR)
    assert (offered.support_type, offered.priority_level) == (SupportType.PREVENTIVE, 5)
    assert PRIVATE not in repr(offered)
    with pytest.raises(ValidationError, match="SupportTiming"):
        await mind.create_support_intervention("u", {"timing": "never"})


@pytest.mark.parametrize(("style", "start"), [("formal", "If I may"), ("gentle", "Take your time"), ("pirate", "How")])
async def test_the_learned_style_words_the_message(store, style, start):
    mind = EmotionalIntelligence(store)
    await mind.update_user_strategy(StrategyChange("u", communication_style=style))

    assert (await mind.create_support_intervention("u")).message_content.startswith(start)


def offer(**fields: Any) -> SupportIntervention:
    usual: dict[str, Any] = {
        "intervention_id": "u_intervention_1",
        "support_type": "reactive",
        "intervention_style": "direct_support",
        "timing": "immediate",
        "message_content": "hello",
        "rationale": "",
        "expected_outcome": "",
        "success_metrics": [],
        "fallback_options": [],
        "priority_level": 3,
    }
    return SupportIntervention(**{**usual, **fields})


@pytest.mark.parametrize(
    ("fields", "context", "reason"),
    [
        ({"timing": SupportTiming.NEXT_INTERACTION}, {}, "wait_for_next_interaction"),
        ({"timing": "next_interaction"}, {"is_interaction": True}, None),
        ({"timing": "next_interaction", "support_type": "crisis"}, {}, None),
        ({"priority_level": 3}, {"user_busy": True}, "user_busy"),
        ({"priority_level": 4}, {"user_busy": True}, None),
    ],
)
async def test_an_offer_waits_for_its_moment(store, fields, context, reason):
    result = await EmotionalIntelligence(store).execute_intervention(offer(**fields), context)

    assert result["delivered"] is (reason is None)
    assert result.get("reason") == reason
    keys = {"delivered", "reason", "suggested_delay", "intervention_id"}
    assert reason is None or result.keys() == keys


async def test_offers_keep_their_distance(store):
    moment = [NOW]
    mind = EmotionalIntelligence(store, now=lambda: moment[0])
    reasons: list[str | None] = []
    for hours in (0, 1, 2, 2, 1, 19):
        moment[0] += timedelta(hours=hours)
        reasons.append((await mind.execute_intervention(offer())).get("reason"))
    urgent = await mind.execute_intervention(offer(priority_level=5))

    soon = "too_soon_after_last_intervention"
    assert reasons == [None, soon, None, None, soon, None]
    assert urgent["delivered"]
    expected = {"delivered", "intervention_id", "message_content", "delivery_method", "delivery_timestamp"}
    assert urgent.keys() == {*expected, "expected_response_timeframe", "tracking_metrics", "fallback_plan"}


async def test_a_fourth_offer_of_a_day_is_refused(store):
    mind = EmotionalIntelligence(store, min_intervention_gap=timedelta(0))
    results = [await mind.execute_intervention(offer()) for _ in range(4)]

    assert [result.get("reason") for result in results] == [None, None, None, "daily_limit_reached"]


async def test_where_no_offer_a_day_is_allowed_each_is_refused_unless_it_is_urgent(store):
    mind = EmotionalIntelligence(store, max_daily_interventions=0)
    results = [await mind.execute_intervention(offer(priority_level=level)) for level in (3, 5)]

    assert (results[0].get("reason"), results[0].get("suggested_delay")) == ("daily_limit_reached", timedelta(days=1))
    assert results[1]["delivered"]


async def test_offers_that_nobody_answers_leave_in_the_end(store):
    mind = EmotionalIntelligence(store, max_active_interventions=10, **OPEN_DOORS)
    for number in range(30):
        await mind.execute_intervention(offer(intervention_id=f"u{number}_intervention_{number}"))

    assert list(mind.active_interventions) == [f"u{number}_intervention_{number}" for number in range(20, 30)]


@pytest.mark.parametrize("nasty", [None, "", 5, object()])
async def test_what_is_not_an_offer_is_answered_not_raised(store, nasty):
    mind = EmotionalIntelligence(store)
    result = await mind.execute_intervention(nasty)
    judged = await mind.track_intervention_response("u_intervention_1", nasty) if nasty != "" else None

    assert result["delivered"] is False
    assert result.keys() == {"delivered", "error", "intervention_id"}
    assert judged is None or (judged.outcome_type, judged.effectiveness_score, judged.follow_up_needed) == (
        "error",
        0.0,
        True,
    )


@pytest.mark.parametrize("reply", ["thank you\0", "thank you \ud800", "thank you " * 200_000, "", "ünï 👩‍👩‍👧"])
async def test_any_reply_can_be_learned_from(store, reply):
    judged = await learn(EmotionalIntelligence(store), "u", reply)

    assert judged.durability is Durability.DURABLE
    assert len(await outcomes_of(store, "u")) == 1


async def test_the_dashboard_says_what_is_known(store, switch):
    switch.down = True
    unknown = await EmotionalIntelligence(store).get_user_emotional_dashboard("u")
    switch.down = False
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    empty = await mind.get_user_emotional_dashboard("u")
    for reply in ("thank you", "leave me alone", "thank you"):
        await learn(mind, "u", reply, intervention_style=InterventionStyle.SKILL_BUILDING)
    board = await mind.get_user_emotional_dashboard("u")

    assert (unknown["status"], empty["status"], board["status"]) == ("unknown", "no_data", "active")
    assert board["personalization"]["effective_approaches"] == ["skill_building"]
    assert board["personalization"]["approaches_to_avoid"] == ["skill_building"]
    assert board["metrics"] == {"interventions": 3, "successes": 2, "success_rate": 2 / 3, "effectiveness": 0.6}
    assert board["persistence"] == {"knowledge": "loaded", "waiting": 0}


async def test_all_strategies_are_loaded_page_by_page(store):
    await store.save_strategies([Strategy(f"u{number}", "s") for number in range(1_000)])
    await store.save_strategies([Strategy(f"v{number}", "s") for number in range(500)])

    assert len(await EmotionalIntelligence(store).load_all_user_strategies()) == 1_500


async def test_an_outage_is_survived_in_memory_and_made_good(store, switch):
    await store.update_strategies([StrategyChange("u", [Outcome("i", "humour", 0.9)], communication_style="gentle")])
    switch.down = True
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    judged = [await learn(mind, user, reply) for user in ("u", "v") for reply in ("thank you", "leave me alone")]
    during = await mind.load_user_strategy("u")
    seen = await mind.load_all_user_strategies()
    knowledge = mind.knowledge("u")
    switch.down = False
    after = await mind.load_user_strategy("u")

    assert {each.durability for each in judged} == {Durability.VOLATILE}
    assert knowledge is Knowledge.UNKNOWN
    assert during is not None
    assert during.effective_approaches == ("gentle_check_in",)
    assert seen.keys() == {"u", "v"}
    assert after is not None
    assert after.effective_approaches == ("humour", "gentle_check_in")
    assert (after.communication_style, after.interventions) == ("gentle", 3)
    assert mind.knowledge("u") is Knowledge.LOADED
    assert after == (await store.load_strategies(["u"]))["u"]
    assert (await store.load_strategies(["v"]))["v"].interventions == 2


async def test_a_write_whose_answer_was_lost_counts_once(store, switch):
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    await mind.load_user_strategy("u")
    switch.answers_lost = True
    lost = await learn(mind, "u")
    switch.answers_lost = False
    await learn(mind, "u")
    strategy = await mind.load_user_strategy("u")

    assert lost.durability is Durability.VOLATILE
    assert strategy is not None
    assert strategy.interventions == 2
    assert strategy == (await store.load_strategies(["u"]))["u"]


@pytest.mark.parametrize("save_between", [False, True])
async def test_the_same_change_twice_counts_once(store, save_between):
    mind = EmotionalIntelligence(store)
    await mind.recommend_approach("u")
    change = StrategyChange("u", [Outcome("i", "humour", 0.9)])
    await mind.update_user_strategy(change)
    await mind.recommend_approach("u")
    if save_between:
        await mind.save_user_strategy((await store.load_strategies(["u"]))["u"])
    await mind.update_user_strategy(change)
    strategy = await mind.load_user_strategy("u")

    assert strategy == (await store.load_strategies(["u"]))["u"]
    assert (strategy.interventions, len(strategy.support_history)) == (1, 1)
    assert (await mind.get_user_emotional_dashboard("u"))["metrics"]["interventions"] == 1


def test_a_change_in_a_journal_is_known_although_its_revision_is_not():
    page = StrategyPage()
    page.know(None, 0.0)
    page.recent = ()
    for number in range(2):
        change = StrategyChange("u", [Outcome("i", "humour", 0.9)])
        page.confirm(change, Receipt(Durability.JOURNALED, 0))
        strategy = page.view(())

        assert strategy is not None
        assert strategy.interventions == len(page.outcomes(())) == number + 1


async def test_many_who_talk_during_an_outage_ask_a_dead_store_once_each_and_catch_up_together(store, switch):
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    switch.down = True
    await asyncio.gather(*[learn(mind, f"u{number}") for number in range(50)])
    switch.down = False
    switch.calls.clear()
    await learn(mind, "u0")

    assert switch.calls["update_strategies"] == 3, "one that is tried, the others together, and the new one"
    assert await mind.flush() == 0
    assert len(await mind.load_all_user_strategies()) == 50


async def test_the_first_write_that_succeeds_sends_what_waits_of_others(store, switch):
    mind = EmotionalIntelligence(store)
    await mind.load_user_strategy("w")
    switch.down = True
    await mind.update_user_strategy(StrategyChange("u", effective_approaches=("a",)))
    switch.down = False
    await mind.update_user_strategy(StrategyChange("w", effective_approaches=("a",)))

    assert (await store.load_strategies(["u", "w"])).keys() == {"u", "w"}


@attrs.define(eq=False)
class Dawdling:
    """A driver whose answers to reads arrive only when they are let go."""

    answered: threading.Event = attrs.field(factory=threading.Event)
    let_go: threading.Event = attrs.field(factory=threading.Event)
    below: Any = None

    @hookimpl
    def open(self, below: Any, namespace: str) -> None:
        self.below = below

    @hookimpl
    def load_strategies(self, user_ids: Any) -> Any:
        answer = self.below.load_strategies(user_ids=user_ids)
        self.answered.set()
        assert self.let_go.wait(30)
        return answer


async def test_a_read_that_a_write_overtook_is_not_believed(backend):
    dawdling = Dawdling()
    async with backend.store(dawdling) as store:
        mind = EmotionalIntelligence(store)
        reading = asyncio.create_task(mind.load_user_strategy("u"))
        await asyncio.to_thread(dawdling.answered.wait, 30)
        await mind.update_user_strategy(StrategyChange("u", effective_approaches=("a",)))
        dawdling.let_go.set()
        overtaken = await reading
        strategy = await mind.load_user_strategy("u")

        assert overtaken is None
        assert strategy is not None
        assert strategy.effective_approaches == ("a",)


async def test_the_write_of_a_cancelled_caller_is_seen(store):
    mind = EmotionalIntelligence(store)
    await mind.load_user_strategy("u")
    writing = asyncio.create_task(mind.update_user_strategy(StrategyChange("u", effective_approaches=("a",))))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    await store.update_strategies([StrategyChange("u", effective_approaches=("b",))])
    strategy = await mind.load_user_strategy("u")

    assert writing.cancelled()
    assert strategy is not None
    assert strategy.effective_approaches == ("a", "b")


async def test_what_waits_is_bounded_and_the_newest_stay(store, switch):
    mind = EmotionalIntelligence(store, max_pending=5, **OPEN_DOORS)
    switch.down = True
    for number in range(20):
        await mind.update_user_strategy(StrategyChange(f"u{number}", effective_approaches=("a",)))
    waiting = await mind.flush()
    switch.down = False

    assert (waiting, mind.pending, mind.lost) == (5, 5, 15)
    assert await mind.flush() == 0
    assert (await mind.load_all_user_strategies()).keys() == {f"u{number}" for number in range(15, 20)}


async def test_saving_during_an_outage_wipes_nothing_unseen(store, switch):
    await store.update_strategies([StrategyChange("u", [Outcome("i", "humour", 0.9)])])
    mind = EmotionalIntelligence(store)
    switch.down = True
    receipt = await mind.save_user_strategy(Strategy("u", "u_strategy", "gentle", ("direct_support",)))
    switch.down = False
    strategy = await mind.load_user_strategy("u")

    assert receipt.durability is Durability.VOLATILE
    assert strategy is not None
    assert strategy.effective_approaches == ("humour", "direct_support")
    assert (strategy.communication_style, strategy.interventions) == ("gentle", 1)


async def test_saving_what_is_known_during_an_outage_leaves_nothing_waiting(store, switch):
    mind = EmotionalIntelligence(store)
    await mind.save_user_strategy(Strategy("u", "u_strategy", "gentle"))
    known = await mind.load_user_strategy("u")
    assert known is not None
    switch.down = True
    receipt = await mind.save_user_strategy(known)

    assert (receipt.durability, mind.pending) == (Durability.VOLATILE, 0)


async def test_a_whole_strategy_saved_is_the_one_loaded(store):
    strategy = Strategy("u", "mine", "gentle", ("a",), ("b",), {"evening": "immediate"}, {"tea": True}, ({"x": 1},))
    mind = EmotionalIntelligence(store)
    receipt = await mind.save_user_strategy(strategy)

    assert receipt.durability is Durability.DURABLE
    assert await mind.load_user_strategy("u") == strategy
    assert await EmotionalIntelligence(store).load_user_strategy("u") == strategy


async def test_what_another_process_learns_is_seen_after_a_while(store):
    mind = EmotionalIntelligence(store, refresh_after=-1)
    await mind.load_user_strategy("u")
    await EmotionalIntelligence(store).update_user_strategy(StrategyChange("u", effective_approaches=("a",)))
    strategy = await mind.load_user_strategy("u")

    assert strategy is not None
    assert strategy.effective_approaches == ("a",)


async def test_reading_while_writing_never_counts_twice(store):
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    await asyncio.gather(*[learn(mind, "u") if number % 2 else mind.load_user_strategy("u") for number in range(60)])

    assert await mind.load_user_strategy("u") == (await store.load_strategies(["u"]))["u"]


async def test_what_is_refused_for_good_keeps_nobody_else_waiting(backend, switch):
    switch.refused = "refused"
    async with backend.store(switch) as store:
        mind = EmotionalIntelligence(store)
        with pytest.raises(StorageRefusedError):
            await mind.update_user_strategy(StrategyChange("refused"))
        switch.down = True
        for user_id in ("u", "refused", "v"):
            await mind.update_user_strategy(StrategyChange(user_id, effective_approaches=("a",)))
        switch.down = False

        assert await mind.flush() == 0
        assert (await mind.load_all_user_strategies()).keys() == {"u", "v"}
        assert await mind.load_user_strategy("refused") is None


async def test_in_an_outage_whoever_waits_for_the_store_stays_at_hand(store, switch):
    switch.down = True
    mind = EmotionalIntelligence(store, max_users=2)
    for number in range(5):
        await mind.update_user_strategy(StrategyChange(f"u{number}", effective_approaches=("a",)))
    views = [await mind.load_user_strategy(f"u{number}") for number in range(5)]

    assert all(view and view.effective_approaches == ("a",) for view in views)


async def test_few_users_are_kept_at_hand_and_nobody_is_lost(store):
    mind = EmotionalIntelligence(store, max_users=3, **OPEN_DOORS)
    for number in range(10):
        await learn(mind, f"u{number}")
    everybody = [await mind.load_user_strategy(f"u{number}") for number in range(10)]

    assert all(strategy and strategy.interventions == 1 for strategy in everybody)


@pytest.mark.parametrize("down", [False, True])
async def test_illegal_changes_are_refused_and_not_kept(store, switch, down):
    mind = EmotionalIntelligence(store)
    switch.down = down
    await mind.update_user_strategy(StrategyChange("waits in an outage", communication_style="gentle"))
    with pytest.raises(ValidationError):
        await mind.update_user_strategy(StrategyChange("u", optimal_timing={"x": float("nan")}))
    with pytest.raises(ValidationError):
        await mind.save_user_strategy(attrs.evolve(Strategy("u", "s"), user_id=""))

    assert mind.pending == down
    switch.down = False
    assert await mind.flush() == mind.lost == 0


async def test_no_words_of_anybody_are_logged(store, switch, caplog):
    caplog.set_level(logging.DEBUG)
    mind = EmotionalIntelligence(store, **OPEN_DOORS)
    await learn(mind, "u", PRIVATE, message_content=PRIVATE)
    await mind.track_intervention_response("u_intervention_9", None)
    switch.down = True
    await learn(mind, "u", PRIVATE, message_content=PRIVATE)
    await mind.aclose()

    ours = [record for record in caplog.records if record.name.startswith("whisper_persistence.companion")]
    assert {getattr(record, "user_id", None) for record in ours} == {"u", None}
    assert PRIVATE not in "".join(str(vars(record)) for record in caplog.records)
