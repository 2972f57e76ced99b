"""From an event loop to threads and back, gathering the calls that wait.

A hook takes a batch, so the calls that arrive while an earlier batch is on its way go together: one hop, one
transaction, one flush of the disk for all of them. There is no timer: a call that finds nothing on its way goes at the
end of the loop's present turn, together with those of the same turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from whisper_persistence.crew import Crew, hand_back, outcome, settle
from whisper_persistence.errors import (
    NotSupportedError,
    PartlyDamagedError,
    PartlyUnavailableError,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    StoreClosedError,
    ValidationError,
)
from whisper_persistence.records.checks import MAX_BATCH

#: What callers are told whose call did not come back in time.
LATE: Final = "the store was closed before this call was done: whether it was is not known"


@attrs.define(eq=False)
class Call:
    """One caller's part of a batch.

    Attributes:
        items: what the caller handed in.
        keys: the users or conversations that the items write to; calls with a common key keep their order.
        future: what the caller waits for.
    """

    items: Sequence[Any]
    keys: frozenset[str]
    future: asyncio.Future[Any]


@attrs.define(eq=False)
class Lane:
    """The calls of one hook on one event loop, on their way or waiting.

    Attributes:
        crew: who does the work.
        ask: the hook, as a function of a batch.
        part: a caller's part of the batch's answer, from the answer, the position of its first item, and its items.
        width: how many batches may be on their way at once.
    """

    crew: Crew
    ask: Callable[[Sequence[Any]], Any]
    part: Callable[[Any, int, Sequence[Any]], Any]
    width: int
    loop: asyncio.AbstractEventLoop
    _waiting: deque[Call] = attrs.field(factory=deque[Call])
    _busy: set[str] = attrs.field(factory=set[str])
    _sent: list[list[Call]] = attrs.field(factory=list[list[Call]])
    _due: bool = False
    _quiet: list[asyncio.Future[None]] = attrs.field(factory=list[asyncio.Future[None]])
    _settling: list[tuple[set[int], asyncio.Future[None]]] = attrs.field(factory=list[Any])

    def call(self, items: Sequence[Any], keys: frozenset[str] = frozenset()) -> asyncio.Future[Any]:
        """Add a caller's items to the next batch, and return a future for its part of the answer."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._waiting.append(Call(tuple(items), keys, future))
        self._send_soon()
        return future

    def drained(self) -> asyncio.Future[None]:
        """Return a future that is done when nothing waits and nothing is on its way."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._quiet.append(future)
        self._notice_quiet()
        return future

    def settled(self) -> asyncio.Future[None]:
        """Return a future that is done when every write that waits or is on its way by now is over."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._settling.append(({id(call) for calls in (self._waiting, *self._sent) for call in calls}, future))
        self._notice_settled(())
        return future

    def abandon(self) -> None:
        """Let nobody wait any longer: what waits is not sent, and of what is on its way nobody knows."""
        for call in self._waiting:
            settle(call.future, None, StoreClosedError("the store was closed before this call was sent"))
        for call in (call for calls in self._sent for call in calls):
            settle(call.future, None, StoreClosedError(LATE))
        self._waiting.clear()
        self._notice_quiet()

    def _send_soon(self) -> None:
        if not self._due and len(self._sent) < self.width:
            self._due = True
            self.loop.call_soon(self._send)

    def _send(self) -> None:
        self._due = False
        while self._waiting and len(self._sent) < self.width:
            calls = self._take()
            if not calls:
                self._notice_quiet()
                return
            self._sent.append(calls)
            self._busy.update(*(call.keys for call in calls))
            try:
                self.crew.submit(partial(self._work, calls))
            except StorageUnavailableError as error:
                self._done(calls, [(None, error)] * len(calls))

    def _work(self, calls: list[Call]) -> None:
        answers, error = outcome(_answers, self, calls)
        hand_back(self.loop, self._done, calls, answers if error is None else [(None, error)] * len(calls))

    def _take(self) -> list[Call]:
        """Return the calls that may go now, at most `MAX_BATCH` items; those behind a busy key go on waiting.

        What is only to be read for a caller who was cancelled is left out; writes, which have keys, are not.
        """
        taken: list[Call] = []
        left: list[Call] = []
        blocked = set(self._busy)
        size = 0
        while self._waiting and size + len(self._waiting[0].items) <= max(MAX_BATCH, len(self._waiting[0].items)):
            call = self._waiting.popleft()
            if not call.keys and call.future.done():
                continue
            if blocked and not blocked.isdisjoint(call.keys):
                blocked |= call.keys
                left.append(call)
            else:
                taken.append(call)
                size += len(call.items)
        self._waiting.extendleft(reversed(left))
        return taken

    def _done(self, calls: list[Call], answers: list[tuple[Any, BaseException | None]]) -> None:
        self._sent.remove(calls)
        for call, (value, error) in zip(calls, answers, strict=True):
            if call.keys:
                self._busy -= call.keys
            settle(call.future, value, error)
        self._notice_settled(calls)
        self._send_soon()
        self._notice_quiet()

    def _notice_settled(self, over: Iterable[Call]) -> None:
        done = set(map(id, over))
        for left, future in self._settling:
            left.difference_update(done)
            if not left:
                settle(future, None, None)
        self._settling = [(left, future) for left, future in self._settling if left]

    def _notice_quiet(self) -> None:
        if not self._waiting and not self._sent:
            for future in self._quiet:
                settle(future, None, None)
            self._quiet.clear()


def receipts_of(answer: Sequence[Any], first: int, items: Sequence[Any]) -> Sequence[Any]:
    """Return a caller's receipts: those at the positions of its items."""
    return answer[first : first + len(items)]


def entries_of(answer: Mapping[Any, Any], first: int, items: Sequence[Any]) -> dict[Any, Any]:
    """Return a caller's entries: those under the keys it asked for."""
    return {item: answer[item] for item in items if item in answer}


#: Errors that one item of a batch may be the cause of.
_OF_ONE_ITEM: Final = (NotSupportedError, StorageDamagedError, StorageRefusedError, ValidationError)


def _answers(lane: Lane, calls: list[Call]) -> list[tuple[Any, BaseException | None]]:
    """Ask for all calls together; where one of them may be the cause of an error, for each alone."""
    batch = [item for call in calls for item in call.items]
    answer, error = outcome(lane.ask, batch)
    if lane.part is entries_of and isinstance(error, (PartlyDamagedError, PartlyUnavailableError)):
        known = [error.unknown.isdisjoint(call.items) for call in calls]
        return [
            (entries_of(error.found, 0, call.items), None) if all_known else (None, error)
            for call, all_known in zip(calls, known, strict=True)
        ]
    if isinstance(error, _OF_ONE_ITEM) and len(calls) > 1:
        return _answers_apart(lane, calls)
    if error is not None:
        return [(None, error)] * len(calls)
    parts: list[tuple[Any, BaseException | None]] = []
    first = 0
    for call in calls:
        parts.append(outcome(lane.part, answer, first, call.items))
        first += len(call.items)
    return parts


def _answers_apart(lane: Lane, calls: list[Call]) -> list[tuple[Any, BaseException | None]]:
    """Ask for each call alone, until the storage does not answer at all: that fails all that are left."""
    answers: list[tuple[Any, BaseException | None]] = []
    for call in calls:
        answers += _answers(lane, [call])
        if isinstance(answers[-1][1], StorageUnavailableError):
            break
    return answers + answers[-1:] * (len(calls) - len(answers))
