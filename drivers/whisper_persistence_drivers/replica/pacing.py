"""Refreshing in the background, so slowly that nobody who writes has to wait."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

import attrs
import duckdb

from whisper_persistence.errors import PersistenceError, StoreClosedError

#: How much of the time a background refresh takes; for the rest it waits.
SHARE: Final = 0.2
#: How long any other refresh, for which somebody waits, makes room between two steps, in seconds.
YIELD: Final = 0.001

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Pacer:
    """A thread that refreshes every so many seconds.

    Attributes:
        interval: how many; 0 for no thread.
        error: what kept the last refresh from its end, in words, or nothing.
    """

    interval: float
    error: str = ""
    _closed: threading.Event = attrs.field(init=False, factory=threading.Event)
    _hurried: threading.Event = attrs.field(init=False, factory=threading.Event)
    _thread: threading.Thread | None = attrs.field(init=False, default=None)
    _process: int = attrs.field(init=False, factory=os.getpid)
    _woke: float = attrs.field(init=False, default=0.0)

    def start(self, refresh: Callable[[], None]) -> None:
        """Start the thread, also anew in a forked child, which inherits none."""
        if not self.interval or (self._thread is not None and self._process == os.getpid()):
            return
        self._process = os.getpid()
        self._closed, self._hurried = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(refresh,), name="duckdb-analytics", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Wait between two steps, for long if this is the thread; give up where the store is being closed.

        Raises:
            StoreClosedError: it is.
        """
        if threading.current_thread() is self._thread:
            self._hurried.wait((time.monotonic() - self._woke) * (1 / SHARE - 1))
            self._woke = time.monotonic()
        else:
            time.sleep(YIELD)
        if self._closed.is_set():
            raise StoreClosedError("the store was closed during a refresh: it goes on at the next")

    def hurry(self) -> None:
        """Let a refresh that is going on end without waiting."""
        self._hurried.set()

    def close(self) -> None:
        """Stop the thread and wait for its end."""
        self._closed.set()
        self._hurried.set()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join()
        self._thread = None

    def _run(self, refresh: Callable[[], None]) -> None:
        while not self._closed.wait(self.interval):
            self._hurried.clear()
            self._woke = time.monotonic()
            self._attempt(refresh)

    def _attempt(self, refresh: Callable[[], None]) -> None:
        try:
            refresh()
        except StoreClosedError:
            return
        except (PersistenceError, duckdb.Error, OSError) as error:
            if not self.error:
                _log.warning("analytics replica stays behind", extra={"error": type(error).__name__})
            self.error = str(error) if isinstance(error, PersistenceError) else type(error).__name__
        else:
            self.error = ""
