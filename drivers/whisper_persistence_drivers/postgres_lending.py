"""Lending a pool's connections: in the order in which they are asked for, and past the pool where that looked just now.

The pool looks whether a connection is alive and how old it is, which takes longer than many a read; and whoever comes
while it wakes somebody who waits goes first, so that under load somebody may wait for ever. What it looked at a moment
ago is lent without another look, and who waits is handed what is given back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TypeAlias

import attrs
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

#: Where one who waits is handed a connection, or ``None`` for leave to ask the pool for one.
_Place: TypeAlias = "SimpleQueue[PoolProxiedConnection | None]"


@attrs.define(eq=False)
class Lender:
    """Lends the connections of a pool to threads.

    Attributes:
        pool: whose connections they are; those at hand here count as lent there.
        size: how many may be lent at once, which the pool must have.
        patience: how long to wait for one, in seconds.
        freshness: for how long a connection that the pool looked at needs no other look, in seconds.
    """

    pool: QueuePool
    size: int
    patience: float
    freshness: float
    lent: int = attrs.field(default=0, init=False)
    _at_hand: list[PoolProxiedConnection] = attrs.field(factory=list[PoolProxiedConnection], init=False)
    _waiting: deque[_Place] = attrs.field(factory=deque[_Place], init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _turn: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def take(self) -> PoolProxiedConnection:
        """Lend a connection.

        Raises:
            sqlalchemy.exc.TimeoutError: none was given back in time.
            psycopg.Error: a new one cannot be made.
        """
        found, place = None, None
        with self._turn:
            if self.lent < self.size:
                self.lent += 1
                found = self._at_hand.pop() if self._at_hand else None
            else:
                place = SimpleQueue[PoolProxiedConnection | None]()
                self._waiting.append(place)
        if place is not None:
            found = self._handed(place)
        return found if found is not None and self._is_fresh(found) else self._look(found)

    def give_back(self, lent: PoolProxiedConnection) -> None:
        """Take a connection back, for who waits longest or for the next who comes."""
        lent.info["rested"] = time.monotonic()
        if lent.is_valid and self._is_fresh(lent):
            self._hand_on(lent)
        else:
            lent.close()
            self._hand_on(None)

    def close(self) -> None:
        """Give every connection back to the pool, now or when it comes back, and close those that it has."""
        with self._turn:
            self._closed = True
            at_hand, self._at_hand = self._at_hand, []
        for lent in at_hand:
            lent.close()
        self.pool.dispose()

    def _handed(self, place: _Place) -> PoolProxiedConnection | None:
        try:
            return place.get(timeout=self.patience)
        except Empty:
            if self._left(place):
                raise PoolTimeoutError("no connection was given back in time") from None
            return place.get()  # at the last moment
        except BaseException:
            if not self._left(place):
                self._hand_on(_arrived(place))
            raise

    def _left(self, place: _Place) -> bool:
        """Wait no longer, and say whether nothing was handed over until then."""
        with self._turn:
            if place in self._waiting:
                self._waiting.remove(place)
                return True
        return False

    def _look(self, lent: PoolProxiedConnection | None) -> PoolProxiedConnection:
        """Have the pool look at a connection, or make one."""
        try:
            if lent is not None:
                lent.close()
            lent = self.pool.connect()
        except BaseException:
            self._hand_on(None)
            raise
        lent.info["looked_at"] = time.monotonic()
        return lent

    def _hand_on(self, lent: PoolProxiedConnection | None) -> None:
        with self._turn:
            if self._waiting:
                self._waiting.popleft().put(lent)
                return
            self.lent -= 1
            if lent is None:
                return
            if not self._closed:
                self._at_hand.append(lent)
                return
        lent.close()

    def _is_fresh(self, lent: PoolProxiedConnection) -> bool:
        looked_at: float = lent.info["looked_at"]
        return time.monotonic() - looked_at < self.freshness


def _arrived(place: _Place) -> PoolProxiedConnection | None:
    """Return what was handed over to one who does not want it any more."""
    try:
        return place.get_nowait()
    except Empty:  # interrupted just as it was taken: the pool has it back
        return None
