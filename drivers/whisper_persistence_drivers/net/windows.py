"""What a window shows once the messages and edits that wait are folded into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from whisper_persistence.records import ClearMark, Message, Window
from whisper_persistence_drivers.net.backlog import Call, Waiting
from whisper_persistence_drivers.net.entries import ERASE, concerns


def fold_window(window: Window, base: Any, calls: Sequence[tuple[str, Sequence[Any]]], unknown: Any) -> Any:
    """Return what a window shows after some calls; see `folds.fold`.

    What waits has no sequence yet and comes after all that has one. A window whose stored part is not known is known
    all the same where as many messages wait as it shows; so is one that an erase made room in, if it is full again.
    """
    if base is unknown and (window.before is not None or window.message_id is not None):
        return unknown
    known = base is not unknown
    shown: list[Message] = list(base or ()) if known else []
    all_stored = known and (len(shown) < window.limit or window.message_id is not None)
    for called, items in calls:
        for item in items:
            if called == ERASE:
                left = [message for message in shown if not concerns(message, frozenset({item}))]
                known = known and (all_stored or len(left) == len(shown))
                shown = left
            elif getattr(item, "conversation_id", None) == window.conversation_id:
                known = known or _clears(item)
                shown = _fold(window, shown, item)
    return (window.show(shown) or None) if known or _is_full(window, shown) else unknown


def _is_full(window: Window, shown: Sequence[Message]) -> bool:
    """Say whether it shows nothing older, or nothing between what is stored and what waits, than is known."""
    counted = shown if window.after is None else [message for message in shown if message.sequence is not None]
    return len(counted) >= window.limit


def sought_messages(window: Window, calls: Sequence[Call]) -> list[Window]:
    """Return what finds the messages in some calls, where they are stored, that a window may show as the newest."""
    if window.before is not None or window.message_id is not None:
        return []
    ids = [message.message_id for message in _messages(window, calls)]
    return [Window(window.conversation_id, 1, message_id=one) for one in ids[-window.limit :]]


def without_stored(window: Window, waiting: Waiting, missing: AbstractSet[str | None]) -> Waiting:
    """Return what waits without the messages that are stored: all that may be, but those that are missing."""
    stored = {m.message_id for m in _messages(window, waiting.maybe_stored())} - missing
    left_out = {id(m) for m in _messages(window, waiting.calls.values()) if m.message_id in stored}
    calls = {
        place: (hook, tuple(item for item in items if id(item) not in left_out))
        for place, (hook, items) in waiting.calls.items()
    }
    return attrs.evolve(waiting, calls=calls)


def hides_stored(window: Window, base: Sequence[Message] | None, calls: Iterable[Call]) -> bool:
    """Say whether some of what waits may be stored, and older than all that a window shows of what is stored.

    What waits is stored in order: where a window shows some of it, and not what came before that, more is stored.
    """
    if base is None or (len(base) < window.limit and window.after is None):
        return False
    stored = {message.message_id for message in base}
    shown = [m.message_id in stored for m in _messages(window, calls) if window.lets_through(m)]
    return shown != sorted(shown, reverse=True)


def _messages(window: Window, calls: Iterable[Call]) -> Iterator[Message]:
    items = (item for _, items in calls for item in items if isinstance(item, Message))
    return (message for message in items if message.conversation_id == window.conversation_id)


def _clears(item: Any) -> bool:
    return isinstance(item, ClearMark) and item.through is None


def _fold(window: Window, shown: list[Message], item: Any) -> list[Message]:
    if isinstance(item, Message):
        fits = window.user_id in (None, item.user_id)
        new = fits and all(message.message_id != item.message_id for message in shown)
        return [*shown, item] if new else shown
    if isinstance(item, ClearMark):
        mark = item.through
        return [] if mark is None else [m for m in shown if m.sequence is None or m.sequence > mark]
    return [item.apply_to(m) if m.message_id == item.message_id else m for m in shown]
