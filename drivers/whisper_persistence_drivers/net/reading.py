"""Loading: from below where that answers, else from memory, always with what waits folded in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from whisper_persistence.errors import PartlyUnavailableError, StorageUnavailableError
from whisper_persistence.records import Window
from whisper_persistence.records.checks import MAX_BATCH
from whisper_persistence_drivers.net.backlog import Backlog, Waiting
from whisper_persistence_drivers.net.calls import Calls
from whisper_persistence_drivers.net.entries import ERASES
from whisper_persistence_drivers.net.folds import UNKNOWN, fold, thing_of
from whisper_persistence_drivers.net.memory import Memory
from whisper_persistence_drivers.net.windows import sought_messages, without_stored


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
            if self.calls.reads.breaker.is_open():
                self.wake()
            if self.strict:
                raise
            return self._recalled(hook, asked, error)

    def _stored(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any] | None:
        before = self.memory.begin_read(asked)
        found: Mapping[Any, Any] | None = self.calls.read(hook, asked)
        if found is None:
            return None
        self.memory.remember(hook, asked, found, before)
        return found

    def _settled(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any]:
        """Return what is stored with what waits folded in.

        Of messages that may be stored it is asked first which are: each has an id. For anything else that may be it is
        waited until that is known.
        """
        until = time.monotonic() + self.calls.deadline
        while time.monotonic() < until:
            waiting = {one: self.backlog.waiting(thing_of(one)) for one in asked}
            if hook != "load_messages" and any(found.doubtful for found in waiting.values()):
                if not (self.backlog.moving or self.calls.local):
                    break
                with self.backlog.changed:
                    self.backlog.changed.wait(max(0.0, until - time.monotonic()))
                continue
            waiting = self._less_stored(waiting) if hook == "load_messages" else waiting
            stored: Mapping[Any, Any] = self.calls.read(hook, asked) or {}
            if all(self.backlog.places(thing_of(one)) == found.places for one, found in waiting.items()):
                return self._folded(hook, {one: stored.get(one) for one in asked}, waiting)
        raise StorageUnavailableError("writes that may be stored already are still being brought in: try again")

    def _less_stored(self, waiting: dict[Window, Waiting]) -> dict[Window, Waiting]:
        """Return what waits for conversations, less the messages that are stored already."""
        sought = {window: sought_messages(window, found.doubtful) for window, found in waiting.items()}
        asked = list(dict.fromkeys(one for each in sought.values() for one in each))
        stored = set[Window]()
        for first in range(0, len(asked), MAX_BATCH):
            stored.update(self.calls.read("load_messages", asked[first : first + MAX_BATCH]) or ())
        less = dict[Window, Waiting]()
        for window, found in waiting.items():
            missing = {one.message_id for one in sought[window] if one not in stored}
            some = len(missing) < len(sought[window])
            less[window] = attrs.evolve(found, calls=without_stored(window, found, missing)) if some else found
        return less

    def _folded(self, hook: str, stored: dict[Any, Any], waiting: dict[Any, Waiting]) -> dict[Any, Any]:
        answers = {one: fold(hook, one, base, waiting[one].calls) for one, base in stored.items()}
        return _known(answers, StorageUnavailableError("what waits cannot be told from what is stored: try again"))

    def _recalled(self, hook: str, asked: Sequence[Any], error: StorageUnavailableError) -> dict[Any, Any]:
        """Return what memory holds with what waits folded in."""
        answers: dict[Any, Any] = {}
        for one in asked:
            waiting = self.backlog.waiting(thing_of(one))
            answers[one] = fold(hook, one, self.memory.recall(hook, one), waiting.calls)
        return _known(answers, error)


def _known(answers: dict[Any, Any], error: StorageUnavailableError) -> dict[Any, Any]:
    found = {one: answer for one, answer in answers.items() if answer is not None and answer is not UNKNOWN}
    unknown = frozenset(one for one, answer in answers.items() if answer is UNKNOWN)
    if unknown:
        raise PartlyUnavailableError(str(error), found, unknown) from None
    return found
