"""The thread that keeps an index, for as long as a driver is open."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

import attrs

from whisper_persistence.errors import PersistenceError
from whisper_persistence_drivers.recall.keeper import Keeper

_log: Final = logging.getLogger(__name__)

#: Seconds to wait after something was written here, so that more can come along.
_LINGER: Final = 0.05
#: Seconds between looks at what others wrote.
_TICK: Final = 1.0
#: Seconds to wait after a failure, at first and at most.
_BACKOFF: Final = (0.1, 15.0)
#: Seconds that closing waits for a step to end.
_ENDING: Final = 30.0


@attrs.define(eq=False)
class Worker:
    """Steps a keeper on in a thread of its own.

    Attributes:
        problem: what the last step failed with, in words; empty where it did not.
        begun: set once the first step was done, so that it is known who owns the folder.
    """

    keeper: Keeper
    problem: str = ""
    begun: threading.Event = attrs.field(factory=threading.Event, repr=False)
    _woken: threading.Event = attrs.field(factory=threading.Event, repr=False)
    _stopped: bool = False
    _thread: threading.Thread | None = attrs.field(default=None, repr=False)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="chroma-recall", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have it look at once: something was written."""
        self._woken.set()

    def close(self) -> None:
        """End the thread after the step it is at, and leave the index in order."""
        self._stopped = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(_ENDING)

    def _run(self) -> None:
        failures = 0
        while not self._stopped:
            try:
                more = self.keeper.step()
                failures, self.problem = 0, ""
            except Exception as error:  # whatever it is, the thread goes on
                more, failures = False, failures + 1
                self._note(error)
            self.begun.set()
            if not more and not self._stopped:
                self._rest(failures)
        self.keeper.close()

    def _note(self, error: Exception) -> None:
        known = isinstance(error, PersistenceError)
        problem = str(error) if known else f"{type(error).__name__} in chroma-recall"
        if problem != self.problem:
            _log.warning("chroma-recall cannot go on for now", extra={"reason": problem})
        if not known:
            _log.debug("the cause", exc_info=error)
        self.problem = problem

    def _rest(self, failures: int) -> None:
        first, most = _BACKOFF
        if failures:
            self._woken.wait(min(most, first * 2.0 ** (failures - 1)))
        elif self._woken.wait(_TICK):
            time.sleep(_LINGER)
        self._woken.clear()
