"""Whether the drivers below answer, and what there is to tell an operator."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import State, TierHealth
from whisper_persistence_drivers.breaker import Breaker
from whisper_persistence_drivers.net.backlog import Backlog
from whisper_persistence_drivers.net.calls import PATIENCE, Calls
from whisper_persistence_drivers.net.folder import Folder
from whisper_persistence_drivers.net.in_flight import InFlight, NotAskedError

_log = logging.getLogger(__name__)

#: How many probes may wait for an answer at once; they have threads of their own.
_PROBES = 8
#: How long a probe may take before the next is made, in seconds: one that was asked into silence may never be answered.
_PROBE: Final = 1.0


class Prober:
    """Asks the drivers below how they are, beside the calls of a bot."""

    def __init__(self, tier: str, drivers: dict[str, object], calls: Calls, backlog: Backlog, folder: Folder) -> None:
        """Know nothing yet.

        Args:
            tier: the name of the net's driver.
            drivers: those below, by name.
            calls: of the net.
            backlog: of the net.
            folder: of the net.
        """
        self._tier, self._drivers, self._calls, self._backlog, self._folder = tier, drivers, calls, backlog, folder
        self._own = InFlight(_PROBES)
        self._reopen: Any = getattr(calls.below, "reopen", None)
        self._known = self._stranger = False
        self._heard: tuple[float, tuple[TierHealth, ...]] = (0.0, ())
        self._healed = dict[Breaker, float]()

    @property
    def is_open(self) -> bool:
        """Whether every driver below could be opened."""
        return self._reopen is None or not self._calls.below.unopened()

    def is_ready(self) -> bool:
        """Say whether what waits may be brought in; opens the drivers that could not be opened.

        It may not while writes go on that passed their deadline: theirs must not come after what is replayed.

        Raises:
            PersistenceError: it may not, because they do not answer.
        """
        if not self.is_open:
            self._own.timed(self._reopen, 10 * PATIENCE)
            _log.warning("the storage is open now", extra={"drivers": list(self._drivers)})
        if self._calls.writes.in_flight.late():
            return False
        if self._known and not self._calls.are_shut():
            return True
        began, late = time.monotonic(), self._last_heard()
        reports = late or self._probe(_PROBE)
        installation = next((r.details["installation"] for r in reports if "installation" in r.details), None)
        if not reports or reports[-1].state is State.DOWN or not self._is_ours(installation):
            return False
        self._known = True
        if not late and time.monotonic() - began < self._calls.deadline:
            self._heal()
        return True

    def _heal(self) -> None:
        """Have reads pass again, and a write try; rarely, since what says soon how it is may be slow all the same."""
        reads, writes = self._calls.reads.breaker, self._calls.writes.breaker
        for breaker, pass_again in ((reads, reads.heal), (writes, writes.hurry)):
            if breaker.is_open() and time.monotonic() - self._healed.get(breaker, float("-inf")) > breaker.longest:
                self._healed[breaker] = time.monotonic()
                pass_again()

    def report(self, replayed: int) -> tuple[TierHealth, ...]:
        """Return how the net is and how the drivers below are, the net first."""
        began = time.perf_counter()
        reports = self._probe(PATIENCE)
        details: dict[str, Any] = {**self._backlog.report(), "replayed": replayed, **self._breakers()}
        own: int = details["backlog"] - details["volatile"]
        details["conflicts"] = sum(report.details.get("conflicts", 0) for report in reports)
        details["journals"] = len(survey := self._folder.survey())
        details["elsewhere"] = max(0, sum(found["entries"] for found in survey) - own)
        details["dead_letters"] = max(details["dead_letters"], sum(found["dead_letters"] for found in survey))
        if problem := self._folder.problem():
            details["error"] = problem
        sound = self.is_open and not self._calls.are_shut() and not details["backlog"] and problem is None
        state = State.UP if sound and not details["dead_letters"] and not self._stranger else State.DEGRADED
        return TierHealth(self._tier, state, time.perf_counter() - began, details), *reports

    def close(self) -> None:
        """Let the threads end."""
        self._own.close(PATIENCE)

    def _breakers(self) -> dict[str, str]:
        lanes = {"breaker_writes": self._calls.writes, "breaker_reads": self._calls.reads}
        return {name: "open" if lane.breaker.is_open() else "closed" for name, lane in lanes.items()}

    def _probe(self, seconds: float) -> tuple[TierHealth, ...]:
        below = self._calls.below
        try:
            if self._calls.local:
                return tuple(below.check_health() or ())
            return tuple(self._own.timed(self._listen, seconds))
        except TimeoutError:
            problem = f"did not answer within {seconds:g} s"
        except NotAskedError:
            problem = "did not answer several times, and was not asked again yet"
        except PersistenceError as error:
            problem = str(error)
        return tuple(TierHealth(name, State.DOWN, None, {"error": problem}) for name in self._drivers)

    def _listen(self) -> tuple[TierHealth, ...]:
        """Ask below, and keep the answer, which may come when nobody waits for it any more."""
        reports = tuple(self._calls.below.check_health() or ())
        self._heard = time.monotonic(), reports
        return reports

    def _last_heard(self) -> tuple[TierHealth, ...]:
        """Return an answer that came a moment ago, too late for who asked."""
        (at, reports), self._heard = self._heard, (0.0, ())
        return reports if time.monotonic() - at < _PROBE else ()

    def _is_ours(self, installation: str | None) -> bool:
        """Say whether what waits was meant for this database."""
        stranger = installation is not None and not self._backlog.belongs_to(installation)
        if stranger and not self._stranger:
            _log.error("what waits in the journal was written for another database: it is not brought in")
        self._stranger = stranger
        return not stranger
