"""Calls on their way: so many at once, each waited for until a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import attrs

from whisper_persistence.crew import Crew
from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence_drivers import forks

#: A deadline is waited for in so many slices: where this whole process was held up, as by a collection of its garbage,
#: only one of them has passed when it goes on, and an answer that came meanwhile is still taken.
_SLICES: Final = 5


class NotAskedError(StorageUnavailableError):
    """The storage was not asked, so that what was to be written is surely not there."""


@attrs.define(eq=False)
class _Job:
    """One call on its way."""

    work: Callable[[], Any]
    answer: Any = None
    error: BaseException | None = None
    over: bool = False
    ended: Any = attrs.field(factory=threading.Lock)


@attrs.define(eq=False, weakref_slot=True)
class InFlight:
    """Makes calls on threads of its own, and waits for each no longer than its caller may.

    Attributes:
        width: how many may be on their way at once.
    """

    width: int
    _crew: Crew = attrs.field(init=False)
    _slots: Any = attrs.field(init=False)
    _lock: Any = attrs.field(init=False)
    _late: set[_Job] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Be ready, also after a fork."""
        self.begin_anew()
        forks.watch(self)

    def begin_anew(self) -> None:
        """Start with nothing on its way."""
        self._crew, self._slots = Crew(self.width), threading.Semaphore(self.width)
        self._lock, self._late = threading.Lock(), set[_Job]()

    def late(self) -> int:
        """Return how many calls go on of which nobody waits for the end any more; what they write may come yet."""
        return len(self._late)

    def timed(self, work: Callable[[], Any], seconds: float) -> Any:
        """Return what a function returns, called on a thread of our own.

        Args:
            work: the function.
            seconds: how long it may take; before that it may wait half as long for others to end.

        Raises:
            NotAskedError: as many calls as may were on their way all that time.
            TimeoutError: it took longer; it goes on, and nobody hears how it ends.
        """
        slots, late = self._slots, self._late
        if not slots.acquire(blocking=False) and not (self._may_end() and slots.acquire(timeout=seconds / 2)):
            raise NotAskedError("as many calls as are allowed wait for the storage: try again")
        job = _Job(work)
        job.ended.acquire()
        try:
            self._crew.submit(lambda: self._run(job, slots, late))
        except BaseException:
            slots.release()
            raise
        if not any(job.ended.acquire(timeout=seconds / _SLICES) for _ in range(_SLICES)):
            with self._lock:
                late.update(() if job.over else (job,))
            raise TimeoutError
        if job.error is not None:
            raise job.error
        return job.answer

    def close(self, seconds: float) -> None:
        """Wait a moment for what is on its way, and let the threads end."""
        self._crew.stop(seconds)

    def _may_end(self) -> bool:
        """Say whether any call on its way may end soon: those that passed their deadline may not."""
        return len(self._late) < self.width

    def _run(self, job: _Job, slots: Any, late: set[_Job]) -> None:
        try:
            job.answer = job.work()
        except BaseException as error:
            job.error = error
        finally:
            with self._lock:
                job.over = True
                late.discard(job)
            slots.release()
            job.ended.release()
