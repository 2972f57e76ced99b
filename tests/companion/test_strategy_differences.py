"""Two states of a strategy, the changes between them, and how those join what is stored."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisper_persistence import Strategy, StrategyChange, ValidationError
from whisper_persistence.companion import SupportStrategy
from whisper_persistence.companion.histories import in_time_order
from whisper_persistence.companion.history_outcomes import learned
from whisper_persistence.companion.strategy_differences import advance, differences, fold, merge
from whisper_persistence.companion.strategy_shapes import blank, to_record, to_value, write_into
from whisper_persistence.validation import validate

START = datetime(2025, 3, 1, tzinfo=UTC)
NAMES = st.sampled_from(["gentle_check_in", "direct_support", "humour", "", "ä\u202e", "a" * 100])
TABLES = st.dictionaries(NAMES, st.one_of(st.integers(-9, 9), st.text(max_size=3), st.none()), max_size=3)


def entry(minute: int, score: float = 0.8, style: str = "gentle_check_in", **more: Any) -> dict[str, Any]:
    return {
        "intervention_id": f"u_intervention_{minute}",
        "intervention_style": style,
        "effectiveness_score": score,
        "outcome_type": "successful",
        "timestamp": (START + timedelta(minutes=minute)).isoformat(),
        **more,
    }


ENTRIES = st.one_of(
    st.builds(entry, st.integers(0, 30), st.sampled_from([0, 0.1 + 0.2, 0.3, 0.5, 0.69999999999, 0.7, 1]), NAMES),
    st.builds(entry, st.integers(0, 30), mood=st.just("low")),
)
VALUES = st.builds(
    SupportStrategy,
    st.sampled_from(["u_strategy", "mine"]),
    user_preferences=TABLES,
    effective_approaches=st.lists(NAMES, max_size=4),
    approaches_to_avoid=st.lists(NAMES, max_size=4),
    optimal_timing=TABLES,
    communication_style=st.sampled_from(["casual", "gentle"]),
    support_history=st.lists(ENTRIES, max_size=12),
    last_updated=st.integers(0, 60).map(lambda minute: START + timedelta(minutes=minute)),
)


def content(record: Strategy) -> dict[str, Any]:
    left_out = ("interventions", "successes", "effectiveness_sum", "last_updated", "support_history")
    return {name: value for name, value in attrs.asdict(record).items() if name not in left_out}


@given(VALUES)
def test_a_new_user_is_stored_as_held(value):
    held = to_record(value, blank("u"))
    stored = fold(None, differences(None, held))

    assert content(stored) == content(held)
    assert len(stored.support_history) == len(held.support_history)
    assert stored.last_updated == held.last_updated
    assert differences(stored, to_record(value, stored)) == []


@given(VALUES, VALUES)
def test_what_changed_leads_from_one_state_to_the_other(first, second):
    before = fold(None, differences(None, to_record(first, blank("u"))))
    after = to_record(second, before)
    folded = fold(before, differences(before, after))

    assert content(folded) == content(after)
    assert folded.last_updated == max(before.last_updated, after.last_updated)
    assert differences(folded, folded) == []


@given(VALUES, VALUES)
def test_joining_loses_nothing_of_either_side(held, stored_value):
    stored = fold(None, differences(None, to_record(stored_value, blank("u"))))
    local = to_record(held, blank("u"))
    joined = fold(stored, merge(stored, differences(None, local, keep_style=True)))
    newer = local if local.last_updated >= stored.last_updated else stored

    assert set(joined.effective_approaches) >= {*stored.effective_approaches, *local.effective_approaches}
    assert set(joined.approaches_to_avoid) >= {*stored.approaches_to_avoid, *local.approaches_to_avoid}
    assert joined.communication_style == newer.communication_style
    assert joined.user_preferences.keys() == stored.user_preferences.keys() | local.user_preferences.keys()
    assert all(joined.user_preferences[key] == item for key, item in newer.user_preferences.items())
    assert len(joined.support_history) <= 10
    assert list(joined.support_history) == list(in_time_order(joined.support_history))


def test_joined_histories_keep_the_newest_ten_of_both():
    old, new = [entry(minute) for minute in range(0, 20, 2)], [entry(minute) for minute in range(1, 15, 2)]
    stored = fold(None, differences(None, to_record(SupportStrategy("u_strategy", support_history=old), blank("u"))))
    local = to_record(SupportStrategy("u_strategy", support_history=new), blank("u"))
    joined = merge(stored, differences(None, local))

    minutes = sorted([*range(0, 20, 2), *range(1, 15, 2)])[-10:]
    kept = [item["intervention_id"] for item in fold(stored, joined).support_history]

    assert kept == [f"u_intervention_{minute}" for minute in minutes]
    assert len({outcome.outcome_id for change in joined for outcome in change.outcomes}) == 7


def test_the_same_data_twice_counts_once():
    value = to_record(SupportStrategy("u_strategy", support_history=[entry(1), entry(2)]), blank("u"))
    first, again = differences(None, value), differences(None, value)
    stored = fold(None, first)

    assert [o.outcome_id for c in first for o in c.outcomes] == [o.outcome_id for c in again for o in c.outcomes]
    assert fold(stored, merge(stored, again)).support_history == stored.support_history


def test_more_keys_than_one_change_may_take_away_are_taken_away_by_several():
    many = {f"key {number}": number for number in range(2_500)}
    before = attrs.evolve(blank("u"), user_preferences={**many, "k" * 5_000: 1}, optimal_timing={"evening": "late"})
    after = attrs.evolve(blank("u"), user_preferences={"key 7": 0}, communication_style="gentle", last_updated=START)
    changes = differences(before, after)
    for change in changes:
        validate(change)

    assert len(changes) == 3
    assert content(fold(before, changes)) == content(after)


@pytest.mark.parametrize(("was", "now"), [(1, True), (0, False), (1, 1.0), ([1], [True]), ({"a": 0}, {"a": False})])
@pytest.mark.parametrize("field", ["user_preferences", "mood"])
def test_a_truth_value_is_no_number(field, was, now):
    before = to_record({field: {"x": was}, "last_updated": START}, blank("u"))
    value = to_value(before, dict)
    assert to_record(value, before) is before
    value[field] = {"x": now}
    after = to_record(value, before)
    (change,) = differences(before, after)
    folded = fold(before, [change])

    assert repr(to_value(folded, dict)[field]) == repr({"x": now})
    assert differences(folded, to_record(value, folded)) == []
    assert repr(write_into(to_value(before, dict), folded)[field]) == repr({"x": now})


STEPS = st.lists(st.tuples(ENTRIES, st.integers(-5, 90), st.sampled_from([None, "humour"])), min_size=1, max_size=3)


@given(VALUES, STEPS)
def test_what_outcomes_explain_is_told_as_the_long_way_tells_it(value, steps):
    before = fold(None, differences(None, to_record(value, blank("u"))))
    value = write_into(value, before)
    for new, minutes, style in steps:
        value.support_history = [*value.support_history, new][-10:]
        value.last_updated = START + timedelta(minutes=minutes)
        value.effective_approaches += [style] if style and style not in value.effective_approaches else []
    told = learned(before, value)
    changes, state = advance(before, to_record(value, before))

    assert told is None or (told[1], without_id(told[0])) == (state, without_id(changes[0]))
    assert told is None or len(changes) == 1


def without_id(change: StrategyChange) -> StrategyChange:
    return attrs.evolve(change, change_id="any")


@pytest.mark.parametrize("score", [0.1, 0.5, 0.9])
def test_an_outcome_learned_by_the_rule_is_explained_by_itself(score):
    value = SupportStrategy("u_strategy", last_updated=START)
    before = fold(None, differences(None, to_record(value, blank("u"))))
    value.support_history.append(entry(1, score))
    value.last_updated = START + timedelta(minutes=2)
    if score == 0.9:
        assert learned(before, value) is None  # the rule would have added the style, and the bot did not
        value.effective_approaches.append("gentle_check_in")
    if score == 0.1:
        value.approaches_to_avoid.append("gentle_check_in")
    told = learned(before, value)

    assert told is not None
    assert [outcome.effectiveness_score for outcome in told[0].outcomes] == [score]
    assert to_record(value, told[1]) is told[1]


def test_a_new_entry_is_an_outcome_and_an_unusual_one_stays_as_it_is():
    odd = [{"note": "no score"}, entry(3, mood="low"), {**entry(4), "timestamp": "2025-03-01T00:00:00"}]
    value = SupportStrategy("u_strategy", effective_approaches=["gentle_check_in"])
    value.support_history = [entry(1, 0.7 + 0.1), *odd]
    (change,) = differences(None, to_record(value, blank("u")))

    assert [outcome.effectiveness_score for outcome in change.outcomes] == [0.8]
    assert len(change.support_history) == 3


def test_a_style_that_the_rule_would_add_and_the_bot_did_not_is_taken_away_again():
    value = SupportStrategy("u_strategy", support_history=[entry(1, 0.9)])
    held = to_record(value, blank("u"))

    assert fold(None, differences(None, held)).effective_approaches == ()


@dataclasses.dataclass(frozen=True)
class Frozen:
    strategy_id: str
    support_history: tuple[Any, ...]
    mood: str = "calm"


class Plain:
    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


@pytest.mark.parametrize("kind", [SupportStrategy, Frozen, dict, Plain, Strategy])
def test_any_shape_comes_back_equal(kind):
    held = to_record(SupportStrategy("mine", support_history=[entry(1)]), blank("u"))
    record = attrs.evolve(fold(None, differences(None, held)), extra={"strategy_id": "mine", "mood": "low"})
    value = to_value(record, kind)

    assert type(value) is kind
    assert to_record(value, record) == record
    assert to_record(to_value(record, kind), record) == record


def test_fields_that_a_class_does_not_have_are_kept_and_those_it_has_beyond_ours_travel():
    record = attrs.evolve(blank("u"), extra={"mood": "low", "other": 1}, communication_style="gentle")
    value = to_value(record, Frozen)
    assert value.mood == "low"

    changed = to_record(dataclasses.replace(value, mood="high"), record)
    assert changed.extra == {"mood": "high", "other": 1}
    assert changed.communication_style == "gentle"


def test_what_can_be_changed_is_changed_in_place():
    value = SupportStrategy("u_strategy", effective_approaches=["a"])
    held = value.effective_approaches
    record = attrs.evolve(to_record(value, blank("u")), effective_approaches=("a", "b"))

    assert write_into(value, record) is value
    assert held == ["a", "b"]


def test_what_cannot_be_changed_is_replaced():
    value = Frozen("u_strategy", ())
    written = write_into(value, attrs.evolve(blank("u"), strategy_id="other"))

    assert (value.strategy_id, written.strategy_id) == ("u_strategy", "other")


@pytest.mark.parametrize(
    "bad", [{"mood": object()}, {"last_updated": "soon"}, {"last_updated": 3}, {"effective_approaches": [["x"]]}]
)
def test_what_is_not_json_is_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        to_record(bad, blank("u"))


def test_none_and_naive_times_are_understood():
    held = to_record({"effective_approaches": None, "last_updated": datetime(2025, 3, 1)}, blank("u"))

    assert held.effective_approaches == ()
    assert held.last_updated == START
