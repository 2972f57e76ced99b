"""Bringing in what waits: in order, once in effect, as soon as the drivers below answer again."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from whisper_persistence.errors import (
    BrokenDriverError,
    NotSupportedError,
    PersistenceError,
    StorageDamagedError,
    StorageRefusedError,
    ValidationError,
)
from whisper_persistence.records import Receipt
from whisper_persistence.records.checks import MAX_BATCH
from whisper_persistence_drivers import forks
from whisper_persistence_drivers.net.backlog import Backlog
from whisper_persistence_drivers.net.bases import raised_by
from whisper_persistence_drivers.net.calls import Calls
from whisper_persistence_drivers.net.entries import ERASE, MERGED, SAVES, Entry, body_of, keys_of, thing_key
from whisper_persistence_drivers.net.memory import Memory
from whisper_persistence_drivers.net.steps import reached

_log = logging.getLogger(__name__)
#: What a database says for good.
_FOR_GOOD: Final = (StorageRefusedError, ValidationError, NotSupportedError)
#: After this, an entry is set aside: what tells that it was applied is remembered as long. In microseconds: 30 days.
_OLDEST: Final = 30 * 24 * 3_600 * 1_000_000
#: Calls whose epoch only the clock tells travel together when they were acknowledged within this, in microseconds.
_TOGETHER: Final = 60 * 1_000_000
#: How long it goes on bringing in when the store is closed, in seconds.
_PARTING: Final = 2.0
#: How often an entry is tried that makes a driver break.
_PATIENCE: Final = 5


@attrs.define(eq=False, weakref_slot=True)
class Relay:
    """Brings in what waits, on a thread of its own that lives while something waits or nobody is asked.

    Attributes:
        calls, backlog, memory: of the net.
        ready: says whether the drivers below answer, and opens those that could not be opened; may raise.
        saw: told the newest number of an erase.
        pause: how long it waits between attempts, in seconds, cut at random by up to a half.
        replayed: how many calls were brought in.
    """

    calls: Calls
    backlog: Backlog
    memory: Memory
    ready: Callable[[], bool]
    saw: Callable[[int], None]
    pause: float = attrs.field(default=0.5, init=False)
    replayed: int = attrs.field(default=0, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    _closing: threading.Event = attrs.field(factory=threading.Event, init=False)
    _starting: Any = attrs.field(factory=threading.Lock, init=False)
    _breaks: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Be known to forks."""
        forks.watch(self)

    def wake(self) -> None:
        """See to it that what waits is brought in, and that a storage that answers again is asked again."""
        with self._starting:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="whisper-persistence-relay", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop; what is being brought in gets a moment to be finished."""
        with self.backlog.changed:
            self.backlog.changed.wait_for(lambda: not (self.backlog.moving and len(self.backlog)), _PARTING)
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join(_PARTING)

    def begin_anew(self) -> None:
        """After a fork, in the child, where the thread is not."""
        self._thread, self._starting, self._closing = None, threading.Lock(), threading.Event()
        self.backlog.moving = False

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self.ready():
                    self._drain()
                    if self._rest():
                        return
            except PersistenceError:
                self.backlog.moving = False
            except Exception as error:
                self.backlog.moving = False
                _log.error("the relay stumbled", extra={"error": type(error).__name__})
            self._closing.wait(self.pause * random.uniform(0.5, 1.0))  # noqa: S311

    def _rest(self) -> bool:
        """End the thread where nothing waits any more, for nobody."""
        with self._starting, self.backlog.changed:
            if len(self.backlog) or self.calls.reads.breaker.is_open():
                return False
            self._thread = None
            return True

    def _drain(self) -> None:
        brought = 0
        while not self._closing.is_set():
            entries = self.backlog.head(MAX_BATCH)
            if not entries:
                break
            self.backlog.moving = True
            for group in _grouped(entries):
                self._bring(group)
                brought += len(group)
                if self._closing.is_set():
                    break
        self.backlog.moving = False
        if brought:
            _log.warning("what waited is brought in", extra={"writes": brought})

    def _bring(self, group: Sequence[Entry]) -> None:
        first = group[0]
        if first.hook in SAVES:
            group = self.backlog.reread(group)
            if not group:
                return
            first = group[0]
        if first.written_at < time.time() * 1_000_000 - _OLDEST:
            self.backlog.bury(first, "older than 30 days, when it is no longer known what was applied")
            return
        self.backlog.mark_tried(group)
        try:
            items = [item for entry in group for item in entry.items()]
            receipts = self._ask(first, items)
        except (*_FOR_GOOD, StorageDamagedError) as error:
            self._refused(group, error)
            return
        except BrokenDriverError as error:
            self._breaks += 1
            if self._breaks < _PATIENCE:
                raise
            self._refused(group[:1], error)
            return
        except PersistenceError:
            self.backlog.mark_tried(group, tried=not self.calls.local)
            raise
        self._breaks = 0
        reached("replay: committed, not cleared")
        # A read that does not find these waiting any more must not find the memory from before them either.
        self.memory.forget({key for entry in group for key in keys_of(entry.hook, entry.items())})
        self._clear(group, items, receipts)
        self.replayed += len(group)
        self.calls.writes.breaker.heal()
        reached("replay: cleared")

    def _ask(self, entry: Entry, items: Sequence[Any]) -> Any:
        reached("replay: not asked yet")
        receipts = self.calls.straight(entry.hook, items, entry.origin(replayed=True))
        if receipts is None:
            raise NotSupportedError(f"no driver answers {entry.hook} any more")
        return receipts

    def _refused(self, group: Sequence[Entry], error: Exception) -> None:
        """Try what was refused together one by one, and set aside what is refused alone."""
        if len(group) > 1:
            for entry in group:
                self._bring([entry])
            return
        (entry,) = group
        items = () if isinstance(error, StorageDamagedError) else entry.items()
        if entry.hook not in MERGED or len(items) < 2:
            self.backlog.bury(entry, f"{type(error).__name__}: {error}")
            return
        found = [(item, self._asked_alone(entry, item)) for item in items]
        bad = [item for item, receipt in found if receipt is None]
        if bad:
            self.backlog.bury(attrs.evolve(entry, body=body_of(entry.hook, bad)), f"{type(error).__name__}: {error}")
        good = [(item, receipt) for item, receipt in found if receipt is not None]
        self._clear([entry], [item for item, _ in good], [receipt for _, receipt in good])

    def _asked_alone(self, entry: Entry, item: Any) -> Receipt | None:
        try:
            receipts: Sequence[Receipt] = self._ask(entry, [item])
        except _FOR_GOOD:
            return None
        return receipts[0]

    def _clear(self, group: Sequence[Entry], items: Sequence[Any], receipts: Sequence[Any]) -> None:
        """Forget that these wait, and have memory know how their users stand, in one step for whoever adds a save."""
        hook = group[0].hook
        with self.backlog.changed:
            self.backlog.done(group, raised_by(hook, items, receipts))
            if hook == ERASE:
                self.memory.erase(items)
                return
            more = [key for key in map(thing_key, items) if self.backlog.blocks([key])]
            self.memory.replayed(items, receipts, more)
        if receipts:
            self.saw(receipts[-1].erasures)


def _grouped(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return neighbours that may travel together, in order: one hook, told the same about erases."""
    groups: list[list[Entry]] = []
    for entry in entries:
        last = groups[-1] if groups else None
        if last and entry.hook in MERGED and _alike(last[0], entry) and len(last) < MAX_BATCH // 2:
            last.append(entry)
        else:
            groups.append([entry])
    return groups


def _alike(first: Entry, entry: Entry) -> bool:
    told = first.hook == entry.hook and first.writer == entry.writer and first.erasures == entry.erasures
    return told and (first.erasures is not None or entry.written_at - first.written_at < _TOGETHER)
