"""Loading: from below where that answers, else from memory, always with what waits folded in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from whisper_persistence.errors import PartlyUnavailableError, StorageUnavailableError
from whisper_persistence_drivers.net.backlog import Backlog
from whisper_persistence_drivers.net.calls import Calls
from whisper_persistence_drivers.net.entries import ERASES
from whisper_persistence_drivers.net.folds import UNKNOWN, fold, thing_of
from whisper_persistence_drivers.net.memory import Memory
from whisper_persistence_drivers.net.settling import Settler


@attrs.frozen(eq=False)
class Reader:
    """Answers the hooks that load.

    Attributes:
        calls, backlog, memory: of the net.
        settler: answers for those of whom something waits.
        wake: has somebody look whether the storage answers again.
        strict: whether nothing is answered from memory.
    """

    calls: Calls
    backlog: Backlog
    memory: Memory
    settler: Settler
    wake: Callable[[], None]
    strict: bool

    def load(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any] | None:
        """Load from below; where that is not possible now, answer what is safe to answer.

        Raises:
            PartlyUnavailableError: some of it is not known.
        """
        waits = len(self.backlog) and self.backlog.blocks((ERASES, *map(thing_of, asked)))
        if self.calls.local and not waits:
            found: Mapping[Any, Any] | None = self.calls.straight(hook, asked)
            return found
        answers, rest = dict[Any, Any](), asked
        try:
            if not waits:
                return self._stored(hook, asked)
            answers, rest = self.settler.settle(hook, asked)
            problem = StorageUnavailableError("what waits cannot be told yet from what is stored: try again")
        except StorageUnavailableError as error:
            if self.calls.local:
                raise
            if self.calls.reads.breaker.is_open():
                self.wake()
            problem = error
        if rest and self.strict:
            raise problem
        return _known({**answers, **self._recalled(hook, rest)}, problem)

    def _stored(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any] | None:
        before = self.memory.begin_read(asked)
        found: Mapping[Any, Any] | None = self.calls.read(hook, asked)
        if found is None:
            return None
        self.memory.remember(hook, asked, found, before)
        return found

    def _recalled(self, hook: str, asked: Sequence[Any]) -> dict[Any, Any]:
        """Return what memory holds with what waits folded in."""
        waiting = {one: list(self.backlog.waiting(thing_of(one)).calls.values()) for one in asked}
        return {one: fold(hook, one, self.memory.recall(hook, one), calls) for one, calls in waiting.items()}


def _known(answers: dict[Any, Any], error: StorageUnavailableError) -> dict[Any, Any]:
    found = {one: answer for one, answer in answers.items() if answer is not None and answer is not UNKNOWN}
    unknown = frozenset(one for one, answer in answers.items() if answer is UNKNOWN)
    if unknown:
        raise PartlyUnavailableError(str(error), found, unknown) from None
    return found
