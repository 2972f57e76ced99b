"""The words that memory importance looks for; every one is found as part of lower-cased text."""

from __future__ import annotations

from typing import Final

#: Emotions that make a memory stand out.
STRONG_EMOTIONS: Final = frozenset({"joy", "sadness", "anger", "fear", "surprise", "love", "grief"})

#: Words of a personal life: people, home, body, belief.
PERSONAL_WORDS: Final = (
    "family",
    "mother",
    "father",
    "sister",
    "brother",
    "daughter",
    "husband",
    "wife",
    "partner",
    "friend",
    "childhood",
    "birthday",
    "wedding",
    "health",
    "career",
    "school",
    "home",
    "faith",
    "feel",
)

#: Words that come with telling something for the first time, or in confidence.
DISCLOSURE_WORDS: Final = (
    "secret",
    "confess",
    "admit",
    "reveal",
    "confide",
    "honestly",
    "private",
    "ashamed",
    "never told",
    "to be honest",
    "between us",
)

#: Words of intentions and of what stands in their way.
GOAL_WORDS: Final = (
    "goal",
    "dream",
    "hope",
    "plan",
    "wish",
    "want to",
    "ambition",
    "achieve",
    "aspire",
    "resolution",
    "someday",
)

#: Phrases that mark a step in a relationship.
MILESTONE_PHRASES: Final = (
    "nice to meet you",
    "first conversation",
    "first time we",
    "we first met",
    "getting to know you",
    "i trust you",
    "thank you for listening",
    "thank you for being there",
    "you understand me",
    "you know me",
    "you remembered",
    "you helped me",
    "you mean a lot",
    "i missed you",
    "i love you",
    "i forgive you",
    "best friend",
    "our anniversary",
    "a year ago today",
    "changed my life",
)

#: Words of beginnings and ends, which count where no milestone is named.
POSITION_WORDS: Final = ("first", "last", "final", "initial", "beginning", "start", "end")


def count_found(words: tuple[str, ...], text: str) -> int:
    """Return how many of these words are part of a lower-cased text, each counted once."""
    return sum(word in text for word in words)
