"""What changed between two states of a strategy, as changes that can be applied without reading what is stored."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from whisper_persistence.companion.histories import in_time_order, new_entries
from whisper_persistence.companion.history_outcomes import outcome_of
from whisper_persistence.companion.strategy_shapes import NEVER, alike, blank
from whisper_persistence.records import Outcome, Strategy, StrategyChange, fields
from whisper_persistence.records.checks import MAX_MEMBERS
from whisper_persistence.records.strategies import HISTORY_LIMIT

_LISTS: Final = ("effective_approaches", "approaches_to_avoid")
_TABLES: Final = ("optimal_timing", "user_preferences", "extra")

_content: Final = attrgetter(*_LISTS, *_TABLES, "communication_style")


def differences(before: Strategy | None, after: Strategy, *, keep_style: bool = False) -> list[StrategyChange]:
    """Return the changes that lead from one state to another; none where nothing changed.

    New history entries of the usual shape become outcomes, which the store keeps without end. Entries that were taken
    away stay: history only grows.

    Args:
        before: the state that is stored, or ``None`` for none.
        after: the state as it is now.
        keep_style: name the communication style even where it is the one that everybody begins with.
    """
    return advance(before, after, keep_style=keep_style)[0]


def advance(
    before: Strategy | None, after: Strategy, *, keep_style: bool = False, session_id: str = ""
) -> tuple[list[StrategyChange], Strategy | None]:
    """Return the changes that `differences` returns, and the state that they lead to.

    What is one object in both states is not looked into; `to_record` of `whisper_persistence.companion.strategy_shapes`
    takes care that this is most of it.

    Args:
        before: as `differences` takes it.
        after: as `differences` takes it.
        keep_style: as `differences` takes it.
        session_id: the run of the bot that new outcomes are noted to be of.
    """
    if not keep_style and before is after:
        return [], before
    start = before or blank(after.user_id)
    outcomes, raw = _learned(after.user_id, new_entries(start.support_history, after.support_history), session_id)
    more: dict[str, Any] = {"communication_style": after.communication_style} if keep_style else {}
    first = _change(start, after, outcomes=outcomes, support_history=raw, **more)
    if before is not None and not _says_anything(first) and after.last_updated <= before.last_updated:
        return [], before
    state = _in_order(first.apply_to(start), after)
    if _content(state) == _content(after):
        return _split(first), state
    second = _change(state, after)
    return [*_split(first), *_split(second)], fold(state, [second])


def _in_order(state: Strategy, after: Strategy) -> Strategy:
    """Return a state with its history in the order of time, in which ``after`` has it already."""
    if state.support_history == after.support_history:
        return state
    return attrs.evolve(state, support_history=in_time_order(state.support_history))


def _learned(
    user_id: str, entries: list[tuple[dict[str, Any], int]], session_id: str
) -> tuple[list[Outcome], list[dict[str, Any]]]:
    """Return new history entries as outcomes, and entries that are no outcomes unchanged."""
    outcomes: list[Outcome] = []
    raw: list[dict[str, Any]] = []
    for entry, earlier in entries:
        outcome = outcome_of(user_id, entry, earlier, session_id)
        if outcome is None:
            raw.append(entry)
        else:
            outcomes.append(outcome)
    return outcomes, raw


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
    told: dict[str, Any] = {"timestamp": after.last_updated if after.last_updated > NEVER else fields.now(), **more}
    removed: dict[str, Sequence[str]] = {}
    for name, steps in _STEPS.items():
        was, now = getattr(start, name), getattr(after, name)
        if was is not now:
            gone, told[name] = steps(was, now)
            removed.update({name: gone} if gone else {})
    if after.communication_style != start.communication_style:
        told["communication_style"] = after.communication_style
    return StrategyChange(after.user_id, removed=removed, **told)


def _split(change: StrategyChange) -> list[StrategyChange]:
    """Return a change as several, if it takes away more than one may."""
    most = max(map(len, change.removed.values()), default=0)
    removals = [
        {name: keys[first : first + MAX_MEMBERS] for name, keys in change.removed.items() if keys[first:]}
        for first in range(0, most, MAX_MEMBERS)
    ]
    if len(removals) <= 1:
        return [change]
    before = [StrategyChange(change.user_id, removed=part, timestamp=change.timestamp) for part in removals[:-1]]
    return [*before, attrs.evolve(change, removed=removals[-1])]


def _list_steps(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    kept = tuple(item for item in before if item in after)
    if after[: len(kept)] == kept:
        return tuple(item for item in before if item not in after), after[len(kept) :]
    return before, after


def _table_steps(before: dict[str, Any], after: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    changed = {key: item for key, item in after.items() if key not in before or not alike(before[key], item)}
    return tuple(key for key in before if key not in after), changed


def _says_anything(change: StrategyChange) -> bool:
    if change.outcomes or change.support_history or change.removed or change.communication_style is not None:
        return True
    return any(getattr(change, name) for name in _STEPS)


_STEPS: Final[dict[str, Callable[[Any, Any], tuple[tuple[str, ...], Any]]]] = {
    **dict.fromkeys(_LISTS, _list_steps),
    **dict.fromkeys(_TABLES, _table_steps),
}
