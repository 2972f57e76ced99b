"""Where what waits is kept: on disk as long as a disk can be written, else in memory; and found again."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

import attrs
import uuid_utils

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import Durability
from whisper_persistence_drivers.net.bases import Raise, rebased
from whisper_persistence_drivers.net.entries import SAVES, Entry, keys_of
from whisper_persistence_drivers.net.folder import Folder
from whisper_persistence_drivers.net.forgetting import cut
from whisper_persistence_drivers.net.index import Index
from whisper_persistence_drivers.net.journal import ERRORS, Journal

_log = logging.getLogger(__name__)

_all: WeakSet[BacklogStorage] = WeakSet()
#: Journals that a forked child inherited: neither used nor closed, since that would drop the parent's locks.
_inherited: Final[list[Journal | None]] = []


@attrs.define(eq=False, weakref_slot=True)
class BacklogStorage:
    """What waits, as it is kept. Whoever calls a method with an underscore holds ``changed``.

    Attributes:
        folder: where journals lie.
        writer: the name under which the writes of this process are known.
        changed: told whenever something is added or gone.
    """

    folder: Folder
    writer: str = attrs.field(factory=lambda: str(uuid_utils.uuid7()), init=False)
    changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _journal: Journal | None = attrs.field(default=None, init=False)
    _index: Index = attrs.field(factory=Index, init=False)
    _volatile: dict[int, Entry] = attrs.field(factory=dict[int, Entry], init=False)
    _decoded: dict[int, tuple[Any, ...]] = attrs.field(factory=dict[int, tuple[Any, ...]], init=False)
    _next: int = attrs.field(default=1, init=False)

    def __attrs_post_init__(self) -> None:
        """Be known to forks."""
        _all.add(self)

    def __len__(self) -> int:
        return len(self._index.lines)

    def bury(self, entry: Entry, reason: str) -> None:
        """Set a call aside that can never be brought in."""
        with self.changed:
            _log.error("a journaled write is set aside", extra={"hook": entry.hook, "reason": reason})
            try:
                self._writable().bury(entry, reason)
            except ERRORS as error:
                _log.error("a dead letter cannot be kept", extra={"error": type(error).__name__})
            self._drop([entry.place])

    def close(self) -> None:
        """Close the journal; one that holds nothing is removed, and another is found by who opens next."""
        with self.changed:
            journal, self._journal = self._journal, None
            if self._volatile:
                _log.error("closed with writes in memory that nobody kept", extra={"writes": len(self._volatile)})
            if journal:
                empty = not self._index.lines and journal.dead() == 0
                journal.close()
                self.folder.discard(journal.path) if empty else self.folder.release(journal.path)
            self._begin()

    def begin_anew(self) -> None:
        """After a fork, in the child: what waits is the parent's."""
        _inherited.append(self._journal)
        self._journal, self.changed = None, threading.Condition()
        self.folder.begin_anew()
        self._begin()

    def _begin(self) -> None:
        self._index, self._volatile, self._decoded = Index(), {}, {}
        self._next, self.writer = 1, str(uuid_utils.uuid7())

    def _keep(self, entry: Entry) -> Durability:
        self._next = entry.place + 1
        try:
            self._writable().append([*self._volatile.values(), entry])
        except ERRORS as error:
            if not self._volatile:
                _log.error("no journal can be written: writes wait in memory", extra={"error": type(error).__name__})
            self._volatile[entry.place] = entry
            return Durability.VOLATILE
        self._volatile.clear()
        return Durability.JOURNALED

    def _writable(self) -> Journal:
        if self._journal is None:
            self._journal = self.folder.make()
        return self._journal

    def _take_over(self, journal: Journal) -> list[Entry]:
        """Go on in the first journal found, and copy into it what others hold."""
        entries = [attrs.evolve(entry, tried=True) for entry in journal.walk()]
        if self._journal is None and not self._index.lines:
            self._journal, self._next = journal, max(self._next, journal.newest() + 1)
            return entries
        moved = [attrs.evolve(entry, place=self._next + n) for n, entry in enumerate(entries)]
        self._next += len(moved)
        try:
            self._writable().append(moved)
        except ERRORS:
            journal.close()
            self.folder.release(journal.path)
            return []
        journal.close()
        self.folder.discard(journal.path)
        return moved

    def _add_read(self, entry: Entry) -> None:
        try:
            self._index.add(entry, keys_of(entry.hook, entry.items()))
        except StorageDamagedError as error:
            self.bury(entry, str(error))

    def _read(self, places: Sequence[int]) -> list[Entry]:
        found = {place: self._volatile[place] for place in places if place in self._volatile}
        rest = [place for place in places if place not in found]
        if rest and self._journal:
            found.update((entry.place, entry) for entry in self._journal.entries(rest))
            self._drop([place for place in rest if place not in found])
        return [found[place] for place in places if place in found]

    def _cut(self, entry: Entry, user_ids: frozenset[str]) -> None:
        left = cut(entry, user_ids)
        if left is None:
            if self._journal:
                self._journal.remove([entry.place])
            self._drop([entry.place])
            return
        shorter, items = left
        self._decoded.pop(entry.place, None)
        self._index.replace(shorter, keys_of(shorter.hook, items))
        if entry.place in self._volatile:
            self._volatile[entry.place] = shorter
        elif self._journal:
            self._journal.replace(shorter)

    def _rebased(self, gone: Sequence[int], raised: Mapping[str, Raise]) -> list[tuple[int, dict[str, int]]]:
        """Return what the saves that still wait are based on, now that our own writes before them are in."""
        keys = {f"u:{user_id}" for user_id in raised}
        behind = {place for key in keys for place in self._index.places(key)} - set(gone)
        saves = self._read(sorted(place for place in behind if self._index.lines[place].hook in SAVES))
        bases = [(entry.place, rebased(entry.based_on, raised)) for entry in saves]
        for place, based_on in bases:
            if place in self._volatile:
                self._volatile[place] = attrs.evolve(self._volatile[place], based_on=based_on)
        return bases

    def _drop(self, places: Iterable[int]) -> None:
        for place in places:
            self._index.drop(place)
            self._volatile.pop(place, None)
            self._decoded.pop(place, None)
        self.changed.notify_all()


def _before_fork() -> None:
    for storage in list(_all):
        storage.changed.acquire()


def _after_fork_in_parent() -> None:
    for storage in list(_all):
        storage.changed.release()


def _after_fork_in_child() -> None:
    for storage in list(_all):
        storage.begin_anew()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
