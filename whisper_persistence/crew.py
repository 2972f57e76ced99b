"""Threads of our own for calls that block, and the way back from them to an event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import WeakSet

from whisper_persistence.errors import StorageUnavailableError

T = TypeVar("T")

_log = logging.getLogger(__name__)
_crews: WeakSet[Crew] = WeakSet()


class Crew:
    """Threads of our own that take jobs from one queue; started when there is work, and again after a fork."""

    def __init__(self, size: int) -> None:
        """Be ready to start up to ``size`` threads."""
        self._size = size
        self.begin()
        _crews.add(self)

    def begin(self) -> None:
        """Start with no thread and nothing to do; also in a forked child, where the parent's threads are not."""
        self._jobs: deque[Callable[[], None]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle: list[SimpleQueue[Callable[[], None] | None]] = []
        self._turn = threading.Lock()
        self._leaving: set[threading.Thread] = set()

    def submit(self, job: Callable[[], None]) -> None:
        """Have a thread run a job, whose error is only logged; the thread that worked last is the first to work again.

        Raises:
            StorageUnavailableError: there is no thread, and none can be started.
        """
        with self._turn:
            if self._idle:
                self._idle.pop().put(job)
                return
            self._jobs.append(job)
            if len(self._threads) < self._size:
                self._start()

    def run(
        self, function: Callable[..., T], *arguments: Any, after: asyncio.Future[Any] | None = None
    ) -> asyncio.Future[T]:
        """Run a function on a thread, and return a future of the running loop for what it returns.

        Args:
            function: what to run.
            *arguments: what to call it with.
            after: what is over before it begins; it never does where its own future is given an outcome meanwhile.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def begin(_: object = None) -> None:
            if not future.done():
                _, error = outcome(self.submit, lambda: hand_back(loop, settle, future, *outcome(function, *arguments)))
                if error is not None:
                    settle(future, None, error)

        begin() if after is None else after.add_done_callback(begin)
        return future

    def stop(self, seconds: float | None = None) -> None:
        """Let every thread end after the jobs that are queued, and wait for them; new jobs get new threads.

        Args:
            seconds: how long to wait at most, or ``None`` for as long as it takes.
        """
        with self._turn:
            threads, self._threads = self._threads, []
            idle, self._idle = self._idle, []
            self._leaving |= set(threads)
            for own in idle:
                own.put(None)
        until = None if seconds is None else time.monotonic() + seconds
        for thread in threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        name = f"whisper-persistence-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
            self._threads.append(thread)
        except RuntimeError:
            if not self._threads:
                self._jobs.pop()
                raise StorageUnavailableError("no thread can be started to ask the storage: try again") from None

    def _work(self) -> None:
        own: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        while (job := self._next(own)) is not None:
            _, error = outcome(job)
            if error is not None:
                _log.error("a job failed", extra={"error": type(error).__name__})
            del job, error
        self._leaving.discard(threading.current_thread())

    def _next(self, own: SimpleQueue[Callable[[], None] | None]) -> Callable[[], None] | None:
        """Return the next job of all, or wait for one of this thread's own; ``None`` where it is to end."""
        with self._turn:
            if self._jobs:
                return self._jobs.popleft()
            if threading.current_thread() in self._leaving:
                return None
            self._idle.append(own)
        return own.get()


class Turns(Crew):
    """One thread that does one job after another, and ends when none is left."""

    def __init__(self) -> None:
        """Be ready to start the thread."""
        super().__init__(1)

    def begin(self) -> None:
        """Start with no thread and nothing to do; also in a forked child, where the parent's thread is not."""
        super().begin()
        self._last: list[threading.Thread] = []

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended, for so long at most."""
        with self._turn:
            threads = [*self._threads, *self._last]
        for thread in threads:
            thread.join(seconds)

    def _next(self, own: SimpleQueue[Callable[[], None] | None]) -> Callable[[], None] | None:
        """Return the next job, or ``None`` where the thread is to end: another one starts with the next job."""
        del own
        with self._turn:
            if self._jobs:
                return self._jobs.popleft()
            self._last, self._threads = self._threads, []
            return None


class Crews:
    """A crew for each sort of work, so that what stalls one leaves the others alone.

    Attributes:
        loading: for what is read while somebody waits for it.
        writing: for what is written.
        watching: for asking how everything fares, which is asked most when nothing fares well.
        rest: for everything else, some of which takes long: searches, scans, erases, questions over all users.
        moving: for opening and closing, neither of which begins before those that nobody waited for are over.
    """

    def __init__(self, size: int) -> None:
        """Be ready to start up to ``size`` threads of each, and one that watches."""
        self.loading, self.writing, self.rest = Crew(size), Crew(size), Crew(size)
        self.watching, self.moving = Crew(1), Turns()

    def stop(self, seconds: float) -> None:
        """Stop each but the one that moves, as `Crew.stop` does; all of them together may take so long."""
        until = time.monotonic() + seconds
        for crew in (self.loading, self.writing, self.watching, self.rest):
            crew.stop(until - time.monotonic())


def outcome(function: Callable[..., Any], *arguments: Any) -> tuple[Any, BaseException | None]:
    """Return what a function returned, or the error that left it."""
    try:
        return function(*arguments), None
    except BaseException as error:
        return None, error


def hand_back(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    """Have a loop call a function, from another thread; a loop that is closed has nobody waiting any more."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise


def settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Give a future its outcome, unless its caller was cancelled and does not wait any more."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError("a driver let StopIteration escape, which no future can carry"))
    else:
        future.set_exception(error)


def _after_fork() -> None:
    for crew in list(_crews):
        crew.begin()


os.register_at_fork(after_in_child=_after_fork)
