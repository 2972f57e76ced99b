"""What was learned about a user, turned into the next choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from whisper_persistence.companion.support import InterventionStyle, SupportTiming
from whisper_persistence.records import Outcome, Strategy

#: The circumstances that outcomes are kept with and compared by.
SITUATION: Final = ("mood", "topic", "time_of_day")
#: How much each newer outcome of the same approach takes away from the weight of an older one.
DECAY: Final = 0.6
#: How much each newer outcome of any approach takes away from the weight of an older one: what was tried long ago is
#: less and less known, so that it gets another chance once nothing else helps.
FADING: Final = 0.97
#: An approach that helped is given up where its newest outcomes are worth less; 0.5 is what a reply without a word of
#: thanks or refusal scores.
STILL_HELPS: Final = 0.52
#: What an approach that was never tried is expected to score: more than a middling one, less than one that helps.
UNTRIED: Final = 0.6
#: How much an outcome counts that came under other circumstances.
ELSEWHERE: Final = 0.3

_CRISIS: Final = InterventionStyle.CRISIS_INTERVENTION.value
_USUAL: Final = tuple(style.value for style in InterventionStyle if style.value != _CRISIS)


@attrs.frozen
class Recommendation:
    """How to support a user next.

    Attributes:
        user_id: whom.
        approach: what to try, such as ``gentle_check_in``.
        style: how to word it.
        timing: when to offer it.
        reasons: why, in words for a person.
        confidence: 0 where nothing is known, nearing 1 with every outcome that speaks about the approach.
    """

    user_id: str
    approach: str
    style: str
    timing: SupportTiming
    reasons: tuple[str, ...]
    confidence: float


@attrs.frozen
class _Evidence:
    """What the outcomes of one approach say, the newer and the better fitting the louder."""

    count: int = 0
    helped: int = 0
    weight: float = 0.0
    total: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.weight if self.weight else UNTRIED

    @property
    def expected(self) -> float:
        return (self.total + UNTRIED) / (self.weight + 1)


def situation_of(*contexts: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the circumstances among everything that a bot says about a moment; later contexts win."""
    merged = {key: value for context in contexts if context for key, value in context.items()}
    return {key: merged[key][:100] for key in SITUATION if isinstance(merged.get(key), str)}


def is_crisis(context: Mapping[str, Any]) -> bool:
    """Return whether a bot says that this is a crisis."""
    kind = context.get("support_type")
    return bool(context.get("crisis")) or getattr(kind, "value", kind) == "crisis"


def recommend(
    user_id: str, strategy: Strategy | None, outcomes: Sequence[Outcome], context: Mapping[str, Any]
) -> Recommendation:
    """Return how to support a user next: what helped first, what is to be avoided only when nothing else is left.

    Args:
        user_id: whom.
        strategy: what was learned, if anything.
        outcomes: the newest outcomes, newest first; an approach counts by its newest ones.
        context: the circumstances (`SITUATION`), ``support_type`` or ``crisis``, ``support_urgency`` from 1 to 5, and
            ``approaches`` to choose among; anything else is left alone.
    """
    known = strategy or Strategy(user_id, "")
    seen = _weigh(outcomes or _from_history(known), situation_of(context))
    crisis = is_crisis(context)
    wished = known.optimal_timing.get(str(context.get("time_of_day")))
    candidates = _candidates(known, seen, context, crisis)

    def rank(approach: str) -> tuple[bool, bool, bool, bool, float]:
        evidence = seen.get(approach, _Evidence())
        return (
            not _is_avoided(approach, known, evidence),
            crisis and approach == _CRISIS,
            _is_effective(approach, known, evidence),
            approach == wished,
            round(evidence.expected, 9),
        )

    approach = max(candidates, key=rank)
    evidence = seen.get(approach, _Evidence())
    timing, because = _timing(approach, known, context, crisis)
    reasons = (*_reasons(approach, known, evidence, seen), *(["this is a crisis"] if crisis else []), *because)
    confidence = _confidence(evidence, approach in known.effective_approaches)
    return Recommendation(user_id, approach, known.communication_style, timing, reasons, confidence)


