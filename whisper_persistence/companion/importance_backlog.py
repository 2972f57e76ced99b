"""Changes on their way to the store: those that it could not take wait here, and go first once it answers again.

A change carries its own id and applying it twice equals once, so sending it again after an answer was lost is safe.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import attrs

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.asynchronous import asynchronous
from whisper_persistence.errors import StorageUnavailableError, StoreClosedError
from whisper_persistence.records import Durability, fields
from whisper_persistence.records.checks import MAX_BATCH

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class _Entry:
    hook: str
    item: Any
    key: str
    later: tuple[str, Any] | None = None
    durability: Durability = Durability.VOLATILE
    error: BaseException | None = None


@attrs.define(eq=False)
class Backlog:
    """The way to the store that survives an outage.

    Attributes:
        store: where changes go.
        limit: how many may wait; of more, the oldest are lost.
        retry_seconds: how long a store that did not answer is left alone.
        clock: seconds that only grow.
        lost: how many changes that waited were lost, to the limit or because the store refused them.
    """

    store: AsyncStore = attrs.field(converter=asynchronous)
    limit: int = 1_000
    retry_seconds: float = 1.0
    clock: Callable[[], float] = time.monotonic
    lost: int = 0
    _waiting: dict[str, _Entry] = attrs.field(factory=dict[str, _Entry])
    _ask_again_at: float = 0.0
    _flushing: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self, user_id: str, *hooks: str) -> list[Any]:
        """Return what waits to be sent to these hooks about a user, oldest first."""
        return [e.item for e in self._waiting.values() if e.hook in hooks and e.item.user_id == user_id]

    def forget(self, user_id: str) -> None:
        """Drop what waits about exactly this user."""
        self._waiting = {key: e for key, e in self._waiting.items() if e.item.user_id != user_id}

    async def write(self, hook: str, item: Any, later: tuple[str, Any] | None = None) -> Durability:
        """Send a change, after those that wait, and return how safe it is; in an outage it waits in memory.

        Args:
            hook: where to.
            item: the change, or a whole record.
            later: another hook and change that wait in its stead: a whole record would wipe what others wrote.

        Raises:
            PersistenceError: the store refused it, which an outage is not.
        """
        entry = _Entry(hook, item, getattr(item, "change_id", None) or fields.new_id(), later)
        if self._waiting or self._is_resting():
            self._keep(entry)
            entry.error = await self._send_waiting() or entry.error
        else:
            await self._send(entry)
        if entry.error is not None:
            self._waiting.pop(entry.key, None)
            raise entry.error
        return entry.durability

    async def ask(self, hook: str, item: Any) -> Any:
        """Return what the store answers to one question, after it was sent what waits.

        Raises:
            StorageUnavailableError: the storage did not answer, or did not a moment ago.
        """
        if self._waiting:
            await self.flush()
        if self._is_resting():
            raise StorageUnavailableError(f"{hook} was not asked: the storage did not answer a moment ago")
        try:
            return await getattr(self.store, hook)([item])
        except StorageUnavailableError:
            self._rest()
            raise

    async def flush(self) -> int:
        """Send what waits, in order, as far as the store takes it, and return how much still waits."""
        await self._send_waiting()
        return len(self._waiting)

    async def _send_waiting(self) -> BaseException | None:
        """Send what waits, and return what else than an outage kept the store from taking it."""
        async with self._flushing:
            while self._waiting and not self._is_resting():
                run = self._next_run()
                await asyncio.gather(*map(self._send, run))
                left = [entry.error for entry in run if entry.key in self._waiting]
                if left:
                    return left[0]
                if not self._waiting:
                    _log.info("all changes that waited were sent")
        return None

    def _next_run(self) -> list[_Entry]:
        """Return the oldest that wait, up to where another hook comes: hooks do not keep an order among each other."""
        run: list[_Entry] = []
        for entry in self._waiting.values():
            if len(run) == MAX_BATCH or (run and entry.hook != run[0].hook):
                break
            run.append(entry)
        return run

    async def _send(self, entry: _Entry) -> None:
        entry.error = None
        try:
            receipts = await getattr(self.store, entry.hook)([entry.item])
        except StoreClosedError as error:
            entry.error = error
        except StorageUnavailableError:
            self._rest()
            self._keep(entry)
        except asyncio.CancelledError:
            self._keep(entry)
            raise
        except Exception as error:
            entry.error = error
            self._drop(entry)
        else:
            entry.durability = receipts[0].durability
            self._waiting.pop(entry.key, None)

    def _keep(self, entry: _Entry) -> None:
        if not self._waiting:
            _log.warning("the storage does not answer: changes wait in memory")
        if entry.later is not None:
            entry.hook, entry.item = entry.later
        self._waiting.setdefault(entry.key, entry)
        while len(self._waiting) > self.limit:
            self._drop(next(iter(self._waiting.values())))

    def _drop(self, entry: _Entry) -> None:
        if self._waiting.pop(entry.key, None):
            self.lost += 1
            _log.warning(
                "a change that waited is lost", extra={"hook": entry.hook, "error": type(entry.error).__name__}
            )

    def _is_resting(self) -> bool:
        return self.clock() < self._ask_again_at

    def _rest(self) -> None:
        self._ask_again_at = self.clock() + self.retry_seconds
