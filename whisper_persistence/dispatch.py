"""Between an event loop and a store's threads: which calls go where, and how they begin and end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

import attrs

from whisper_persistence.crew import Crew, Crews, Turns, hand_back, settle
from whisper_persistence.errors import StoreClosedError
from whisper_persistence.lanes import LATE, Lane, entries_of, receipts_of
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Receipt
from whisper_persistence.store import Store

K = TypeVar("K")
V = TypeVar("V")
Answer: TypeAlias = asyncio.Future[V]
Receipts: TypeAlias = asyncio.Future[Sequence[Receipt]]

#: How long drivers may take to close when the deadline has passed, in seconds.
CLOSING_SECONDS: Final = 1.0
#: What asks how everything fares.
_WATCHING: Final = (Store.check_health, Store.metrics)
#: What goes after every write that was called before it: what was told before an erase must not be stored after it.
_AFTER_WRITES: Final = (Store.erase_users,)

_log = logging.getLogger(__name__)


async def open_store(moving: Turns, chain: Chain, namespace: str) -> Store:
    """Return a store, opened on a thread; when its caller is cancelled, what was opened is closed again."""
    wanted = True

    def opened() -> Store:
        if not wanted:
            raise asyncio.CancelledError
        return Store(chain, namespace)

    try:
        store = await moving.run(opened)
    except BaseException:
        wanted = False
        moving.submit(partial(chain.close, quietly=True))
        raise
    moving.join(CLOSING_SECONDS)
    return store


@attrs.define(eq=False)
class Lanes:
    """The lanes of every hook on the running event loop; another loop than before starts with lanes of its own.

    Attributes:
        crews: who does the work.
        ask: any hook, as a function of its name and a batch.
        readers, writers: how many batches of a loading and of a writing hook may be on their way at once.
    """

    crews: Crews
    ask: Callable[[str, Sequence[Any]], Any]
    readers: int
    writers: int
    _loop: asyncio.AbstractEventLoop | None = None
    _lanes: dict[str, Lane] = attrs.field(factory=dict[str, Lane])
    _alone: set[asyncio.Future[Any]] = attrs.field(factory=set[asyncio.Future[Any]])

    def load(self, method: Callable[[Store, Sequence[K]], Mapping[K, V]], items: Sequence[K]) -> Answer[Mapping[K, V]]:
        """Add items to the next batch of the loading hook that a store's method is named after.

        The method itself is not called: it is named so that type checkers know what goes in and what comes back.
        """
        return self._lane(self.crews.loading, method, entries_of, self.readers).call(items)

    def write(self, method: Callable[[Store, Any], Sequence[Receipt]], items: Sequence[Any], key: str) -> Receipts:
        """Add items to the next batch of the writing hook that a store's method is named after.

        Args:
            method: the store's method, as for `load`.
            items: what to write.
            key: the field of the items that names what they write to.
        """
        keys = frozenset([getattr(item, key) for item in items])
        return self._lane(self.crews.writing, method, receipts_of, self.writers).call(items, keys)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function on a thread: on its own where it watches; it goes on when its caller is cancelled."""
        self._meet_loop()
        crew = self.crews.watching if function in _WATCHING else self.crews.rest
        future = crew.run(function, *arguments, after=self._written() if function in _AFTER_WRITES else None)
        self._alone.add(future)
        future.add_done_callback(self._alone.discard)
        return await asyncio.shield(future)

    async def close(self, last: Callable[[], None], deadline: float) -> None:
        """Wait for what is on its way, then call a last function and end the crews.

        Args:
            last: what to do when nobody is at work any more.
            deadline: how long to wait, in seconds; callers who wait longer get a `StoreClosedError`.
        """
        began = time.monotonic()
        late = True
        try:
            late = await self._drain(deadline)
        finally:
            for lane in list(self._lanes.values()):
                hand_back(lane.loop, lane.abandon)
            for future in list(self._alone):  # its own loop may go on, and take out what is done
                hand_back(future.get_loop(), settle, future, None, StoreClosedError(LATE))
            left = max(CLOSING_SECONDS, began + deadline - time.monotonic())
            await self._end(last, 0.0 if late else left, left)

    async def _drain(self, deadline: float) -> bool:
        """Wait for what is on its way on the running loop, and say whether it took too long."""
        if self._loop is not asyncio.get_running_loop():
            return False
        waited = [*(lane.drained() for lane in self._lanes.values()), *self._alone]
        late = (await asyncio.wait(waited, timeout=deadline))[1] if waited else ()
        if late:
            _log.warning("closed before all was done", extra={"waits": len(late), "deadline": deadline})
        return bool(late)

    async def _end(self, last: Callable[[], None], patience: float, seconds: float) -> None:
        """Stop the crews and call the last function on the thread that moves, since theirs may all be stuck."""

        def end() -> None:
            self.crews.stop(patience)
            last()

        future = self.crews.moving.run(end)
        done, _ = await asyncio.wait([future], timeout=seconds)
        if done:
            self.crews.moving.join(CLOSING_SECONDS)
            future.result()
        else:
            _log.warning("a driver did not close in time", extra={"seconds": seconds})

    def _written(self) -> asyncio.Future[Any]:
        """Return a future that is done when every write that was called on this loop before is over."""
        return asyncio.gather(*(lane.settled() for lane in self._lanes.values() if lane.crew is self.crews.writing))

    def _lane(
        self, crew: Crew, method: Callable[..., Any], part: Callable[[Any, int, Sequence[Any]], Any], width: int
    ) -> Lane:
        loop = self._meet_loop()
        hook = method.__name__
        lane = self._lanes.get(hook)
        if lane is None:
            lane = self._lanes[hook] = Lane(crew, partial(self.ask, hook), part, width, loop)
        return lane

    def _meet_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop; one that was not seen before finds nothing on its way."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._lanes, self._alone = loop, {}, set()
        return loop


class _NotOpen:
    def __getattr__(self, name: str) -> Any:
        raise StoreClosedError("the store is not open: use it inside `async with`, or await open() first")


#: What stands in for the lanes of a store that is not open: every use of it is refused.
NOT_OPEN: Final = cast("Lanes", _NotOpen())