def _confidence(evidence: _Evidence, listed: bool) -> float:
    return round(max(evidence.count / (evidence.count + 2), 0.5 if listed else 0.0), 3)


def _candidates(
    known: Strategy, seen: Mapping[str, _Evidence], context: Mapping[str, Any], crisis: bool
) -> tuple[str, ...]:
    given = cast("Any", context.get("approaches"))
    if given and isinstance(given, (list, tuple)):
        return tuple(str(getattr(item, "value", item)) for item in cast("Iterable[Any]", given))
    learned = (*known.effective_approaches, *known.approaches_to_avoid, *seen)
    every: dict[str, None] = dict.fromkeys((*_USUAL, *learned, _CRISIS))
    return tuple(approach for approach in every if crisis or approach != _CRISIS)


def _weigh(outcomes: Iterable[Outcome], situation: Mapping[str, str]) -> dict[str, _Evidence]:
    seen: dict[str, _Evidence] = {}
    ages: dict[str, float] = {}
    for newer, outcome in enumerate(outcomes):
        style = outcome.intervention_style
        fits = 1.0 if _fits(outcome.context, situation) else ELSEWHERE
        weight = fits * DECAY ** ages.get(style, 0.0) * FADING**newer
        ages[style] = ages.get(style, 0.0) + fits
        before = seen.get(style, _Evidence())
        seen[style] = _Evidence(
            before.count + 1,
            before.helped + (outcome.effectiveness_score >= 0.6),
            before.weight + weight,
            before.total + weight * outcome.effectiveness_score,
        )
    return seen


def _fits(kept: Mapping[str, Any], situation: Mapping[str, str]) -> bool:
    return all(kept.get(key, value) == value for key, value in situation.items())


def _from_history(known: Strategy) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for entry in reversed(known.support_history):
        style, score = entry.get("intervention_style"), entry.get("effectiveness_score")
        if isinstance(style, str) and isinstance(score, (int, float)):
            outcomes.append(Outcome("history", style, float(score), outcome_id="history"))
    return outcomes


def _is_avoided(approach: str, known: Strategy, evidence: _Evidence) -> bool:
    """Return whether an approach is to be avoided; one that also helped is judged by its newest outcomes."""
    if approach not in known.approaches_to_avoid:
        return False
    return approach not in known.effective_approaches or not evidence.weight or evidence.mean < 0.5


def _is_effective(approach: str, known: Strategy, evidence: _Evidence) -> bool:
    return approach in known.effective_approaches and (not evidence.weight or evidence.mean >= STILL_HELPS)


def _timing(
    approach: str, known: Strategy, context: Mapping[str, Any], crisis: bool
) -> tuple[SupportTiming, tuple[str, ...]]:
    if crisis:
        return SupportTiming.IMMEDIATE, ()
    names = (approach, *situation_of(context).values(), "preferred", "default", "any")
    values = {timing.value: timing for timing in SupportTiming}
    for name in names:
        wish = known.optimal_timing.get(name)
        if isinstance(wish, str) and wish in values:
            return values[wish], (f"learned timing for {name}: {wish}",)
    urgency = context.get("support_urgency", 0)
    if urgency in (4, 5):
        return SupportTiming.IMMEDIATE, ()
    return (SupportTiming.WITHIN_HOUR if urgency == 3 else SupportTiming.WITHIN_DAY), ()


def _reasons(approach: str, known: Strategy, evidence: _Evidence, seen: Mapping[str, _Evidence]) -> tuple[str, ...]:
    reasons: list[str] = []
    if evidence.count:
        reasons.append(f"{approach} helped {evidence.helped} of {evidence.count} times, lately {evidence.mean:.2f}")
    elif approach in known.effective_approaches:
        reasons.append(f"{approach} is known to help")
    elif seen or known.effective_approaches or known.approaches_to_avoid:
        reasons.append(f"{approach} was not tried yet")
    else:
        reasons.append("nothing is known about this user yet")
    if _is_avoided(approach, known, evidence):
        reasons.append("nothing else is left: everything did not help")
    avoided = [other for other in known.approaches_to_avoid if other != approach]
    if avoided:
        reasons.append(f"avoids {', '.join(avoided)}")
    return tuple(reasons)
