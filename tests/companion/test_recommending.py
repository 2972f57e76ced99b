"""What was learned steers the next choice."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from statistics import mean

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisper_persistence import Outcome, Strategy, StrategyChange
from whisper_persistence.companion import EmotionalIntelligence, InterventionStyle, SupportTiming, recommend

USUAL = [style.value for style in InterventionStyle if style is not InterventionStyle.CRISIS_INTERVENTION]
REPLIES = {0.9: "thank you, that helped", 0.5: "hm", 0.1: "not helpful, leave me alone, useless"}
OPEN_DOORS = {"min_intervention_gap": timedelta(0), "max_daily_interventions": 1_000}


def learned(*scores: tuple[str, float], **context: str) -> tuple[Strategy, list[Outcome]]:
    """Return the strategy and the outcomes, newest first, after scores in this order."""
    outcomes = [
        Outcome(f"u_intervention_{n}", style, score, context=context) for n, (style, score) in enumerate(scores)
    ]
    return StrategyChange("u", outcomes).apply_to(None), outcomes[::-1]


def test_nothing_known_begins_gently_and_says_so():
    advice = recommend("u", None, (), {})

    assert (advice.approach, advice.style, advice.confidence) == ("gentle_check_in", "casual", 0.0)
    assert advice.reasons == ("nothing is known about this user yet",)


def test_what_helped_comes_first():
    strategy, outcomes = learned(("gentle_check_in", 0.5), ("skill_building", 0.9))
    advice = recommend("u", strategy, outcomes, {})

    assert advice.approach == "skill_building"
    assert "skill_building helped 1 of 1 times, lately 0.90" in advice.reasons


def test_the_lists_alone_steer_where_the_history_is_lost():
    strategy = Strategy("u", "s", effective_approaches=("humour",), approaches_to_avoid=("gentle_check_in",))
    advice = recommend("u", strategy, (), {})

    assert (advice.approach, advice.confidence) == ("humour", 0.5)
    assert "avoids gentle_check_in" in advice.reasons


@given(st.lists(st.tuples(st.sampled_from(USUAL), st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])), max_size=30), st.data())
def test_what_is_avoided_is_never_proposed_unless_nothing_else_is_left(scores, data):
    strategy, outcomes = learned(*scores)
    context = data.draw(st.fixed_dictionaries({}, optional={"mood": st.just("low"), "support_urgency": st.just(4)}))
    advice = recommend("u", strategy, outcomes, context)
    only_avoided = set(strategy.approaches_to_avoid) - set(strategy.effective_approaches)

    assert advice.approach not in only_avoided or set(USUAL) <= set(strategy.approaches_to_avoid)
    assert 0 <= advice.confidence < 1
    assert advice.reasons


def test_everything_is_tried_before_a_middling_choice_becomes_a_habit():
    strategy, outcomes = learned(*[("gentle_check_in", 0.5)] * 3, ("direct_support", 0.5), ("resource_offering", 0.5))

    assert recommend("u", strategy, outcomes, {}).approach == "skill_building"


def test_all_avoided_proposes_the_least_bad_and_says_so():
    strategy, outcomes = learned(*[(style, 0.0) for style in USUAL], ("skill_building", 0.3))
    advice = recommend("u", strategy, outcomes, {})

    assert advice.approach == "skill_building"
    assert "nothing else is left: everything did not help" in advice.reasons


@pytest.mark.parametrize("crisis", [{"crisis": True}, {"support_type": "crisis"}])
def test_a_crisis_is_answered_as_one(crisis):
    strategy, outcomes = learned(*[("skill_building", 1.0)] * 5)
    advice = recommend("u", strategy, outcomes, crisis)

    assert (advice.approach, advice.timing) == ("crisis_intervention", SupportTiming.IMMEDIATE)


def test_a_crisis_style_is_never_proposed_without_a_crisis():
    strategy, outcomes = learned(*[("crisis_intervention", 1.0)] * 5)

    assert recommend("u", strategy, outcomes, {}).approach != "crisis_intervention"


@pytest.mark.parametrize(
    ("timing", "context", "expected"),
    [
        ({"gentle_check_in": "within_hour"}, {}, SupportTiming.WITHIN_HOUR),
        ({"evening": "next_interaction"}, {"time_of_day": "evening"}, SupportTiming.NEXT_INTERACTION),
        ({"preferred": "immediate"}, {"time_of_day": "noon"}, SupportTiming.IMMEDIATE),
        ({"preferred": "whenever"}, {}, SupportTiming.WITHIN_DAY),
        ({"preferred": 3}, {"support_urgency": 4}, SupportTiming.IMMEDIATE),
    ],
)
def test_learned_timing_and_style_are_respected(timing, context, expected):
    strategy = Strategy("u", "s", communication_style="gentle", optimal_timing=timing)
    advice = recommend("u", strategy, (), context)

    assert (advice.timing, advice.style) == (expected, "gentle")


def test_an_approach_wished_for_at_a_time_of_day_comes_before_one_that_is_as_good():
    strategy = Strategy("u", "s", optimal_timing={"evening": "direct_support"})

    assert recommend("u", strategy, (), {"time_of_day": "evening"}).approach == "direct_support"
    assert recommend("u", strategy, (), {"time_of_day": "noon"}).approach == "gentle_check_in"


def test_circumstances_decide_between_what_helped_there_and_elsewhere():
    evening = learned(*[("direct_support", 0.9), ("gentle_check_in", 0.1)] * 3, time_of_day="evening")[1]
    morning = learned(*[("direct_support", 0.1), ("gentle_check_in", 0.9)] * 3, time_of_day="morning")[1]
    outcomes = [outcome for pair in zip(evening, morning, strict=True) for outcome in pair]
    strategy = StrategyChange("u", outcomes[::-1]).apply_to(None)

    assert recommend("u", strategy, outcomes, {"time_of_day": "evening"}).approach == "direct_support"
    assert recommend("u", strategy, outcomes, {"time_of_day": "morning"}).approach == "gentle_check_in"


@pytest.mark.parametrize("before", [[], [("everything", 0.1)] * 12, [("everything", 0.5)] * 3], ids=len)
@pytest.mark.parametrize("now", [0.1, 0.5], ids=["refused", "ignored"])
@pytest.mark.parametrize("used", [1, 40])
@pytest.mark.parametrize("old", [USUAL[0], USUAL[-1]])
def test_a_changed_preference_is_followed_within_ten_outcomes(old, used, now, before):
    new = USUAL[USUAL.index(old) - 1]
    tried_before = [(style, score) for style in USUAL for _, score in before if style != old]
    strategy, outcomes = learned(*tried_before, *[(old, 0.9)] * used)
    is_left_for_good = new in strategy.approaches_to_avoid and now > 0.3
    for _ in range(10):
        tried = recommend("u", strategy, outcomes, {}).approach
        outcomes = [Outcome("u_intervention_1", tried, 0.9 if tried == new else now), *outcomes][:50]
        strategy = StrategyChange("u", outcomes[:1]).apply_to(strategy)

    assert recommend("u", strategy, outcomes, {}).approach == (old if is_left_for_good else new)


def test_a_preference_that_came_back_is_followed_within_ten_outcomes():
    strategy, outcomes = learned(*[("direct_support", 0.1)] * 5, *[("gentle_check_in", 0.9)] * 20)
    after = learned(*[("gentle_check_in", 0.1), ("direct_support", 0.9)] * 5)[1]
    strategy = StrategyChange("u", after[::-1]).apply_to(strategy)

    assert recommend("u", strategy, (*after, *outcomes), {}).approach == "direct_support"


@attrs.frozen
class Person:
    """Somebody whom each approach helps with a probability of its own."""

    user_id: str
    helped_by: dict[str, float]
    chance: random.Random

    @classmethod
    def of(cls, number: int) -> Person:
        chance = random.Random(number)
        liked = chance.choice(USUAL)
        return cls(f"person-{number}", {style: 0.9 if style == liked else 0.25 for style in USUAL}, chance)

    def reply(self, style: str) -> str:
        helped = self.chance.random() < self.helped_by[style]
        return REPLIES[0.9 if helped else self.chance.choice([0.5, 0.1])]


async def meet(mind: EmotionalIntelligence, person: Person, times: int) -> None:
    for _ in range(times):
        offered = await mind.create_support_intervention(person.user_id)
        await mind.execute_intervention(offered)
        await mind.track_intervention_response(offered.intervention_id, person.reply(offered.intervention_style.value))


async def test_after_fifty_outcomes_what_is_proposed_is_better_than_after_none(store):
    people, mind = [Person.of(number) for number in range(40)], EmotionalIntelligence(store, **OPEN_DOORS)

    async def quality() -> float:
        advice = [await mind.recommend_approach(person.user_id) for person in people]
        return mean(person.helped_by[each.approach] for person, each in zip(people, advice, strict=True))

    before = await quality()
    await asyncio.gather(*(meet(mind, person, 50) for person in people))
    after = await quality()
    reborn = EmotionalIntelligence(store)
    kept = [(await reborn.recommend_approach(person.user_id)).approach for person in people]

    assert before < 0.55
    assert after > before + 0.25
    assert kept == [(await mind.recommend_approach(person.user_id)).approach for person in people]
