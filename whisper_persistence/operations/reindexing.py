"""Building search indexes anew from the messages that are stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from whisper_persistence.errors import NotSupportedError, StorageUnavailableError
from whisper_persistence.store import Store

#: How often to look how far it is, in seconds.
_LOOKING: Final = 0.2


def reindex(store: Store) -> list[str]:
    """Have every driver that keeps an index for searching begin it anew, and return their names.

    An index is a driver's own affair, so it is asked by a method ``reindex()`` beside its hooks. Searches go on: what
    an index does not have yet is looked for without it.

    Raises:
        NotSupportedError: no driver of the chain keeps an index.
    """
    drivers = {name: getattr(driver, "reindex", None) for name, driver in store.chain.drivers.items()}
    able: dict[str, Callable[[], Any]] = {name: begin for name, begin in drivers.items() if begin is not None}
    begun = [name for name, begin in able.items() if begin() is not False]
    if not begun:
        raise NotSupportedError("no driver of the chain keeps a search index: switch search on in its options")
    return begun


def wait_for_indexes(store: Store, seconds: float, report: Callable[[int], None] | None = None) -> None:
    """Wait until no message waits to be indexed, by what `Store.check_health` says.

    Args:
        store: whose indexes.
        seconds: how long to wait at most.
        report: told now and then how many messages wait.

    Raises:
        StorageUnavailableError: it took longer.
    """
    until = time.monotonic() + seconds
    while waiting := sum(tier.details.get("search_lag", 0) for tier in store.check_health()):
        if report:
            report(waiting)
        if time.monotonic() > until:
            raise StorageUnavailableError(f"{waiting:,} messages still wait to be indexed after {seconds:g} s")
        time.sleep(_LOOKING)
