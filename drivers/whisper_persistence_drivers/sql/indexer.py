"""The thread that feeds the text index, off the write path and never in its way for long."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import attrs

#: So long it waits for more messages after the first, in seconds, so that a busy bot is not interrupted for each.
_GATHERING: Final = 0.25
#: So often it looks for what other processes wrote, in seconds.
_POLLING: Final = 1.0
#: It rests so many times as long as it worked, so that writers hardly notice it, and as long where nobody writes; at
#: most so many seconds.
_REST: Final = 4.0
_QUIET_REST: Final = 1.0
_LONGEST_REST: Final = 0.5
#: After an error it waits so long, in seconds, twice as long after each further one up to a limit.
_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
#: So long closing waits for the step that it is at, in seconds.
_CLOSING: Final = 10.0

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Indexer:
    """Calls a step again and again while it has something to do.

    Attributes:
        step: does a little, and returns how much; 0 when there is nothing to do.
        name: of the thread.
        failed: how often the step failed since it last did not.
    """

    step: Callable[[], int]
    name: str
    failed: int = 0
    _thread: threading.Thread | None = attrs.field(default=None, repr=False)
    _due: Any = attrs.field(factory=threading.Event, repr=False)
    _closed: Any = attrs.field(factory=threading.Event, repr=False)
    _process: int = 0

    def wake(self) -> None:
        """Have it look soon; also starts the thread, in a forked child another one."""
        if self._process != os.getpid():
            self._start()
        if not self._due.is_set():
            self._due.set()

    def close(self) -> None:
        """End the thread after the step that it is at."""
        self._closed.set()
        self._due.set()
        thread, self._thread = self._thread, None
        if thread is not None and self._process == os.getpid() and thread is not threading.current_thread():
            thread.join(_CLOSING)

    def _start(self) -> None:
        if self._closed.is_set():
            return
        self._process = os.getpid()
        self._due, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._due, self._closed), name=self.name, daemon=True)
        self._thread.start()

    def _run(self, due: threading.Event, closed: threading.Event) -> None:
        while not closed.is_set():
            if due.wait(_POLLING):
                closed.wait(_GATHERING)
            self._work(due, closed)

    def _work(self, due: threading.Event, closed: threading.Event) -> None:
        """Step until there is nothing left, resting in between."""
        while not closed.is_set():
            rest = _REST if due.is_set() else _QUIET_REST
            due.clear()
            began = time.perf_counter()
            done = self._attempt()
            if not done:
                closed.wait(min(_PAUSE * 2 ** (self.failed - 1), _LONGEST_PAUSE) if self.failed else 0.0)
                return
            closed.wait(min(rest * (time.perf_counter() - began), _LONGEST_REST))

    def _attempt(self) -> int:
        try:
            done = self.step()
        except Exception as error:  # whatever it is, the thread goes on
            self.failed += 1
            if self.failed == 1:
                _log.warning("the text index cannot be fed", extra={"index": self.name, "error": type(error).__name__})
            return 0
        if self.failed:
            self.failed = 0
            _log.info("the text index is fed again", extra={"index": self.name})
        return done
