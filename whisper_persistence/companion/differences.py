"""What changed between two states of a strategy, as changes that can be applied without reading what is stored."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import msgspec

from whisper_persistence.companion.shapes import NEVER, blank, in_time_order
from whisper_persistence.records import Outcome, Strategy, StrategyChange, checks, fields
from whisper_persistence.records.strategies import HISTORY_LIMIT

#: Equal entries give equal JSON, in whichever order their keys came.
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_OUTCOMES: Final = uuid.UUID("6f0d6a58-3ad5-4c3c-8f43-5c7d3e0f9a11")
_LISTS: Final = ("effective_approaches", "approaches_to_avoid")
_TABLES: Final = ("optimal_timing", "user_preferences", "extra")


def differences(before: Strategy | None, after: Strategy, *, keep_style: bool = False) -> list[StrategyChange]:
    """Return the changes that lead from one state to another; none where nothing changed.

    New history entries of the usual shape become outcomes, which the store keeps without end. Entries that were taken
    away stay: history only grows.

    Args:
        before: the state that is stored, or ``None`` for none.
        after: the state as it is now.
        keep_style: name the communication style even where it is the one that everybody begins with.
    """
    if before == after and not keep_style:
        return []
    start = before or blank(after.user_id)
    entries = _new_entries(start.support_history, after.support_history)
    outcomes = [outcome for outcome in (_outcome(after.user_id, *entry) for entry in entries) if outcome]
    kept = [outcome.history_entry() for outcome in outcomes]
    raw = [entry for entry, _ in entries if entry not in kept]
    more: dict[str, Any] = {"communication_style": after.communication_style} if keep_style else {}
    first = _change(start, after, outcomes=outcomes, support_history=raw, **more)
    if before is not None and not _says_anything(first) and after.last_updated <= before.last_updated:
        return []
    second = _change(fold(start, [first]), after)
    return [first, second] if _says_anything(second) else [first]


def fold(start: Strategy | None, changes: Iterable[StrategyChange]) -> Strategy:
    """Return a state after some changes, its history in the order of time.

    Raises:
        ValueError: there is neither a state nor a change.
    """
    state = start
    for change in changes:
        state = change.apply_to(state)
    if state is None:
        raise ValueError("nothing to begin with: give a state or a change")
    return attrs.evolve(state, support_history=in_time_order(state.support_history))


def merge(stored: Strategy, changes: Sequence[StrategyChange]) -> list[StrategyChange]:
    """Return changes that were learned without knowing what is stored, as they join it.

    Lists become unions, the newer side wins for single values, entries that are stored already count once, and the
    history comes out in the order of time.
    """
    joined = [_joining(change, stored) for change in changes]
    state = stored
    for change in joined:
        state = change.apply_to(state)
    news = (entry for change in joined for entry in _entries_of(change))
    wanted = in_time_order((*stored.support_history, *news))
    if len(wanted) == HISTORY_LIMIT and list(in_time_order(state.support_history)) != list(wanted):
        joined.append(StrategyChange(stored.user_id, support_history=wanted, timestamp=state.last_updated))
    return joined


def _joining(change: StrategyChange, stored: Strategy) -> StrategyChange:
    known = stored.support_history
    joining = attrs.evolve(
        change,
        outcomes=tuple(outcome for outcome in change.outcomes if outcome.history_entry() not in known),
        support_history=tuple(entry for entry in change.support_history if entry not in known),
        removed={name: _unknown(keys, getattr(stored, name)) for name, keys in change.removed.items()},
    )
    if stored.last_updated <= change.timestamp:
        return joining
    tables: dict[str, Any] = {name: _without_keys(getattr(change, name), getattr(stored, name)) for name in _TABLES}
    return attrs.evolve(joining, communication_style=None, **tables)


def _unknown(keys: Sequence[str], known: Container[str]) -> list[str]:
    return [key for key in keys if key not in known]


def _without_keys(entries: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in entries.items() if key not in known}


def _entries_of(change: StrategyChange) -> list[dict[str, Any]]:
    return [*change.support_history, *(outcome.history_entry() for outcome in change.outcomes)]


def _change(start: Strategy, after: Strategy, **more: Any) -> StrategyChange:
    lists = {name: _list_steps(getattr(start, name), getattr(after, name)) for name in _LISTS}
    tables = {name: _table_steps(getattr(start, name), getattr(after, name)) for name in _TABLES}
    steps = {**lists, **tables}
    told: dict[str, Any] = {
        "communication_style": _unless_equal(after.communication_style, start.communication_style),
        "removed": {name: removed for name, (removed, _) in steps.items() if removed},
        "timestamp": after.last_updated if after.last_updated > NEVER else fields.now(),
        **{name: added for name, (_, added) in steps.items()},
    }
    return StrategyChange(after.user_id, **{**told, **more})


def _unless_equal(value: str, before: str) -> str | None:
    return None if value == before else value


def _list_steps(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    kept = tuple(item for item in before if item in after)
    if after[: len(kept)] == kept:
        return tuple(item for item in before if item not in after), after[len(kept) :]
    return before, after


def _table_steps(before: dict[str, Any], after: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    changed = {key: item for key, item in after.items() if key not in before or before[key] != item}
    return tuple(key for key in before if key not in after), changed


def _says_anything(change: StrategyChange) -> bool:
    content = (*(getattr(change, name) for name in (*_LISTS, *_TABLES)), change.outcomes, change.support_history)
    return any(content) or bool(change.removed) or change.communication_style is not None


def _new_entries(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Return the entries that were not there before, each with how many equal ones came earlier."""
    known = Counter(_text(entry) for entry in before)
    seen: Counter[str] = Counter()
    new: list[tuple[dict[str, Any], int]] = []
    for entry in after:
        text = _text(entry)
        seen[text] += 1
        if seen[text] > known[text]:
            new.append((entry, seen[text] - 1))
    return new


def _text(entry: Any) -> str:
    return _encode(entry).decode()


def _outcome(user_id: str, entry: dict[str, Any], earlier: int) -> Outcome | None:
    """Return a history entry as an outcome, or ``None`` where that would not give the same entry back.

    Its id follows from its content, so that adopting the same data twice counts once.
    """
    try:
        when = datetime.fromisoformat(entry["timestamp"])
        given = {name: entry[name] for name in ("intervention_id", "intervention_style", "effectiveness_score")}
        outcome = Outcome(
            **given,
            outcome_type=entry["outcome_type"],
            timestamp=when,
            outcome_id=str(uuid.uuid5(_OUTCOMES, f"{len(user_id)}:{user_id}{earlier}:{_text(entry)}")),
            user_id=user_id,
        )
        same = _text(outcome.history_entry()) == _text(entry)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return outcome if same and not _problem(outcome) else None


def _problem(outcome: Outcome) -> str | None:
    return (
        checks.check_number(outcome.effectiveness_score, 0, 1)
        or checks.check_id(outcome.intervention_id)
        or checks.check_label(outcome.intervention_style)
        or checks.check_label(outcome.outcome_type)
        or checks.check_moment(outcome.timestamp)
    )
