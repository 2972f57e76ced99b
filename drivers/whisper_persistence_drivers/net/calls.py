"""Asking below: straight where that is on this machine, else with a deadline, a breaker and a bound on what waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import attrs

from whisper_persistence.crew import Crew
from whisper_persistence.errors import PersistenceError, StorageBusyError, StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.origins import Origin, written_from
from whisper_persistence_drivers import forks
from whisper_persistence_drivers.breaker import Breaker, Outcome

#: How long the drivers below may take to say how they are, in seconds.
PATIENCE: Final = 2.0
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
class Calls:
    """Asks the drivers below.

    Attributes:
        below: their hooks.
        local: whether they are all on this machine.
        deadline: how long a call over a network may take, in seconds.
        in_flight: how many may be on their way at once.
        breaker: leaves drivers alone that do not answer.
    """

    below: Below
    local: bool
    deadline: float
    in_flight: int
    breaker: Breaker
    _crew: Crew = attrs.field(init=False)
    _slots: Any = attrs.field(init=False)
    _lock: Any = attrs.field(init=False)
    _late: set[_Job] = attrs.field(init=False)
    _hooks: dict[str, tuple[Any, str]] = attrs.field(factory=dict[str, tuple[Any, str]], init=False)

    def __attrs_post_init__(self) -> None:
        """Be ready, also after a fork."""
        self.begin_anew()
        forks.watch(self)

    def begin_anew(self) -> None:
        """Start with nothing on its way."""
        self._crew, self._slots = Crew(self.in_flight), threading.Semaphore(self.in_flight)
        self._lock, self._late = threading.Lock(), set[_Job]()

    def late(self) -> int:
        """Return how many calls go on of which nobody waits for the end any more; what they write may come yet."""
        return len(self._late)

    def straight(self, hook: str, asked: Any, origin: Origin | None = None) -> Any:
        """Ask below on this thread."""
        found = self._hooks.get(hook)
        if found is None:
            caller: Any = getattr(self.below, hook)
            found = self._hooks[hook] = caller, caller.spec.argnames[0]
        caller, name = found
        if origin is None:
            return caller(**{name: asked})
        with written_from(origin):
            return caller(**{name: asked})

    def ask(self, hook: str, asked: Any, origin: Origin | None = None) -> Any:
        """Ask below, under the deadline unless that is on this machine.

        Raises:
            NotAskedError: it was not asked, because it does not answer or too many calls are on their way.
            StorageUnavailableError: it did not answer in time, or said that it cannot.
        """
        if self.local:
            return self.straight(hook, asked, origin)
        ticket = self.breaker.enter()
        if ticket is None:
            raise NotAskedError("the storage did not answer a moment ago and is left alone: try again")
        outcome = Outcome.UNKNOWN
        try:
            answer = self.timed(lambda: self.straight(hook, asked, origin), self.deadline)
            outcome = Outcome.OK
        except TimeoutError:
            outcome = Outcome.LATE
            raise StorageUnavailableError(f"the storage did not answer within {self.deadline:g} s: try again") from None
        except (NotAskedError, StorageBusyError):
            raise
        except StorageUnavailableError:
            outcome = Outcome.FAILED
            raise
        except PersistenceError:
            outcome = Outcome.OK
            raise
        finally:
            self.breaker.leave(ticket, outcome)
        return answer

    def timed(self, work: Callable[[], Any], seconds: float) -> Any:
        """Return what a function returns, called on a thread of our own.

        Raises:
            NotAskedError: too many calls are on their way.
            TimeoutError: it took longer; it goes on, and nobody hears how it ends.
        """
        slots, late = self._slots, self._late
        if not slots.acquire(blocking=False):
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

    def close(self) -> None:
        """Wait a moment for what is on its way, and let the threads end."""
        self._crew.stop(self.deadline)
