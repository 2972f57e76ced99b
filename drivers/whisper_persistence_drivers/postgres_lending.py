"""Lending a pool's connections: whoever comes next gets the one that was just given back, past the pool.

The pool looks whether a connection is alive and how old it is, which takes longer than many a read. What it looked at a
moment ago is lent without another look; everything else goes through it.
"""

from __future__ import annotations

import threading
import time

import attrs
from sqlalchemy.pool import PoolProxiedConnection, QueuePool


@attrs.define(eq=False)
class Lender:
    """Lends the connections of a pool to threads.

    Attributes:
        pool: whose connections they are; those at hand here count as lent there.
        freshness: for how long a connection that the pool looked at needs no other look, in seconds.
    """

    pool: QueuePool
    freshness: float
    _at_hand: list[PoolProxiedConnection] = attrs.field(factory=list[PoolProxiedConnection], init=False)
    _asking: int = attrs.field(default=0, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _turn: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def take(self) -> PoolProxiedConnection:
        """Lend a connection.

        Raises:
            sqlalchemy.exc.TimeoutError: none was given back in time.
            psycopg.Error: a new one cannot be made.
        """
        with self._turn:
            lent = self._at_hand.pop() if self._at_hand else None
            if lent is not None and self._is_fresh(lent):
                return lent
            self._asking += 1
        try:
            if lent is not None:
                lent.close()
            lent = self.pool.connect()
            lent.info["looked_at"] = time.monotonic()
            return lent
        finally:
            with self._turn:
                self._asking -= 1

    def give_back(self, lent: PoolProxiedConnection) -> None:
        """Take a connection back: for the next who comes, unless somebody waits for the pool to lend one."""
        lent.info["rested"] = time.monotonic()
        with self._turn:
            if lent.is_valid and not self._asking and not self._closed and self._is_fresh(lent):
                self._at_hand.append(lent)
                return
        lent.close()

    def lent(self) -> int:
        """Return how many connections are lent and not given back."""
        return self.pool.checkedout() - len(self._at_hand)

    def close(self) -> None:
        """Give every connection back to the pool, now or when it comes back, and close those that it has."""
        with self._turn:
            self._closed = True
            at_hand, self._at_hand = self._at_hand, []
        for lent in at_hand:
            lent.close()
        self.pool.dispose()

    def _is_fresh(self, lent: PoolProxiedConnection) -> bool:
        looked_at: float = lent.info["looked_at"]
        return time.monotonic() - looked_at < self.freshness
