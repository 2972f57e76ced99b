"""The rule by which outcomes teach, and how far what was learned may be trusted: for any outcomes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisper_persistence import Outcome, PatternChange, Statistics, StrategyChange

STYLES = ("gentle_check_in", "direct_support", "skill_building")
SCORES = st.one_of(st.floats(0, 1), st.sampled_from([0.3, 0.300000001, 0.599999999, 0.6, 0.699999999, 0.7]))
LESSONS = st.lists(st.tuples(st.sampled_from(STYLES), SCORES), min_size=1, max_size=25)


@given(LESSONS, st.integers(1, 5))
def test_outcomes_teach_by_the_rule_one_by_one_or_together(lessons, size):
    outcomes = [Outcome(f"u_intervention_{n}", style, score) for n, (style, score) in enumerate(lessons)]
    learned = None
    for start in range(0, len(outcomes), size):
        learned = StrategyChange("u", outcomes[start : start + size]).apply_to(learned)
    assert learned is not None
    scores = [(outcome.intervention_style, outcome.effectiveness_score) for outcome in outcomes]

    assert (learned.strategy_id, learned.communication_style) == ("u_strategy", "casual")
    assert learned.effective_approaches == tuple(dict.fromkeys(style for style, score in scores if score >= 0.7))
    assert learned.approaches_to_avoid == tuple(dict.fromkeys(style for style, score in scores if score <= 0.3))
    assert learned.support_history == tuple(outcome.history_entry() for outcome in outcomes)[-10:]
    assert (learned.interventions, learned.successes) == (len(scores), sum(score >= 0.6 for _, score in scores))


@given(st.integers(0, 10**9), st.integers(0, 1_000))
def test_confidence_in_weights_grows_with_every_adjustment_and_stays_below_one(count, more):
    few, many = (Statistics("u", adjustments=number).confidence() for number in (count, count + more))

    assert 0 <= few <= many < 1
    assert Statistics("u", adjustments=10).confidence() == 0.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_patterns_confidence_is_the_mean_of_what_was_observed(observed):
    pattern = None
    for confidence in observed:
        pattern = PatternChange("u", "p", confidence).apply_to(pattern)
    assert pattern is not None

    assert pattern.frequency == len(observed)
    assert 0 <= pattern.confidence() <= 1
    assert pattern.confidence() == pytest.approx(sum(observed) / len(observed), abs=1e-8)
