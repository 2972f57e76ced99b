"""Work for the storage beside the work of the bot, which waits for it a little while only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import attrs

from whisper_persistence import PersistenceError

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Errands:
    """What is on its way to the storage; none of it raises, and a cancelled caller stops none of it.

    Attributes:
        patience: how long a caller waits for one at most, in seconds.
    """

    patience: float
    _running: set[asyncio.Task[None]] = attrs.field(factory=set[asyncio.Task[None]])

    def start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        """Begin something that nobody waits for."""
        task = asyncio.create_task(_quietly(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin something, and wait for it as long as `patience` lasts; then it goes on by itself."""
        await asyncio.wait([self.start(work)], timeout=self.patience)

    async def settle(self, seconds: float) -> int:
        """Wait for everything that runs, and return how much did not end in time."""
        waiting = [task for task in self._running if task is not asyncio.current_task()]
        if not waiting:
            return 0
        return len((await asyncio.wait(waiting, timeout=seconds))[1])

    def cancel(self) -> None:
        """Give up what still runs."""
        for task in self._running:
            task.cancel()


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except PersistenceError as error:
        _log.warning("not kept: %s", type(error).__name__)
    except Exception as error:
        _log.exception("not kept", extra={"error": type(error).__name__})
