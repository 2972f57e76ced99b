"""Hypothesis strategies for everything that the state machine hands to a store: few ids, so that they meet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import strategies as st

from whisper_persistence.records import (
    MemoryScore,
    Message,
    MessageEdit,
    MessageRedaction,
    Outcome,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
)

USERS: Final = ("u", "u_1", "U", "caf\u00e9", "cafe\u0301")
TALKS: Final = ("talk", "talk ")

users: Final = st.sampled_from(USERS)
talks: Final = st.sampled_from(TALKS)
texts: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
moments: Final = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
scores: Final = st.sampled_from([0, 0.3, 0.5, 0.7, 0.85, 1]) | st.integers(0, 10**9).map(lambda units: units / 10**9)
scalars: Final[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json: Final[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
)
names: Final = st.sampled_from(["a", "b", "", "\u00e9"]) | texts
objects: Final[Any] = st.dictionaries(names, json, max_size=3)
words: Final = st.lists(names, max_size=3)
styles: Final = st.sampled_from(["gentle", "direct", "Gentle", ""])
memories: Final = st.sampled_from(["m1", "m2", "m3", "M1", "m\u00e9"])
message_ids: Final = st.sampled_from([f"m{n}" for n in range(12)])
factors: Final = st.dictionaries(st.sampled_from(["recency", "\U0001f600", "x"]), scores, max_size=2)
counts: Final = st.integers(10, 2**40)

outcomes: Final = st.builds(
    Outcome,
    intervention_id=st.just("i_1"),
    intervention_style=styles,
    effectiveness_score=scores,
    outcome_type=texts,
    timestamp=moments,
    outcome_id=st.sampled_from([f"o{n}" for n in range(30)]),
    user_response=texts,
    follow_up_needed=st.booleans(),
    lessons_learned=words,
    context=objects,
    extra=objects,
)
strategies: Final = st.builds(
    Strategy,
    user_id=users,
    strategy_id=texts,
    communication_style=styles,
    effective_approaches=words,
    approaches_to_avoid=words,
    optimal_timing=objects,
    user_preferences=objects,
    support_history=st.lists(objects, max_size=3),
    last_updated=moments,
    interventions=counts,
    extra=objects,
)
strategy_changes: Final = st.builds(
    StrategyChange,
    user_id=users,
    outcomes=st.lists(outcomes, max_size=4),
    communication_style=st.none() | styles,
    effective_approaches=words,
    optimal_timing=objects,
    support_history=st.lists(objects, max_size=2),
    removed=st.dictionaries(st.sampled_from(["effective_approaches", "optimal_timing", "extra"]), words, max_size=2),
    extra=objects,
    timestamp=moments,
)
statistics: Final = st.builds(
    Statistics,
    user_id=users,
    total_memories_scored=counts,
    score_sum=st.integers(10**11, 2**60),
    minimum=st.none() | scores,
    maximum=st.none() | scores,
    median=st.none() | scores,
    core_memory_candidates=counts,
    factor_sums=st.dictionaries(styles.filter(bool), st.integers(0, 2**50), max_size=2),
    last_updated=moments,
    extra=objects,
)
pattern_changes: Final = st.builds(
    PatternChange,
    user_id=users,
    pattern_id=memories,
    confidence=scores,
    importance=scores,
    pattern_type=texts,
    keywords=words,
    extra=objects,
    timestamp=moments,
)
patterns: Final = st.builds(
    Pattern,
    user_id=users,
    pattern_id=memories,
    pattern_type=texts,
    keywords=words,
    frequency=counts,
    confidence_sum=counts,
    first_seen=moments,
    last_seen=moments,
    extra=objects,
)
preferences: Final = st.builds(Preferences, user_id=users, values=objects, last_updated=moments, extra=objects)
preference_changes: Final = st.builds(
    PreferencesChange, user_id=users, values=objects, removed=words, extra=objects, timestamp=moments
)
messages: Final = st.builds(
    Message,
    conversation_id=talks,
    user_id=users,
    author_id=users | st.just("bot"),
    content=texts,
    role=st.just("user"),
    message_id=message_ids,
    timestamp=moments,
    in_reply_to=message_ids | st.none(),
    author_name=texts,
    extra=objects,
    source=texts,
    trust=st.sampled_from(["unknown", "untrusted", "trusted"]),
)
edits: Final = st.builds(
    MessageEdit, conversation_id=talks, message_id=message_ids, content=texts, timestamp=moments
) | st.builds(MessageRedaction, conversation_id=talks, message_id=message_ids, timestamp=moments)


@st.composite
def statistics_changes(draw: st.DrawFn) -> StatisticsChange:
    """Return a change of some memories' scores, each memory scored or forgotten."""
    user = draw(users)
    named = draw(st.lists(memories, max_size=4, unique=True))
    cut = draw(st.integers(0, len(named)))
    scored = [MemoryScore(user, m, draw(scores), draw(factors), draw(moments), draw(texts)) for m in named[:cut]]
    shifts = draw(st.dictionaries(st.sampled_from(["recency", "x"]), scores.map(lambda s: 2 * s - 1), max_size=2))
    return StatisticsChange(user, scored, named[cut:], shifts, draw(objects), draw(moments))
