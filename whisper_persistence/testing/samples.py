"""Records to write, and how to tell whether what comes back is the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import zip_longest
from typing import Any, Final, cast

import attrs
import msgspec

from whisper_persistence.records import (
    MemoryScore,
    Message,
    Outcome,
    OutcomeQuery,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    ScoreQuery,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty

#: A moment with microseconds in a zone that is far from UTC, where the day is another.
MOMENT: Final = datetime(2024, 2, 29, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=5, minutes=45)))
#: The earliest and latest moments that a record's time may reasonably be.
EDGES: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))

_canonical: Final = msgspec.json.Encoder(order="sorted")


def exact(record: Any) -> str:
    """Return a record as text that differs where records differ, also in what ``==`` overlooks (1, 1.0 and True)."""
    if hasattr(record, "sequence"):
        record = attrs.evolve(record, sequence=None)
    return _canonical.encode(record).decode()


def members(found: Any) -> list[Any]:
    """Return several records as a list, and one as a list of one."""
    return list(cast("Sequence[Any]", found)) if isinstance(found, (list, tuple)) else [found]


def same(found: Any, expected: Any) -> bool:
    """Say whether one record, or each of several, came back as it was, its sequence apart."""
    pairs = list(zip_longest(members(found), members(expected)))
    return all(one == other and exact(one) == exact(other) for one, other in pairs)


def message(conversation_id: str = "talk", content: str = "hello", user_id: str = "alice", **fields: Any) -> Message:
    """Return a message of a user, written by that user unless said otherwise."""
    return Message(conversation_id, user_id, fields.pop("author_id", user_id), content, **fields)


def talk(count: int, conversation_id: str = "talk", user_id: str = "alice") -> list[Message]:
    """Return that many messages of one conversation, ``m0`` first."""
    return [message(conversation_id, f"words {n}", user_id, message_id=f"m{n}") for n in range(count)]


def outcome(score: float = 0.5, style: str = "gentle_check_in", **fields: Any) -> Outcome:
    """Return an outcome of this effectiveness."""
    return Outcome(fields.pop("intervention_id", "i_intervention_1"), style, score, **fields)


def score(memory_id: str, value: float, user_id: str = "alice", **fields: Any) -> MemoryScore:
    """Return a memory's score."""
    return MemoryScore(user_id, memory_id, value, **fields)


def full_strategy(user_id: str = "alice") -> Strategy:
    """Return a strategy with every field set to something that is easily lost."""
    return Strategy(
        user_id,
        strategy_id=f"{user_id[:100]}_strategy",
        communication_style="\U0001f9d8 gentle ",
        effective_approaches=["b", "a", "cafe\u0301", "caf\u00e9", ""],
        approaches_to_avoid=("a",),
        optimal_timing={"evening": "after 20:00", "": ""},
        user_preferences=nasty.json_object(),
        support_history=[{"intervention_id": "x", "effectiveness_score": 0.1, "own": {"deep": [1.0]}}] * 10,
        last_updated=MOMENT,
        interventions=2**40,
        successes=7,
        effectiveness_sum=2**60,
        extra={"crisis_plan": nasty.nested(20), "n": -0.0},
    )


def full_outcome(user_id: str = "alice", outcome_id: str = "o1") -> Outcome:
    """Return an outcome with every field set."""
    return Outcome(
        f"{user_id[:100]}_intervention_1",
        "direct_support",
        1e-9,
        "partial",
        MOMENT,
        outcome_id,
        user_id,
        "run 7",
        "thanks \U0001f64f\r\n'; --",
        True,
        ["one", "", "\u05e9"],
        {"mood": nasty.json_object()},
        {"own": 5e-324},
    )


def full_statistics(user_id: str = "alice") -> Statistics:
    """Return statistics with every field set, saved without the scores they were counted from."""
    return Statistics(
        user_id,
        total_memories_scored=2**40,
        score_sum=2**60,
        minimum=1e-9,
        maximum=0.999999999,
        median=0.333333333,
        core_memory_candidates=12,
        factor_sums={"recency": 2**50, "\U0001f600": -5},
        factor_counts={"recency": 3, "\U0001f600": 1},
        weight_adjustments={"recency": -250_000_000},
        adjustments=9,
        last_updated=MOMENT,
        extra=nasty.json_object(),
    )


