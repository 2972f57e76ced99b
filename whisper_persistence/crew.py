"""Threads of our own between an event loop and drivers that block."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import WeakSet

T = TypeVar("T")

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
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._waiting = threading.Semaphore(0)

    def submit(self, job: Callable[[], None]) -> None:
        """Have a thread run a job, which must not raise."""
        if not self._waiting.acquire(blocking=False):
            self._start()
        self._jobs.put(job)

    def run(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Run a function on a thread, and return a future of the running loop for what it returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self.submit(lambda: hand_back(loop, settle, future, *outcome(function, *arguments)))
        return future

    def stop(self, seconds: float | None = None) -> None:
        """Let every thread end after the jobs that are queued, and wait for them; new jobs get new threads.

        Args:
            seconds: how long to wait at most, or ``None`` for as long as it takes.
        """
        with self._starting:
            threads, jobs = self._threads, self._jobs
            self.begin()
        for _ in threads:
            jobs.put(None)
        until = None if seconds is None else time.monotonic() + seconds
        for thread in threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        with self._starting:
            if len(self._threads) < self._size:
                name = f"whisper-persistence-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
                self._threads[-1].start()

    def _work(self) -> None:
        jobs, waiting = self._jobs, self._waiting
        while (job := jobs.get()) is not None:
            job()
            del job
            waiting.release()


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
