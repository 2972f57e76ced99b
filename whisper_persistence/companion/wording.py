"""Plain words for an offer of support, for bots that do not word it themselves."""

from __future__ import annotations

from typing import Final

_MESSAGES: Final = {
    "gentle_check_in": "how are you doing right now?",
    "direct_support": "this sounds hard, and you don't have to carry it alone. What would help most?",
    "resource_offering": "there are a few things that helped others in this place. Shall we look at one?",
    "skill_building": "shall we try a small exercise together? It takes two minutes.",
    "crisis_intervention": "your safety comes first. Please reach a crisis line or somebody you trust; I stay here.",
}
_OPENINGS: Final = {
    "formal": "If I may ask:",
    "casual": "Hey,",
    "direct": "Straight to it:",
    "gentle": "Take your time, there is no hurry.",
}


def word_intervention(style: str, communication_style: str) -> str:
    """Return a message for a style, worded in a user's communication style where it is one that has an opening."""
    message = _MESSAGES.get(style, _MESSAGES["gentle_check_in"])
    opening = _OPENINGS.get(communication_style)
    if opening is None or opening.endswith("."):
        message = message[0].upper() + message[1:]
    return f"{opening} {message}" if opening else message
