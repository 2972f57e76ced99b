"""Loading: from below where that answers, else from memory, always with what waits folded in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from whisper_persistence.errors import PartlyUnavailableError, StorageUnavailableError
from whisper_persistence_drivers.net.backlog import Backlog, Call
from whisper_persistence_drivers.net.calls import Calls
from whisper_persistence_drivers.net.entries import ERASES
from whisper_persistence_drivers.net.folds import UNKNOWN, fold, thing_of
from whisper_persistence_drivers.net.memory import Memory


@attrs.frozen(eq=False)
class Reader:
    """Answers the hooks that load.

    Attributes:
        calls, backlog, memory: of the net.
        wake: has somebody look whether the storage answers again.
        strict: whether nothing is answered from memory.
    """

    calls: Calls
    backlog: Backlog
    memory: Memory
    wake: Callable[[], None]
    strict: bool

    def load(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any] | None:
        """Load from below; where that is not possible now, answer what is safe to answer.

        Raises:
            PartlyUnavailableError: some of it is not known.
        """
        waits = len(self.backlog) and self.backlog.blocks((ERASES, *map(thing_of, asked)))
        if self.calls.local:
            return self._settled(hook, asked) if waits else self.calls.straight(hook, asked)
        try:
            return self._settled(hook, asked) if waits else self._stored(hook, asked)
        except StorageUnavailableError as error:
            if self.calls.breaker.is_open():
                self.wake()
            if self.strict:
                raise
            return self._recalled(hook, asked, error)

    def _stored(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any] | None:
        before = self.memory.begin_read(asked)
        found: Mapping[Any, Any] | None = self.calls.ask(hook, asked)
        if found is None:
            return None
        self.memory.remember(hook, asked, found, before)
        return found

    def _settled(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any]:
        """Return what is stored with what waits folded in, as soon as nothing that waits may be stored already."""
        until = time.monotonic() + self.calls.deadline
        while time.monotonic() < until:
            waiting = {one: self.backlog.waiting(thing_of(one)) for one in asked}
            if any(tried for _, tried, _ in waiting.values()):
                if not (self.backlog.moving or self.calls.local):
                    break
                with self.backlog.changed:
                    self.backlog.changed.wait(max(0.0, until - time.monotonic()))
                continue
            found: Mapping[Any, Any] = self.calls.ask(hook, asked) or {}
            if all(self.backlog.places(thing_of(one)) == places for one, (places, _, _) in waiting.items()):
                return self._folded(hook, {one: found.get(one) for one in asked}, waiting)
        raise StorageUnavailableError("writes that may be stored already are still being brought in: try again")

    def _folded(self, hook: str, stored: dict[Any, Any], waiting: dict[Any, Any]) -> dict[Any, Any]:
        calls: dict[Any, list[Call]] = {one: found for one, (_, _, found) in waiting.items()}
        answers = {one: fold(hook, one, base, calls[one]) for one, base in stored.items()}
        return _known(answers, StorageUnavailableError("what waits cannot be told from what is stored: try again"))

    def _recalled(self, hook: str, asked: Sequence[Any], error: StorageUnavailableError) -> dict[Any, Any]:
        """Return what memory holds with what waits folded in."""
        answers: dict[Any, Any] = {}
        for one in asked:
            _, _, calls = self.backlog.waiting(thing_of(one))
            answers[one] = fold(hook, one, self.memory.recall(hook, one), calls)
        return _known(answers, error)


def _known(answers: dict[Any, Any], error: StorageUnavailableError) -> dict[Any, Any]:
    found = {one: answer for one, answer in answers.items() if answer is not None and answer is not UNKNOWN}
    unknown = frozenset(one for one, answer in answers.items() if answer is UNKNOWN)
    if unknown:
        raise PartlyUnavailableError(str(error), found, unknown) from None
    return found
