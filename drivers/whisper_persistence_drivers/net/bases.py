"""What saves of whole records that wait are based on, as the own writes before them are brought in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from whisper_persistence_drivers.net.entries import ERASE


@attrs.frozen
class Raise:
    """What own writes did to the revision of a user.

    Attributes:
        by: how much they raised it.
        to: where it stood then; ``None`` where that was not told.
    """

    by: int
    to: int | None


def rebased(based_on: Mapping[str, int], raised: Mapping[str, Raise]) -> dict[str, int]:
    """Return revisions raised by own writes that were brought in, each once.

    A revision that was read when these were stored already, and not cleared yet, has reached theirs.

    Args:
        based_on: the revisions, by user id.
        raised: what the own writes did, by user id.
    """
    return {user_id: _rebased(revision, raised.get(user_id)) for user_id, revision in based_on.items()}


def _rebased(revision: int, own: Raise | None) -> int:
    reached = own is None or (own.to is not None and revision >= own.to)
    return revision if own is None or reached else revision + own.by


def raised_by(hook: str, items: Sequence[Any], receipts: Sequence[Any]) -> dict[str, Raise]:
    """Return what items did to the revisions of users, by their id; messages and edits do nothing.

    Args:
        hook: which was asked.
        items: with what.
        receipts: what was answered, one for each; of an erase there are none.
    """
    if hook == ERASE:
        return {user_id: Raise(1, None) for user_id in items}
    raised: dict[str, Raise] = {}
    for item, receipt in zip(items, receipts, strict=True):
        if not hasattr(item, "conversation_id"):
            before = raised.get(item.user_id)
            raised[item.user_id] = Raise(before.by + 1 if before else 1, receipt.revision)
    return raised
