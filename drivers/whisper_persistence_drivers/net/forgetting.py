"""Taking erased users out of what waits."""

from __future__ import annotations

from typing import Any

import attrs

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence_drivers.net.entries import ERASE, Entry, body_of, concerns


def cut(entry: Entry, user_ids: frozenset[str]) -> tuple[Entry, tuple[Any, ...]] | None:
    """Return a call and its items without those of some users, or ``None`` where nothing is left of it."""
    if entry.hook == ERASE:
        return entry, entry.items()
    left = tuple(item for item in entry.items() if not concerns(item, user_ids))
    return (attrs.evolve(entry, body=body_of(entry.hook, left)), left) if left else None


def holds_any(entry: Entry, user_ids: frozenset[str]) -> bool:
    """Say whether a call holds anything of some users; one that cannot be read might."""
    try:
        return entry.hook != ERASE and any(concerns(item, user_ids) for item in entry.items())
    except StorageDamagedError:
        return True
