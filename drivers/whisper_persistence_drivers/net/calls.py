"""Asking below: straight where that is on this machine, else with a deadline, a breaker and a bound on what waits.

Writes and reads have a lane each. A disk that stalls keeps commits waiting and reads not at all, so that a write which
passes its deadline says nothing of reads, and writes that do not end leave room for them.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from whisper_persistence.errors import PersistenceError, StorageBusyError, StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.origins import Origin, written_from
from whisper_persistence_drivers.breaker import Breaker, Outcome
from whisper_persistence_drivers.net.in_flight import InFlight, NotAskedError

#: How long the drivers below may take to say how they are, in seconds.
PATIENCE: Final = 2.0


@attrs.frozen(eq=False)
class Lane:
    """Where calls of one kind go.

    Attributes:
        breaker: leaves drivers alone that do not answer such calls.
        in_flight: those that are on their way.
    """

    breaker: Breaker
    in_flight: InFlight

    @classmethod
    def of(cls, name: str, width: int) -> Lane:
        """Return a lane of so many calls at once."""
        return cls(Breaker(name), InFlight(max(1, width)))


@attrs.define(eq=False)
class Calls:
    """Asks the drivers below.

    Attributes:
        below: their hooks.
        local: whether they are all on this machine.
        deadline: how long a call over a network may take, in seconds.
        writes, reads: the lanes.
    """

    below: Below
    local: bool
    deadline: float
    writes: Lane
    reads: Lane
    _hooks: dict[str, tuple[Any, str]] = attrs.field(factory=dict[str, tuple[Any, str]], init=False)

    @classmethod
    def over(cls, below: Below, names: str, *, local: bool, deadline: float, in_flight: int) -> Calls:
        """Return calls of drivers, half of those in flight being writes at most, and half reads.

        Args:
            below: their hooks.
            names: theirs, for the log.
            local: whether they are all on this machine.
            deadline: how long a call over a network may take, in seconds.
            in_flight: how many may be on their way at once.
        """
        writes = Lane.of(f"{names}: writing", in_flight // 2)
        return cls(below, local, deadline, writes, Lane.of(f"{names}: reading", in_flight - in_flight // 2))

    def are_shut(self) -> bool:
        """Say whether calls of any kind are turned away."""
        return self.writes.breaker.is_open() or self.reads.breaker.is_open()

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

    def write(self, hook: str, items: Any, origin: Origin) -> Any:
        """Ask a hook that writes, as `read` does."""
        return self._ask(self.writes, self.reads, hook, items, origin)

    def read(self, hook: str, asked: Any) -> Any:
        """Ask a hook that loads, under the deadline unless that is on this machine.

        Raises:
            NotAskedError: it was not asked, because it does not answer or too many calls are on their way.
            StorageUnavailableError: it did not answer in time, or said that it cannot.
        """
        return self._ask(self.reads, self.writes, hook, asked, None)

    def _ask(self, lane: Lane, other: Lane, hook: str, asked: Any, origin: Origin | None) -> Any:
        if self.local:
            return self.straight(hook, asked, origin)
        ticket = lane.breaker.enter()
        if ticket is None:
            raise NotAskedError("the storage did not answer a moment ago and is left alone: try again")
        outcome = Outcome.UNKNOWN
        try:
            answer = lane.in_flight.timed(lambda: self.straight(hook, asked, origin), self.deadline)
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
            lane.breaker.leave(ticket, outcome)
            if outcome is Outcome.FAILED and lane.breaker.is_open():
                other.breaker.suspect()
        return answer

    def close(self) -> None:
        """Wait a moment for what is on its way, and let the threads end."""
        for lane in (self.writes, self.reads):
            lane.in_flight.close(self.deadline)
