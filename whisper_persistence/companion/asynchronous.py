"""The companion's classes await their store."""

from __future__ import annotations

from whisper_persistence.aio import AsyncStore
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.store import Store


def asynchronous(store: AsyncStore) -> AsyncStore:
    """Return a store that can be awaited.

    Raises:
        ConfigurationError: it is a `Store`, or no store at all.
    """
    if isinstance(store, Store) or not hasattr(store, "load_messages"):
        given = type(store).__name__
        raise ConfigurationError(f"the companion awaits its store, and was given a {given}: give it an AsyncStore")
    return store
