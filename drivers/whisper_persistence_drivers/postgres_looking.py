"""Looking out for an answer for a moment before sleeping until it comes.

To fall asleep and be woken takes a process longer than a short read takes a server on the same machine; and the server
has the work of waking it. Where answers do not come as soon as that, from another machine or after a commit, nobody
looks; nor does anybody while somebody else does, since two who look would take the processor from the server.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Final

import attrs
from psycopg.pq.abc import PGconn

from whisper_persistence_drivers.forks import watch

#: For how long to look, in seconds: a server beside us answers a window of messages sooner than that.
_MOMENT: Final = 100e-6
#: After looking in vain time and again, so many answers at most are slept for until the next look.
_RESTS: Final = 63
#: Windows has no such call.
_YIELDS: Final = hasattr(os, "sched_yield")


class _Turn:
    """Whose turn it is to look: that of one of all threads of a process."""

    def __init__(self) -> None:
        self.begin_anew()
        watch(self)

    def begin_anew(self) -> None:
        """Have it be nobody's; also in a forked child, where whoever held it is not."""
        self.taken = threading.Lock()


_turn: Final = _Turn()


@attrs.define(eq=False)
class Lookout:
    """Whether answers to one statement come soon enough to look for them; each look in vain doubles the rest after it.

    Attributes:
        rest: how many answers are slept for after a look in vain.
        left: how many of these are still to come.
    """

    rest: int = 0
    left: int = 0

    def look(self, pgconn: PGconn, readable: select.poll) -> None:
        """Take in what the server sends, until that is an answer or the moment is over.

        The processor is offered to others all the while, such as a server that shares it.
        """
        if self.left:
            self.left -= 1
        elif _YIELDS and _turn.taken.acquire(blocking=False):
            try:
                self._note(_sees(pgconn, readable))
            finally:
                _turn.taken.release()

    def _note(self, seen: bool) -> None:
        self.rest = self.left = 0 if seen else min(2 * self.rest + 1, _RESTS)


def _sees(pgconn: PGconn, readable: select.poll) -> bool:
    """Return whether the answer came within the moment."""
    until = time.perf_counter() + _MOMENT
    while pgconn.is_busy():
        if time.perf_counter() > until:
            return False
        if readable.poll(0):
            pgconn.consume_input()
        else:
            os.sched_yield()
    return True
