"""From a memory and its user's history to a score, with reasons: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import attrs

from whisper_persistence.companion import importance_factors as factors
from whisper_persistence.companion.importance_reading import (
    DEFAULT_INTENSITY,
    Memory,
    emotion_name,
    emotion_of,
    intensity_of,
    is_set,
    moment_of,
    text_of,
    topic_of,
)
from whisper_persistence.records import MemoryScore

#: What a score loses per day, before anything slows that down.
BASE_DECAY_RATE: Final = 0.01
#: No score decays below this.
DECAY_FLOOR: Final = 0.1
#: The factors of a memory that could not be scored; its score is 0.5.
DEFAULT_FACTORS: Final[Mapping[str, float]] = {
    "emotional_intensity": DEFAULT_INTENSITY,
    "personal_relevance": 0.5,
    "recency": 0.5,
    "access_frequency": 0.1,
    "uniqueness": 0.5,
    "relationship_milestone": 0.0,
}

_DECAY_SLOWED: Final = (
    ("emotional_intensity", 0.8, 0.5),
    ("access_frequency", 0.7, 0.3),
    ("relationship_milestone", 0.5, 0.2),
    ("recency", 0.8, 0.7),
)
_REASONS: Final = (
    ("emotional_intensity", 0.7, "strong emotions"),
    ("personal_relevance", 0.7, "close to the user's own life"),
    ("relationship_milestone", 0.5, "a milestone of the relationship"),
    ("uniqueness", 0.7, "unlike other memories"),
    ("access_frequency", 0.7, "often recalled"),
    ("recency", 0.8, "recent"),
)
_BOOSTS: Final = (
    ("emotional_intensity", 0.8, "high_emotional_intensity"),
    ("personal_relevance", 0.8, "high_personal_relevance"),
    ("relationship_milestone", 0.5, "milestone_detected"),
    ("uniqueness", 0.8, "unique_content"),
    ("access_frequency", 0.7, "frequent_access"),
)


def measure(memory: Memory, history: Sequence[Memory], access: float, now: datetime) -> dict[str, float]:
    """Return the six factors of a memory, by name.

    Args:
        memory: what is scored.
        history: what else is known of the user.
        access: the access factor, drawn or counted.
        now: the present.
    """
    text, texts = text_of(memory), [text_of(item) for item in history]
    ratio = _topic_ratio(topic_of(memory), history)
    return {
        "emotional_intensity": _felt(memory, text, history, texts, now),
        "personal_relevance": factors.personal_relevance(text, ratio),
        "recency": factors.recency((now - moment_of(memory, now)).days),
        "access_frequency": access,
        "uniqueness": factors.uniqueness(ratio, _new_share(text, texts)),
        "relationship_milestone": factors.relationship_milestone(text),
    }


def score(
    user_id: str, memory_id: str, measured: Mapping[str, float], weights: Mapping[str, float], now: datetime
) -> MemoryScore:
    """Return the weighted sum of measured factors, capped at 1, with its reasons."""
    return MemoryScore(
        user_id=user_id,
        memory_id=memory_id,
        overall_score=min(sum(weights[name] * value for name, value in measured.items()), 1.0),
        factor_scores=measured,
        calculation_timestamp=now,
        score_explanation=explain(measured),
        decay_rate=decay_rate(measured),
        boost_events=tuple(_above(_BOOSTS, measured)),
    )


def default_score(user_id: str, memory_id: str, now: datetime) -> MemoryScore:
    """Return the score of a memory that could not be scored."""
    reason = "could not be scored: taken to be of middling importance"
    return MemoryScore(user_id, memory_id, 0.5, DEFAULT_FACTORS, now, reason, BASE_DECAY_RATE)


def explain(measured: Mapping[str, float]) -> str:
    """Return in words what makes a memory matter."""
    return ", ".join(_above(_REASONS, measured)) or "nothing stands out"


def decay_rate(measured: Mapping[str, float]) -> float:
    """Return how much the score loses per day: what is felt, recalled, a milestone or recent fades more slowly."""
    rate = BASE_DECAY_RATE
    for name, threshold, slowed in _DECAY_SLOWED:
        rate *= slowed if measured[name] > threshold else 1.0
    return rate


def decayed(found: MemoryScore, now: datetime) -> MemoryScore:
    """Return a score as it is after the whole days since it was calculated, or the same object if there are none.

    The timestamp moves on by these days, so that decaying twice takes nothing twice. A score below the floor stays.
    """
    days = (now - found.calculation_timestamp).days
    if days < 1:
        return found
    faded = max(found.overall_score - found.decay_rate * days, DECAY_FLOOR)
    return attrs.evolve(
        found,
        overall_score=min(faded, found.overall_score),
        calculation_timestamp=found.calculation_timestamp + timedelta(days=days),
    )


def _felt(memory: Memory, text: str, history: Sequence[Memory], texts: Sequence[str], now: datetime) -> float:
    context, made, words = emotion_of(memory), moment_of(memory, now), text.split()[:5]
    echoing = (
        item
        for item, said in zip(history, texts, strict=True)
        if any(map(said.__contains__, words)) and moment_of(item, now) > made
    )
    return factors.emotional_intensity(
        intensity_of(context),
        emotion_name(context),
        triggered=is_set(context, "trigger_detected"),
        resolved=is_set(context, "resolution_achieved"),
        echoes=sum(1 for _ in islice(echoing, factors.MOST_ECHOES)),
    )


def _topic_ratio(topic: str, history: Sequence[Memory]) -> float:
    """Return the share of the history that is on a topic; 0 without either."""
    return sum(topic_of(item) == topic for item in history) / len(history) if topic and history else 0.0


def _new_share(text: str, texts: Sequence[str]) -> float:
    """Return the share of a text's distinct words that no other text holds; 0 for a text without words."""
    if not texts:
        return 1.0
    words, said = set(text.split()), "\n".join(texts)
    return sum(word not in said for word in words) / len(words) if words else 0.0


def _above(table: Sequence[tuple[str, float, str]], measured: Mapping[str, float]) -> list[str]:
    return [word for name, threshold, word in table if measured[name] > threshold]
