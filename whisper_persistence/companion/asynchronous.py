"""The companion's classes await their store."""

from __future__ import annotations

from whisper_persistence.aio import AsyncStore
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.store import Store


def asynchronous(store: AsyncStore) -> AsyncStore:
    """Return a store that can be awaited.

    Raises:
        ConfigurationError: it is a `Store`.
    """
    if isinstance(store, Store):
        raise ConfigurationError("the companion awaits its store, and was given a Store: give it an AsyncStore")
    return store
