"""A store that a bot may start with while its storage is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from whisper_persistence import AsyncStore, StorageUnavailableError, StoreClosedError
from whisper_persistence.forgetters import Forgetters

#: How long a storage that could not be opened is left alone, in seconds.
RETRY_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class LateStore:
    """An `AsyncStore` that is opened as soon as its storage answers; until then calls say that it does not.

    It has the methods of the store that it stands for.
    """

    def __init__(
        self, store: AsyncStore, retry_seconds: float = RETRY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Stand for a store that is not open yet; opening one that is does nothing.

        Args:
            store: the store.
            retry_seconds: how long a storage that could not be opened is left alone.
            clock: seconds that never go back.
        """
        self._store = store
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._open = self._closed = False
        self._opening: asyncio.Task[None] | None = None
        self._again_at = float("-inf")

    @property
    def forgetters(self) -> Forgetters:
        """Whoever is told when users are erased, as the store has them, open or not."""
        return self._store.forgetters

    async def open(self) -> None:
        """Open the store, or leave that to a later call where the storage does not answer.

        Raises:
            PersistenceError: it can never be opened as it is: a setting is wrong, or its content cannot be read.
        """
        try:
            await self._ready()
        except StorageUnavailableError as error:
            _log.warning("started without the storage: %s", error)

    async def close(self) -> None:
        """Close the store."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._store.close()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Return a method of the store, which opens it first."""
        method = getattr(self._store, name)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            if not self._open:
                await self._ready()
            return await method(*args, **kwargs)

        return ask

    async def _ready(self) -> None:
        if self._open:
            return
        if self._closed:
            raise StoreClosedError("the memory was asked after it was detached: attach it again")
        if self._opening is None:
            if self._clock() < self._again_at:
                raise StorageUnavailableError("the storage could not be opened a moment ago: it is tried again soon")
            self._opening = asyncio.create_task(self._open_now())
        await asyncio.shield(self._opening)

    async def _open_now(self) -> None:
        try:
            await self._store.open()
            self._open = True
        finally:
            self._again_at = self._clock() + self._retry_seconds
            self._opening = None
