"""A circuit breaker: a service that failed is left alone for a while, instead of every caller waiting for it."""

from __future__ import annotations

import enum
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

import attrs

from whisper_persistence_drivers import forks

_log = logging.getLogger(__name__)

#: After this many failures in a row it opens.
FAILURES: Final = 3


class Outcome(enum.Enum):
    """How a call went."""

    OK = "ok"
    """It was answered, also where the answer refused what was asked."""
    FAILED = "failed"
    """It could not be asked, and said so soon."""
    LATE = "late"
    """It passed its deadline: one is enough, since every further call would wait as long."""
    UNKNOWN = "unknown"
    """It ended before it could tell, cancelled or broken on our side."""


@attrs.define(eq=False, weakref_slot=True)
class Breaker:
    """Says whether a service may be called. Thread-safe; it holds no lock while a call is on its way.

    Closed, every call passes. After `FAILURES` failures in a row, or one passed deadline, it opens: no call passes for
    ``shortest`` seconds, then one, the probe, while the others are still turned away. A probe that succeeds closes it;
    one that fails doubles the wait, up to ``longest``. Each wait is cut at random to between a half and all of its
    length, so that many processes do not probe in step. What calls report that began before the last change of state
    means nothing::

        ticket = breaker.enter()
        if ticket is not None:
            outcome = Outcome.UNKNOWN
            try:
                ...
                outcome = Outcome.OK
            finally:
                breaker.leave(ticket, outcome)

    Attributes:
        name: of the service, for the log.
        shortest, longest: how long it stays open the first time, and at most, in seconds.
        clock: a clock that never goes back, in seconds.
        jitter: a random number from 0 to 1.
        opened: how often it went from closed to open.
    """

    name: str
    shortest: float = 1.0
    longest: float = 15.0
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    opened: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    _term: int = attrs.field(default=0, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _waits: int = attrs.field(default=0, init=False)
    _until: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        """Be known to forks, whose lock must be a new one."""
        forks.watch(self)

    def is_open(self) -> bool:
        """Say whether calls are turned away, or only probed."""
        return self._waits > 0

    def enter(self) -> int | None:
        """Ask for one call to pass.

        Returns:
            A ticket, which must be given to `leave`; ``None`` where the call must not be made.
        """
        with self._lock:
            if self._waits:
                if self.clock() < self._until:
                    return None
                self._until = float("inf")
            return self._term

    def leave(self, ticket: int, outcome: Outcome) -> None:
        """Report how a call went.

        Args:
            ticket: what `enter` returned.
            outcome: how it went.
        """
        with self._lock:
            if ticket == self._term:
                self._probed(outcome) if self._waits else self._called(outcome)

    def heal(self) -> None:
        """Let calls pass again at once: somebody else saw that the service answers."""
        with self._lock:
            if self._waits:
                self._term, self._failures, self._waits = self._term + 1, 0, 0
                _log.warning("%s: answers again", self.name)

    def suspect(self) -> None:
        """Let the next failure open it: somebody else found that the service does not answer."""
        with self._lock:
            self._failures = max(self._failures, FAILURES - 1)

    def hurry(self) -> None:
        """Let the next call be the probe: somebody else saw that the service may answer."""
        with self._lock:
            if self._waits and self._until < float("inf"):
                self._until = min(self._until, self.clock())

    def begin_anew(self) -> None:
        """Start anew in a forked child, where a thread that held the lock, or was the probe, is no more."""
        self._lock, self._term = threading.Lock(), self._term + 1
        self._until = min(self._until, self.clock())

    def _called(self, outcome: Outcome) -> None:
        if outcome is Outcome.OK:
            self._failures = 0
        elif outcome is not Outcome.UNKNOWN:
            self._failures += 1
        if outcome is Outcome.LATE or self._failures >= FAILURES:
            self.opened += 1
            self._wait()
            _log.warning("%s: does not answer and is left alone", self.name)

    def _probed(self, outcome: Outcome) -> None:
        if outcome is Outcome.UNKNOWN:
            self._until = self.clock()
        elif outcome is not Outcome.OK:
            self._wait()
        else:
            self._term, self._failures, self._waits = self._term + 1, 0, 0
            _log.warning("%s: answers again", self.name)

    def _wait(self) -> None:
        length = min(self.longest, self.shortest * 2.0 ** min(self._waits, 60))
        self._until = self.clock() + length * (1.0 - self.jitter() / 2.0)
        self._term, self._waits = self._term + 1, self._waits + 1
