"""How much an offer of support helped, read from the user's reply."""

from __future__ import annotations

from typing import Final

import attrs

from whisper_persistence.records.fields import quantise

#: Replies holding one of these are a crisis, whatever else they hold.
CRISIS_PHRASES: Final = (
    "hopeless",
    "suicid",
    "kill myself",
    "end my life",
    "end it all",
    "want to die",
    "better off dead",
    "hurt myself",
    "harm myself",
    "can't go on",
    "no reason to live",
)
#: Each of these in a reply counts once for the approach.
POSITIVE_PHRASES: Final = (
    "thank you",
    "helpful",
    "that helped",
    "that helps",
    "feel better",
    "feeling better",
    "appreciate",
    "makes sense",
    "good idea",
    "good point",
    "exactly what i needed",
    "grateful",
    "relieved",
)
#: Each of these in a reply counts once against the approach.
NEGATIVE_PHRASES: Final = (
    "not helpful",
    "leave me alone",
    "stop asking",
    "stop it",
    "go away",
    "doesn't help",
    "didn't help",
    "don't want",
    "made it worse",
    "makes it worse",
    "feel worse",
    "annoying",
    "none of your business",
    "pointless",
    "useless",
)


@attrs.frozen
class ReplyScore:
    """What a reply says about an offer of support.

    Attributes:
        effectiveness: how much it helped, 0 to 1.
        outcome_type: ``successful``, ``partial``, ``ineffective`` or ``crisis_escalation``.
        follow_up_needed: whether to come back to it.
    """

    effectiveness: float
    outcome_type: str
    follow_up_needed: bool


def score_reply(reply: str) -> ReplyScore:
    """Return what a reply says, by counting phrases in its lower-cased text.

    Phrases are found anywhere, also within others: "not helpful" holds "helpful" and therefore is a tie.
    """
    text = reply.lower()
    if _count(CRISIS_PHRASES, text):
        return ReplyScore(0.0, "crisis_escalation", True)
    positive, negative = _count(POSITIVE_PHRASES, text), _count(NEGATIVE_PHRASES, text)
    if positive > negative:
        return ReplyScore(quantise(min(1.0, 0.7 + 0.1 * positive)), "successful", False)
    if negative > positive:
        return ReplyScore(quantise(max(0.0, 0.3 - 0.1 * negative)), "ineffective", True)
    return ReplyScore(0.5, "partial", False)


def _count(phrases: tuple[str, ...], text: str) -> int:
    return sum([phrase in text for phrase in phrases])
