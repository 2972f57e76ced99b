"""From advice to an offer of support, and from a reply to what it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from whisper_persistence.companion.recommending import Recommendation, is_crisis
from whisper_persistence.companion.replies import ReplyScore
from whisper_persistence.companion.support import (
    InterventionStyle,
    SupportIntervention,
    SupportOutcome,
    SupportType,
    style_name,
)
from whisper_persistence.companion.wording import word_intervention
from whisper_persistence.records import Durability, Outcome

#: How much of a reply is kept with its outcome, in characters.
MAX_REPLY: Final = 10_000
_LESSONS: Final = {
    "successful": "{style} helps",
    "ineffective": "{style} does not help",
    "crisis_escalation": "{style} was followed by a crisis",
}


def user_of(intervention_id: str) -> str:
    """Return the user that an intervention id belongs to: what precedes its counter."""
    return intervention_id.rpartition("_intervention_")[0]


def offer(intervention_id: str, advice: Recommendation, needs: Mapping[str, Any], now: datetime) -> SupportIntervention:
    """Return an offer of support that follows advice, except where a bot's needs say otherwise.

    Raises:
        ValidationError: a type or timing does not exist.
    """
    crisis = is_crisis(needs)
    style = style_name(needs.get("intervention_style", advice.approach))
    urgency = 5 if crisis else needs.get("support_urgency", 3)
    return SupportIntervention(
        intervention_id=intervention_id,
        support_type=needs.get("support_type") or (SupportType.CRISIS if crisis else SupportType.REACTIVE),
        intervention_style=style,
        timing=needs.get("timing", advice.timing),
        message_content=needs.get("message_content") or word_intervention(style, advice.style),
        rationale="; ".join(advice.reasons),
        expected_outcome="the user feels supported",
        success_metrics=["positive_reply"],
        fallback_options=[other.value for other in InterventionStyle if other.value != style][:2],
        priority_level=min(5, max(1, int(needs.get("priority_level", urgency)))),
        created_timestamp=now,
    )


def judge(
    learned: Outcome | None,
    intervention_id: str,
    reply: str,
    score: ReplyScore,
    *,
    now: datetime,
    durability: Durability | None = None,
) -> SupportOutcome:
    """Return what came of an offer.

    Args:
        learned: what it taught; ``None`` where the offer is not known, and there is no lesson.
        intervention_id: which offer.
        reply: the user's words.
        score: what they say.
        now: the present.
        durability: how safe what it taught is.
    """
    lessons = list(learned.lessons_learned) if learned else []
    needed = score.follow_up_needed
    return SupportOutcome(
        intervention_id, score.outcome_type, reply, score.effectiveness, needed, lessons, now, durability
    )


def failed(intervention_id: str, now: datetime) -> SupportOutcome:
    """Return the outcome of an offer whose reply could not be learned from."""
    return SupportOutcome(intervention_id, "error", "", 0.0, True, [], now)


def learned_from(
    intervention: SupportIntervention,
    reply: str,
    score: ReplyScore,
    *,
    now: datetime,
    situation: dict[str, str],
    session_id: str,
) -> Outcome:
    """Return what a reply to an offer teaches about its user.

    Args:
        intervention: the offer.
        reply: the user's words.
        score: what they say.
        now: the present.
        situation: the circumstances.
        session_id: this run of the bot.
    """
    style, lesson = style_name(intervention.intervention_style), _LESSONS.get(score.outcome_type)
    return Outcome(
        intervention.intervention_id,
        style,
        score.effectiveness,
        score.outcome_type,
        now,
        user_id=user_of(intervention.intervention_id),
        session_id=session_id,
        user_response=_storable(reply),
        follow_up_needed=score.follow_up_needed,
        lessons_learned=(lesson.format(style=style),) if lesson else (),
        context=situation,
    )


def _storable(text: str) -> str:
    """Return a reply as every database can keep it."""
    return text[:MAX_REPLY].replace("\0", "").encode("utf-8", "replace").decode()
