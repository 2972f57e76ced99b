"""What an answer is once the calls that wait are folded into it, by the pure folds of the records themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from whisper_persistence import records as rec
from whisper_persistence_drivers.net.entries import ERASE, talk_key, user_key
from whisper_persistence_drivers.net.windows import fold_window


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


#: What cannot be told; ``None`` is what is known to be absent.
UNKNOWN: Final = _Unknown()
#: The hooks that load, by the subject whose writes change what they answer.
FAMILY: Final = {
    "load_strategies": "strategies",
    "load_outcomes": "strategies",
    "load_statistics": "statistics",
    "load_scores": "statistics",
    "load_patterns": "patterns",
    "load_preferences": "preferences",
    "load_messages": "messages",
}


def thing_of(asked: Any) -> str:
    """Return the key of the user or conversation that a question is about."""
    if isinstance(asked, rec.Window):
        return talk_key(asked.conversation_id)
    return user_key(asked if isinstance(asked, str) else asked.user_id)


def fold(hook: str, asked: Any, base: Any, calls: Sequence[tuple[str, Sequence[Any]]]) -> Any:
    """Return an answer as it is after some calls.

    Args:
        hook: the hook that loads.
        asked: one thing it was asked for.
        base: its answer before the calls; ``None`` for absent, `UNKNOWN` where it is not known.
        calls: hook and items of each call, in order.
    """
    if hook == "load_messages":
        return fold_window(asked, base, calls, UNKNOWN)
    subject, user_id = FAMILY[hook], asked if isinstance(asked, str) else asked.user_id
    applied: set[str] = set()
    for called, items in calls:
        if called == ERASE:
            base = None if user_id in items else base
        elif called.endswith(f"_{subject}"):
            for item in items:
                if item.user_id == user_id and getattr(item, "change_id", None) not in applied:
                    applied.add(getattr(item, "change_id", ""))
                    applied.discard("")
                    base = _FOLDS[hook](asked, base, item)
    return base


def _fold_record(_: Any, base: Any, item: Any) -> Any:
    if not hasattr(item, "change_id"):
        return item
    return UNKNOWN if base is UNKNOWN else item.apply_to(base)


def _fold_statistics(_: Any, base: Any, item: Any) -> Any:
    if isinstance(item, rec.Statistics):
        return item
    return UNKNOWN if base is UNKNOWN or item.memory_ids() else item.apply_to(base, {})


def _fold_scores(_: Any, base: Any, item: Any) -> Any:
    return UNKNOWN if isinstance(item, rec.StatisticsChange) and item.memory_ids() else base


def _fold_patterns(_: Any, base: Any, item: Any) -> Any:
    if base is UNKNOWN:
        return UNKNOWN
    stored = {pattern.pattern_id: pattern for pattern in base or ()}
    whole = isinstance(item, rec.Pattern)
    stored[item.pattern_id] = item if whole else item.apply_to(stored.get(item.pattern_id))
    return tuple(stored[pattern_id] for pattern_id in sorted(stored))


def _fold_outcomes(query: rec.OutcomeQuery, base: Any, item: Any) -> Any:
    if base is UNKNOWN or query.before is not None or not isinstance(item, rec.StrategyChange):
        return base
    known = {outcome.outcome_id for outcome in base or ()}
    new = item.without_outcomes(frozenset(known)).outcomes
    return tuple([*reversed(new), *(base or ())][: query.limit]) or None


_FOLDS: Final[dict[str, Callable[[Any, Any, Any], Any]]] = {
    "load_strategies": _fold_record,
    "load_preferences": _fold_record,
    "load_statistics": _fold_statistics,
    "load_scores": _fold_scores,
    "load_patterns": _fold_patterns,
    "load_outcomes": _fold_outcomes,
}
