"""The six factors of a memory's importance: pure functions of plain values, each between 0 and 1."""

from __future__ import annotations

from typing import Final

from whisper_persistence.companion.importance_words import (
    DISCLOSURE_WORDS,
    GOAL_WORDS,
    MILESTONE_PHRASES,
    PERSONAL_WORDS,
    POSITION_WORDS,
    STRONG_EMOTIONS,
    count_found,
)

#: After so many days a memory is half as recent.
HALF_LIFE_DAYS: Final = 30
#: Under so many days a memory gets something on top.
FRESH_DAYS: Final = 7
#: More later interactions that take a memory up again than this add nothing.
MOST_ECHOES: Final = 5
#: What the access factor adds at most to its floor of 0.1 where it is drawn by chance.
ACCESS_SPREAD: Final = 0.4


def emotional_intensity(
    intensity: float, emotion: str = "", *, triggered: bool = False, resolved: bool = False, echoes: int = 0
) -> float:
    """Return how strongly a memory is felt.

    Args:
        intensity: as it was detected, 0 to 1.
        emotion: its name; one of `STRONG_EMOTIONS` raises the factor.
        triggered: whether it was set off by something.
        resolved: whether it came to a good end.
        echoes: how many later interactions take the memory up again.
    """
    factor = intensity
    factor *= 1.3 if emotion.strip().lower() in STRONG_EMOTIONS else 1.0
    factor *= 1.2 if triggered else 1.0
    factor *= 1.4 if resolved else 1.0
    return min(factor * (1 + 0.1 * min(echoes, MOST_ECHOES)), 1.0)


def personal_relevance(text: str, topic_ratio: float = 0.0) -> float:
    """Return how much a memory is about the user.

    Args:
        text: the memory, lower-cased.
        topic_ratio: the share of the user's history that is on the same topic, 0 to 1.
    """
    personal = min(0.05 * count_found(PERSONAL_WORDS, text), 0.3)
    disclosed = 0.2 if count_found(DISCLOSURE_WORDS, text) else 0.0
    goals = min(0.03 * count_found(GOAL_WORDS, text), 0.15)
    return min(0.5 + personal + min(0.5 * topic_ratio, 0.4) + disclosed + goals, 1.0)


def recency(days: int) -> float:
    """Return how recent a memory is that is so many whole days old."""
    age = max(days, 0)
    fresh = 1 + 0.05 * (FRESH_DAYS - age) if age < FRESH_DAYS else 1.0
    halved: float = 0.5 ** (age / HALF_LIFE_DAYS)
    return min(halved * fresh, 1.0)


def drawn_access(draw: float) -> float:
    """Return the access factor where nobody counts accesses: chance decides, and 0.5 is the most.

    Args:
        draw: a random number between 0 and `ACCESS_SPREAD`.
    """
    return min(0.1 + draw, 1.0)


def counted_access(accesses: int) -> float:
    """Return the access factor of a memory that was recalled so often: 0.1 for never, 1.0 from nine times on."""
    return min(0.1 + 0.1 * max(accesses, 0), 1.0)


def uniqueness(topic_ratio: float, new_share: float) -> float:
    """Return how much a memory differs from the rest of the user's history.

    Args:
        topic_ratio: the share of the history that is on the same topic; 0 where there is no history.
        new_share: the share of the memory's words that the history does not hold; 1 where there is no history.
    """
    return 0.6 * (1 - min(2 * topic_ratio, 0.8)) + 0.4 * new_share


def relationship_milestone(text: str) -> float:
    """Return how much a memory, lower-cased, marks a step in the relationship."""
    milestones = count_found(MILESTONE_PHRASES, text)
    return min(0.3 * milestones, 1.0) if milestones else min(0.2 * count_found(POSITION_WORDS, text), 0.6)