def full_score(user_id: str = "alice", memory_id: str = "memory") -> MemoryScore:
    """Return a score with every field set."""
    return MemoryScore(
        user_id,
        memory_id,
        0.123456789,
        {"emotional_intensity": 1.0, "recency": 0.0, "\u00e9": 1e-9},
        MOMENT,
        "because \U0001f600 'quoted' %s",
        999_999.5,
        ["milestone_detected", ""],
        nasty.json_object(),
    )


def full_pattern(user_id: str = "alice", pattern_id: str = "pattern") -> Pattern:
    """Return a pattern with every field set."""
    later = MOMENT + timedelta(microseconds=1)
    return Pattern(
        user_id, pattern_id, "emotional", ["b", "a", "\u05e9"], 3, 2**40, 2**41, MOMENT, later, nasty.json_object()
    )


def full_preferences(user_id: str = "alice") -> Preferences:
    """Return preferences with every field set."""
    return Preferences(user_id, nasty.json_object(), MOMENT, {"own": nasty.nested(20)})


def full_message(conversation_id: str = "talk", user_id: str = "alice", message_id: str = "m1") -> Message:
    """Return a message with every field set."""
    return Message(
        conversation_id,
        user_id,
        "bot",
        "words \U0001f600\r\n ",
        "assistant",
        message_id,
        MOMENT,
        "a question that is not here",
        "Ann \u202e",
        MOMENT + timedelta(days=1),
        nasty.json_object(),
        source="tool:weather \U0001f327 'x'; --",
        trust="untrusted",
    )


def fill(store: Store, claimed: frozenset[str], user_id: str = "alice", conversation_id: str = "talk") -> None:
    """Write something of every kind that is claimed for one user."""
    if "strategies" in claimed:
        store.save_strategies([full_strategy(user_id)])
        store.update_strategies([StrategyChange(user_id, [full_outcome(user_id)], timestamp=MOMENT)])
    if "statistics" in claimed:
        store.update_statistics([StatisticsChange(user_id, [full_score(user_id)], timestamp=MOMENT)])
        store.save_patterns([full_pattern(user_id)])
        store.update_patterns([PatternChange(user_id, "second", timestamp=MOMENT)])
        store.save_preferences([full_preferences(user_id)])
        store.update_preferences([PreferencesChange(user_id, {"quiet": True}, timestamp=MOMENT)])
    if "conversations" in claimed:
        store.save_messages([full_message(conversation_id, user_id, "full"), *talk(2, conversation_id, user_id)])


def read(
    store: Store, claimed: frozenset[str], user_id: str = "alice", conversation_id: str = "talk"
) -> dict[str, Any]:
    """Return all that a store shows of one user and conversation, by hook; what is absent is left out."""
    found: dict[str, Any] = {}
    if "strategies" in claimed:
        found["strategies"] = store.load_strategies([user_id]).get(user_id)
        found["outcomes"] = _only(store.load_outcomes([OutcomeQuery(user_id, 1_000)]))
    if "statistics" in claimed:
        found["statistics"] = store.load_statistics([user_id]).get(user_id)
        found["patterns"] = store.load_patterns([user_id]).get(user_id)
        found["preferences"] = store.load_preferences([user_id]).get(user_id)
        found["top scores"] = _only(store.load_scores([ScoreQuery(user_id, "top", 1_000)]))
        found["recent scores"] = _only(store.load_scores([ScoreQuery(user_id, "recent", 1_000)]))
    if "conversations" in claimed:
        found["messages"] = _only(store.load_messages([Window(conversation_id, 1_000)]))
        found["messages after"] = _only(store.load_messages([Window(conversation_id, 1_000, after=0)]))
        found["messages of user"] = _only(store.load_messages([Window(conversation_id, 1_000, user_id=user_id)]))
    return {name: value for name, value in found.items() if value is not None}


def _only(answer: Any) -> Any:
    return next(iter(answer.values()), None)
