"""What a window shows once the messages and edits that wait are folded into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whisper_persistence.records import ClearMark, Message, Window
from whisper_persistence_drivers.net.entries import ERASE, concerns


def fold_window(window: Window, base: Any, calls: Sequence[tuple[str, Sequence[Any]]], unknown: Any) -> Any:
    """Return what a window shows after some calls; see `folds.fold`.

    What waits has no sequence yet and comes after all that has one. A window whose stored part is not known is known
    all the same where as many messages wait as it shows.
    """
    if window.before is not None or window.message_id is not None:
        return base if not calls else unknown
    known = base is not unknown
    shown: list[Message] = list(base or ()) if known else []
    for called, items in calls:
        for item in items:
            if called == ERASE:
                shown = [message for message in shown if not concerns(message, frozenset({item}))]
            elif getattr(item, "conversation_id", None) == window.conversation_id:
                known = known or _clears(item)
                shown = _fold(window, shown, item)
    if not known and (window.after is not None or len(shown) < window.limit):
        return unknown
    return window.show(shown) or None


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
