"""What is stored with what waits folded in, each write once, also where it may be stored already."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import attrs

from whisper_persistence.records import Window
from whisper_persistence.records.checks import MAX_BATCH
from whisper_persistence_drivers.net.backlog import Backlog, Call, Waiting
from whisper_persistence_drivers.net.calls import Calls
from whisper_persistence_drivers.net.folds import UNKNOWN, fold, thing_of
from whisper_persistence_drivers.net.windows import hides_stored, sought_messages, without_stored

_MESSAGES: Final = "load_messages"
#: What answers the same where what is stored already is folded in again: each item has an id, or sets what it names.
_ABSORBING: Final = frozenset({_MESSAGES, "load_outcomes", "load_preferences"})


@attrs.frozen(eq=False)
class Settler:
    """Answers the hooks that load for those of whom something waits.

    Messages and outcomes that may be stored are known by their ids, preferences are set again to the same; of messages
    it is asked first which are stored, since a window may not show them any more. For anything else it is waited until
    it is known whether it is stored; the answer is taken where all that was folded in still waits when the rest has
    been read, and was not handed to the database meanwhile.

    Attributes:
        calls, backlog: of the net.
    """

    calls: Calls
    backlog: Backlog

    def settle(self, hook: str, asked: Sequence[Any]) -> tuple[dict[Any, Any], list[Any]]:
        """Return answers, and what could not be told within the deadline; `UNKNOWN` answers are among the former.

        Raises:
            StorageUnavailableError: the database of record does not answer.
        """
        answers = dict[Any, Any]()
        rest = list(asked)
        until = time.monotonic() + self.calls.deadline
        while rest and time.monotonic() < until:
            waiting = {one: self.backlog.waiting(thing_of(one)) for one in rest}
            sure = {one: found for one, found in waiting.items() if hook in _ABSORBING or not found.doubtful}
            answers.update(self._read(hook, sure) if sure else {})
            rest = [one for one in rest if one not in answers]
            if rest and not sure and not self._wait(until):
                break
        return answers, rest

    def _wait(self, until: float) -> bool:
        """Wait for what is being brought in; say whether anything is."""
        if not (self.backlog.moving or self.calls.local):
            return False
        with self.backlog.changed:
            self.backlog.changed.wait(max(0.0, until - time.monotonic()))
        return True

    def _read(self, hook: str, waiting: dict[Any, Waiting]) -> dict[Any, Any]:
        """Return the answers that can be told now."""
        waiting = self._less_stored(waiting) if hook == _MESSAGES else waiting
        stored: Mapping[Any, Any] = self.calls.read(hook, list(waiting)) or {}
        answers = dict[Any, Any]()
        for one, found in waiting.items():
            base = stored.get(one)
            calls = list(found.calls.values())
            if self._is_told(hook, one, base, found):
                answer = fold(hook, one, base, calls)
                answers[one] = self._filled(one, calls) if answer is UNKNOWN and hook == _MESSAGES else answer
        return answers

    def _filled(self, window: Window, calls: Sequence[Call]) -> Any:
        """Return what a window shows where erases that wait took something out: more of what is stored."""
        wide, answer = window, cast("Any", UNKNOWN)
        while answer is UNKNOWN:
            wide = attrs.evolve(wide, limit=wide.limit * 4)
            stored: Mapping[Any, Any] = self.calls.read(_MESSAGES, [wide]) or {}
            base = stored.get(wide, ())
            answer = fold(_MESSAGES, wide if len(base) < wide.limit else window, base, calls)
        return window.show(answer or ()) or None

    def _is_told(self, hook: str, one: Any, base: Any, waiting: Waiting) -> bool:
        """Say whether an answer may be made of what is stored and what waited before that was read."""
        if hook == _MESSAGES:
            return not hides_stored(one, base, waiting.calls.values())
        return hook in _ABSORBING or self.backlog.still_waits(thing_of(one), waiting)

    def _less_stored(self, waiting: dict[Window, Waiting]) -> dict[Window, Waiting]:
        """Return what waits for conversations, less the messages that are stored already."""
        sought = {window: sought_messages(window, found.maybe_stored()) for window, found in waiting.items()}
        asked = list(dict.fromkeys(one for each in sought.values() for one in each))
        stored = set[Window]()
        for first in range(0, len(asked), MAX_BATCH):
            stored.update(self.calls.read(_MESSAGES, asked[first : first + MAX_BATCH]) or ())
        less = dict[Window, Waiting]()
        for window, found in waiting.items():
            missing = {one.message_id for one in sought[window] if one not in stored}
            some = len(missing) < len(sought[window])
            less[window] = without_stored(window, found, missing) if some else found
        return less
