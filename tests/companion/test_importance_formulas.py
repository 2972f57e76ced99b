"""The six factors, the sum, decay, reasons and learning: ranges, directions, and examples worked out by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisper_persistence.companion import MemoryImportanceEngine
from whisper_persistence.companion import importance_factors as factors
from whisper_persistence.companion import importance_learning as learning
from whisper_persistence.companion import importance_reading as reading
from whisper_persistence.companion import importance_scoring as scoring
from whisper_persistence.companion import importance_words as words
from whisper_persistence.records import Statistics, StatisticsChange
from whisper_persistence.records.memories import BASE_WEIGHTS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = list(BASE_WEIGHTS)

unit = st.floats(0, 1)
measured = st.fixed_dictionaries(dict.fromkeys(NAMES, unit))
vocabulary = st.sampled_from([*words.PERSONAL_WORDS, *words.GOAL_WORDS, *words.DISCLOSURE_WORDS, "tea", "rain", ""])
texts = st.lists(vocabulary, max_size=40).map(" ".join) | st.text(max_size=80).map(str.lower)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
keys = ["content", "text", "timestamp", "topic", "emotional_context", "metadata", "id", "user_message", "access_count"]
memories = st.dictionaries(st.sampled_from(keys), anything, max_size=6)


def memory(content: str = "", **more: Any) -> dict[str, Any]:
    return {"content": content, **more}


def measure(item: dict[str, Any], *history: dict[str, Any], access: float = 0.1) -> dict[str, float]:
    return scoring.measure(item, history, access, NOW)


def score(values: dict[str, float], weights: dict[str, float] | None = None) -> Any:
    return scoring.score("u", "m", values, weights or dict(BASE_WEIGHTS), NOW)


def test_the_word_lists_have_the_lengths_they_should_and_hold_nothing_twice() -> None:
    lists = [words.PERSONAL_WORDS, words.DISCLOSURE_WORDS, words.GOAL_WORDS, words.MILESTONE_PHRASES]

    assert [len(members) for members in lists] == [19, 11, 11, 20]
    assert all(len(set(members)) == len(members) for members in lists)
    assert all(word == word.lower().strip() and word for members in lists for word in members)
    assert words.POSITION_WORDS == ("first", "last", "final", "initial", "beginning", "start", "end")
    assert {"joy", "sadness", "anger", "fear", "surprise", "love", "grief"} == words.STRONG_EMOTIONS


# Emotional intensity


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"intensity": 0.5}, 0.5),
        ({"intensity": 0.5, "emotion": "Joy "}, 0.65),
        ({"intensity": 0.5, "emotion": "boredom"}, 0.5),
        ({"intensity": 0.5, "triggered": True}, 0.6),
        ({"intensity": 0.5, "resolved": True}, 0.7),
        ({"intensity": 0.5, "echoes": 3}, 0.65),
        ({"intensity": 0.5, "echoes": 5}, 0.75),
        ({"intensity": 0.5, "echoes": 50}, 0.75),
        ({"intensity": 0.4, "emotion": "fear", "triggered": True, "resolved": True, "echoes": 1}, 0.96096),
        ({"intensity": 0.9, "emotion": "grief"}, 1.0),
        ({"intensity": 0.0, "emotion": "grief", "triggered": True}, 0.0),
    ],
)
def test_emotional_intensity_by_hand(arguments: dict[str, Any], expected: float) -> None:
    assert factors.emotional_intensity(**arguments) == pytest.approx(expected)


@given(unit, st.sampled_from(["joy", "calm", ""]), st.booleans(), st.booleans(), st.integers(0, 100))
def test_emotional_intensity_stays_in_range_and_nothing_lowers_it(
    intensity: float, emotion: str, triggered: bool, resolved: bool, echoes: int
) -> None:
    found = factors.emotional_intensity(intensity, emotion, triggered=triggered, resolved=resolved, echoes=echoes)

    assert intensity <= found <= 1
    assert found <= factors.emotional_intensity(1.0, "joy", triggered=True, resolved=True, echoes=echoes)
    assert found <= factors.emotional_intensity(
        intensity, emotion, triggered=triggered, resolved=resolved, echoes=echoes + 1
    )


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"emotion": "joy", "intensity": 0.5}, 0.65),
        ({"emotion": "joy", "intensity": "0.5"}, 0.65),
        (json.dumps({"primary_emotion": "joy", "intensity": 0.5}), 0.65),
        ("joy", 0.65),
        ('"joy"', 0.65),
        ("{broken", 0.5),
        ("[1, 2]", 0.5),
        ("", 0.5),
        (None, 0.5),
        (17, 0.5),
        ({"intensity": "a lot"}, 0.5),
        ({"intensity": None}, 0.5),
        ({"intensity": float("nan")}, 0.5),
        ({"intensity": 10**400}, 0.5),
        ({"intensity": 7}, 1.0),
        ({"intensity": -7}, 0.0),
        ({"intensity": 0.5, "trigger_detected": "false", "resolution_achieved": "0"}, 0.5),
        ({"intensity": 0.5, "trigger_detected": "True"}, 0.6),
    ],
)
def test_the_emotional_context_is_a_mapping_or_json_or_a_bare_name(context: Any, expected: float) -> None:
    assert measure(memory("tea", emotional_context=context))["emotional_intensity"] == pytest.approx(expected)


def test_only_later_interactions_with_one_of_the_first_five_words_take_a_memory_up() -> None:
    item = memory(
        "Rain over the old roof yesterday", timestamp="2026-02-01T00:00:00", emotional_context={"intensity": 0.5}
    )
    earlier = memory("rain again", timestamp="2026-01-01T00:00:00")
    later = memory("the RAIN stopped", timestamp="2026-02-03T00:00:00+00:00")
    sixth_word = memory("yesterday", timestamp="2026-02-03T00:00:00+00:00")

    assert measure(item, earlier, sixth_word)["emotional_intensity"] == pytest.approx(0.5)
    assert measure(item, earlier, later, later)["emotional_intensity"] == pytest.approx(0.6)
    assert measure(item, *[later] * 9)["emotional_intensity"] == pytest.approx(0.75)


# Personal relevance


@pytest.mark.parametrize(
    ("text", "ratio", "expected"),
    [
        ("", 0.0, 0.5),
        ("my mother and my sister", 0.0, 0.6),
        ("a secret", 0.0, 0.7),
        ("a secret that i admit and confess", 0.0, 0.7),
        ("my goal and my plan", 0.0, 0.56),
        ("tea", 0.4, 0.7),
        ("tea", 1.0, 0.9),
        (" ".join(words.PERSONAL_WORDS), 0.0, 0.8),
        (" ".join(words.GOAL_WORDS), 0.0, 0.65),
        (" ".join([*words.PERSONAL_WORDS, *words.GOAL_WORDS, "secret"]), 1.0, 1.0),
    ],
)
def test_personal_relevance_by_hand(text: str, ratio: float, expected: float) -> None:
    assert factors.personal_relevance(text, ratio) == pytest.approx(expected)


@given(texts, unit, unit)
def test_personal_relevance_stays_in_range_and_rises_with_the_topic(text: str, ratio: float, other: float) -> None:
    low, high = sorted([ratio, other])

    assert 0.5 <= factors.personal_relevance(text, low) <= factors.personal_relevance(text, high) <= 1


@given(texts, texts, unit)
def test_more_words_never_lower_relevance_or_milestones_of_the_same_kind(text: str, more: str, ratio: float) -> None:
    assert factors.personal_relevance(text, ratio) <= factors.personal_relevance(f"{text} {more}", ratio)


# Recency


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, 1.0), (-5, 1.0), (3, 1.0), (6, 0.87055 * 1.05), (7, 0.85067), (30, 0.5), (60, 0.25), (365, 0.000217)],
)
def test_recency_by_hand(days: int, expected: float) -> None:
    assert factors.recency(days) == pytest.approx(expected, abs=1e-5)


@given(st.integers(-1_000, 100_000), st.integers(0, 10_000))
def test_recency_stays_in_range_and_never_rises_with_age(days: int, more: int) -> None:
    assert 0 <= factors.recency(days + more) <= factors.recency(days) <= 1


@pytest.mark.parametrize(
    ("timestamp", "days"),
    [
        (None, 0),
        ("2026-01-30T12:00:00+00:00", 30),
        ("2026-01-30T12:00:00Z", 30),
        ("2026-01-30T12:00:00", 30),
        ("2026-01-30T12:00:01", 29),
        (datetime(2026, 1, 30, 12), 30),
        (datetime(2026, 1, 30, 14, tzinfo=UTC), 29),
        ("yesterday", 365),
        ("", 365),
        (1_700_000_000, 365),
        ({}, 365),
        ("2027-01-01T00:00:00", 0),
        ("0001-01-01T00:00:00+23:59", 365),
    ],
)
def test_a_timestamp_that_cannot_be_read_is_a_year_old_and_none_is_now(timestamp: Any, days: int) -> None:
    assert measure(memory(timestamp=timestamp))["recency"] == factors.recency(days)


# Access frequency


@given(st.floats(0, factors.ACCESS_SPREAD))
def test_a_drawn_access_factor_never_exceeds_one_half(draw: float) -> None:
    assert 0.1 <= factors.drawn_access(draw) <= 0.5


def test_access_by_hand() -> None:
    assert factors.drawn_access(0.25) == pytest.approx(0.35)
    assert [factors.counted_access(n) for n in (-1, 0, 1, 7, 9, 10**9)] == pytest.approx([0.1, 0.1, 0.2, 0.8, 1.0, 1.0])


@given(st.integers(0, 1_000), st.integers(0, 1_000))
def test_a_counted_access_factor_rises_with_every_access(count: int, more: int) -> None:
    assert 0.1 <= factors.counted_access(count) <= factors.counted_access(count + more) <= 1


# Uniqueness


@pytest.mark.parametrize(
    ("ratio", "share", "expected"), [(0, 1, 1.0), (1, 0, 0.12), (0.25, 0.5, 0.5), (0.4, 0.0, 0.12), (0.9, 1.0, 0.52)]
)
def test_uniqueness_by_hand(ratio: float, share: float, expected: float) -> None:
    assert factors.uniqueness(ratio, share) == pytest.approx(expected)


@given(unit, unit, unit, unit)
def test_uniqueness_falls_with_the_topic_and_rises_with_new_words(a: float, b: float, c: float, d: float) -> None:
    (rare, common), (old, new) = sorted([a, b]), sorted([c, d])

    assert 0 <= factors.uniqueness(common, old) <= factors.uniqueness(rare, new) <= 1


def test_uniqueness_of_a_memory_among_others() -> None:
    item = memory("green tea in the garden", topic="Tea")
    same, other = memory("green tea", topic="tea "), memory("the garden", topic="weather")

    assert measure(item)["uniqueness"] == 1.0
    assert measure(item, same, other)["uniqueness"] == pytest.approx(0.6 * 0.2 + 0.4 * 1 / 5)
    assert measure(item, other)["uniqueness"] == pytest.approx(0.6 + 0.4 * 3 / 5)
    assert measure(memory("", topic=""), same)["uniqueness"] == pytest.approx(0.6)


# Milestones


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("nice to meet you", 0.3),
        ("i trust you, and i missed you", 0.6),
        ("i trust you, i missed you, i love you, you know me", 1.0),
        ("the first day", 0.2),
        ("the first and last, the final, the initial", 0.6),
        ("the first time we spoke", 0.3),
        ("tea", 0.0),
    ],
)
def test_relationship_milestone_by_hand(text: str, expected: float) -> None:
    assert factors.relationship_milestone(text) == pytest.approx(expected)


# The sum, and what comes with it


def test_a_score_by_hand() -> None:
    values = dict(zip(NAMES, (0.9, 0.85, 0.81, 0.75, 0.9, 0.6), strict=True))
    found = score(values)

    assert found.overall_score == 0.8365
    assert found.factor_scores == values
    assert found.decay_rate == pytest.approx(0.01 * 0.5 * 0.3 * 0.2 * 0.7)
    assert found.boost_events == (
        "high_emotional_intensity",
        "high_personal_relevance",
        "milestone_detected",
        "unique_content",
        "frequent_access",
    )
    assert len(found.score_explanation.split(", ")) == 6


def test_at_a_threshold_nothing_is_boosted_explained_or_slowed() -> None:
    found = score(dict(zip(NAMES, (0.7, 0.7, 0.8, 0.7, 0.7, 0.5), strict=True)))

    assert (found.boost_events, found.decay_rate, found.score_explanation) == ((), 0.01, "nothing stands out")


@given(measured)
def test_a_score_stays_between_its_smallest_and_largest_factor(values: dict[str, float]) -> None:
    found = score(values)

    assert min(values.values()) - 1e-9 <= found.overall_score <= max(values.values()) + 1e-9
    assert 0 < found.decay_rate <= scoring.BASE_DECAY_RATE


@given(measured, st.sampled_from(NAMES), unit)
def test_a_larger_factor_never_lowers_the_score(values: dict[str, float], name: str, value: float) -> None:
    raised = {**values, name: max(values[name], value)}

    assert score(values).overall_score <= score(raised).overall_score
    assert set(score(values).boost_events) <= set(score(raised).boost_events)


@given(memories, st.lists(memories, max_size=4), st.booleans())
def test_any_memory_at_all_has_factors_in_range(item: dict[str, Any], history: list[Any], lift: bool) -> None:
    found = scoring.measure(reading.lifted(item) if lift else item, history, 0.3, NOW)

    assert list(found) == NAMES
    assert all(0 <= value <= 1 for value in found.values())


def test_without_real_access_counts_no_score_exceeds_what_the_factor_leaves_open() -> None:
    assert score({**dict.fromkeys(NAMES, 1.0), "access_frequency": 0.5}).overall_score == 0.925


def test_the_constants_are_whisper_engines():
    engine = MemoryImportanceEngine

    assert dict(engine.importance_weights) == {
        "emotional_intensity": 0.30,
        "personal_relevance": 0.25,
        "recency": 0.15,
        "access_frequency": 0.15,
        "uniqueness": 0.10,
        "relationship_milestone": 0.05,
    }
    assert (engine.base_decay_rate, engine.access_boost_multiplier) == (0.01, 1.5)
    assert (engine.emotional_preservation_threshold, engine.core_memory_threshold) == (0.8, 0.85)
    assert engine.max_core_memories == 20


def test_the_default_score() -> None:
    found = scoring.default_score("u", "m", NOW)

    assert (found.overall_score, found.decay_rate) == (0.5, 0.01)
    assert list(found.factor_scores.values()) == [0.5, 0.5, 0.5, 0.1, 0.5, 0.0]
    assert list(found.factor_scores) == NAMES


# Decay


@pytest.mark.parametrize(
    ("hours", "expected"), [(0, 0.5), (23, 0.5), (24, 0.49), (47, 0.49), (240, 0.4), (24 * 400, 0.1), (-48, 0.5)]
)
def test_decay_by_hand(hours: int, expected: float) -> None:
    faded = scoring.decayed(scoring.default_score("u", "m", NOW), NOW + timedelta(hours=hours))

    assert faded.overall_score == pytest.approx(expected)


@given(measured, st.lists(st.integers(0, 2_000), max_size=6))
def test_fading_often_equals_fading_once_and_never_raises_a_score(values: dict[str, float], hours: list[int]) -> None:
    found = once = score(values)
    end = NOW
    for step in hours:
        end += timedelta(hours=step)
        found = scoring.decayed(found, end)
    once = scoring.decayed(once, end)

    assert found.overall_score == pytest.approx(once.overall_score, abs=1e-8)
    assert found.overall_score <= score(values).overall_score
    assert found.overall_score >= min(scoring.DECAY_FLOOR, score(values).overall_score)


# Learning


@given(measured, st.booleans(), st.lists(st.integers(-(10**9), 10**9), min_size=6, max_size=6))
def test_one_feedback_shifts_little_and_never_past_the_limit(
    values: dict[str, float], helpful: bool, learned: list[int]
) -> None:
    before = dict(zip(NAMES, learned, strict=True))
    found = learning.shifts(values, helpful, before)

    for name, shift in found.items():
        start = before[name] / 1e9
        assert abs(shift) <= learning.STEP + 1e-9
        assert min(start, -learning.LIMIT) - 1e-9 <= start + shift <= max(start, learning.LIMIT) + 1e-9


@given(measured)
def test_the_shifts_of_one_feedback_add_up_to_zero_and_the_opposite_takes_them_back(values: dict[str, float]) -> None:
    up, down = learning.shifts(values, True, {}), learning.shifts(values, False, {})

    assert sum(up.values()) == pytest.approx(0, abs=1e-8)
    assert {name: -shift for name, shift in up.items()} == pytest.approx(down, abs=1e-8)


def test_what_stands_out_in_a_memory_that_helped_gains_weight() -> None:
    values = {**dict.fromkeys(NAMES, 0.2), "emotional_intensity": 0.8}

    assert learning.shifts(values, True, {}) == pytest.approx(
        {**dict.fromkeys(NAMES, -0.005), "emotional_intensity": 0.025}
    )
    assert learning.shifts(dict.fromkeys(NAMES, 0.4), True, {}) == {}
    assert learning.shifts({}, True, {}) == {}


@given(st.lists(st.tuples(measured, st.booleans()), max_size=60))
def test_whatever_is_taught_the_weights_add_up_to_one(lessons: list[tuple[dict[str, float], bool]]) -> None:
    record = Statistics("u")
    for values, helpful in lessons:
        shifts = learning.shifts(values, helpful, record.weight_adjustments)
        record = StatisticsChange("u", weight_adjustments=shifts).apply_to(record, {})
        weights = record.weights()

        assert sum(weights.values()) == pytest.approx(1)
        assert all(0 <= weight < 0.75 for weight in weights.values())


# Lifting


def test_lifting_takes_topic_and_emotion_from_the_metadata_and_leaves_what_is_there() -> None:
    stored = memory("tea", metadata={"topic": "tea", "detected_emotion": "joy", "intensity": "0.6"})
    told = {**stored, "topic": "garden", "emotional_context": "fear"}

    assert measure(stored)["emotional_intensity"] == 0.5
    assert measure(dict(reading.lifted(stored)))["emotional_intensity"] == pytest.approx(0.78)
    assert reading.lifted(stored)["topic"] == "tea"
    assert (reading.lifted(told)["topic"], reading.lifted(told)["emotional_context"]) == ("garden", "fear")


def test_a_score_is_a_record_that_every_driver_keeps() -> None:
    found = score(dict.fromkeys(NAMES, 0.123456789123))

    assert attrs.asdict(found)["factor_scores"]["recency"] == 0.123456789
