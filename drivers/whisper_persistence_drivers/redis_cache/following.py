"""What Redis was not told, and what a restart or a full server left there, is put right from the database's outbox."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Final

import attrs

from whisper_persistence.errors import PersistenceError
from whisper_persistence.hookspecs import Below
from whisper_persistence_drivers.redis_cache.reading import Reader

_log = logging.getLogger(__name__)

#: How much pending work is taken at a time.
_BATCH: Final = 500


@attrs.define(eq=False)
class Relay:
    """Pushes the present state of conversations that changed, never the change, and then clears it from the outbox.

    Attributes:
        reader: how conversations are fetched and put into Redis.
        below: who keeps the outbox.
        follower: the name that the outbox knows us by.
    """

    reader: Reader
    below: Below
    follower: str

    def settle(self, patience: float = 0.0) -> tuple[int, bool]:
        """Work until nothing is pending.

        Args:
            patience: how long, in seconds; one batch at least.

        Returns:
            How many conversations were removed from Redis or put there anew, and whether Redis was told of all.
        """
        until = time.monotonic() + patience
        repaired, told, more = 0, True, True
        while more and told:
            number, told, more = self._batch()
            repaired += number
            more = more and time.monotonic() < until
        return repaired, told and not more

    def _batch(self) -> tuple[int, bool, bool]:
        """Do one batch; return how many were behind, whether all were told, and whether there may be more."""
        pending = self.below.load_pending(follower=self.follower, limit=_BATCH) or ()
        if not pending:
            return 0, True, False
        # One that was followed otherwise by an older version may be in there twice.
        newest = {work.thing_id: work.revision for work in sorted(pending, key=attrgetter("revision"))}
        token, answers = self.reader.recents.reclaim(newest)
        told = [work for work in pending if answers[work.thing_id] is not None]
        leases = {name: token for name, answer in answers.items() if answer == b"lease"}
        if leases:
            self.reader.refill(leases, {})
        if told:
            self.below.clear_pending(pending=told)
        repaired = sum(answer in (b"lease", b"dropped") for answer in answers.values())
        self.reader.recents.exchange.counters.add(repaired=repaired)
        return repaired, len(told) == len(pending), len(pending) == _BATCH


@attrs.define(eq=False)
class Rounds:
    """A thread that does something every now and then, until it is stopped; at once when it is woken.

    Attributes:
        work: what it does; an outage ends a round, not the thread.
        seconds: between two rounds, give or take a quarter.
    """

    work: Callable[[], object]
    seconds: float
    _wake: threading.Event = attrs.field(factory=threading.Event, init=False)
    _stopped: bool = attrs.field(default=False, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="whisper-persistence-redis", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Begin a round now."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the round that is going on."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        failed = False
        while not self._stopped:
            self._wake.wait(self.seconds * random.uniform(0.75, 1.25))  # noqa: S311
            self._wake.clear()
            if not self._stopped:
                failed = self._round(failed=failed)

    def _round(self, *, failed: bool) -> bool:
        try:
            self.work()
        except PersistenceError as error:
            if not failed:
                _log.warning("recents cannot be brought up to date", extra={"error": type(error).__name__})
            return True
        return False
