"""The words of emotional support: kinds, styles, timing, and what is created, tried and judged."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, TypeVar

import attrs

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import Durability, fields

E = TypeVar("E", bound=enum.Enum)


class SupportType(enum.Enum):
    """Why support is offered."""

    PREVENTIVE = "preventive"
    REACTIVE = "reactive"
    MAINTENANCE = "maintenance"
    CRISIS = "crisis"


class InterventionStyle(enum.Enum):
    """How support is offered: the approaches that outcomes teach about."""

    GENTLE_CHECK_IN = "gentle_check_in"
    DIRECT_SUPPORT = "direct_support"
    RESOURCE_OFFERING = "resource_offering"
    SKILL_BUILDING = "skill_building"
    CRISIS_INTERVENTION = "crisis_intervention"


class SupportTiming(enum.Enum):
    """When support is offered."""

    IMMEDIATE = "immediate"
    WITHIN_HOUR = "within_hour"
    WITHIN_DAY = "within_day"
    NEXT_INTERACTION = "next_interaction"


def to_type(value: SupportType | str) -> SupportType:
    """Return a type of support from itself or its text.

    Raises:
        ValidationError: there is no such type.
    """
    return _member(SupportType, value)


def to_timing(value: SupportTiming | str) -> SupportTiming:
    """Return a timing from itself or its text.

    Raises:
        ValidationError: there is no such timing.
    """
    return _member(SupportTiming, value)


def to_style(value: InterventionStyle | str) -> InterventionStyle | str:
    """Return a style as a member where it is one of ours; a bot's own style stays the text it is."""
    try:
        return InterventionStyle(value)
    except ValueError:
        return value


def style_name(style: InterventionStyle | str) -> str:
    """Return a style as the text that strategies hold."""
    return style.value if isinstance(style, InterventionStyle) else style


@attrs.define
class SupportStrategy:
    """What was learned about supporting one user, in the mutable shape that WhisperEngine's code holds.

    Attributes:
        strategy_id: the bot's own name for it.
        user_preferences: free-form wishes.
        effective_approaches: styles that helped.
        approaches_to_avoid: styles that did not.
        optimal_timing: when to offer what.
        communication_style: how to word things.
        support_history: the newest ten outcomes, oldest first.
        last_updated: when it last changed.
    """

    strategy_id: str
    user_preferences: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    effective_approaches: list[str] = attrs.field(factory=list[str])
    approaches_to_avoid: list[str] = attrs.field(factory=list[str])
    optimal_timing: dict[str, str] = attrs.field(factory=dict[str, str])
    communication_style: str = "casual"
    support_history: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]], repr=False)
    last_updated: datetime = attrs.field(factory=fields.now)


@attrs.frozen
class SupportIntervention:
    """One offer of support; enumerations may be given as text.

    Attributes:
        intervention_id: ``"{user_id}_intervention_{counter}"``; the counter restarts with the process.
        support_type: why.
        intervention_style: how; a member, or the text of a bot's own style.
        timing: when.
        message_content: what is said.
        rationale: why this approach.
        expected_outcome: what is hoped for.
        success_metrics: how it is judged.
        fallback_options: styles to try otherwise.
        priority_level: 1 to 5; 5 is delivered whatever the time of day.
        created_timestamp: when it was made.
    """

    intervention_id: str
    support_type: SupportType = attrs.field(converter=to_type)
    intervention_style: InterventionStyle | str = attrs.field(converter=to_style)
    timing: SupportTiming = attrs.field(converter=to_timing)
    message_content: str = attrs.field(repr=False)
    rationale: str
    expected_outcome: str
    success_metrics: list[str]
    fallback_options: list[str]
    priority_level: int
    created_timestamp: datetime = attrs.field(factory=fields.now)


@attrs.frozen
class SupportOutcome:
    """What came of one offer of support.

    Attributes:
        intervention_id: which.
        outcome_type: ``successful``, ``partial``, ``ineffective``, ``crisis_escalation`` or ``error``.
        user_response: the user's words; private.
        effectiveness_score: how much it helped, 0 to 1.
        follow_up_needed: whether to come back to it.
        lessons_learned: what to keep in mind.
        timestamp: when it was judged.
        durability: how safe what was learned is; ``None`` where nothing was learned.
    """

    intervention_id: str
    outcome_type: str
    user_response: str = attrs.field(repr=False)
    effectiveness_score: float
    follow_up_needed: bool
    lessons_learned: list[str]
    timestamp: datetime = attrs.field(factory=fields.now)
    durability: Durability | None = None


def _member(kind: type[E], value: E | str) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(item.value) for item in kind)
        raise ValidationError(kind.__name__, f"must be one of {known}") from None
