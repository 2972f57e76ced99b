"""What waits to be brought in: on disk as long as a disk can be written, in the order in which it was acknowledged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import Durability
from whisper_persistence_drivers.net.backlog_storage import BacklogStorage
from whisper_persistence_drivers.net.bases import Raise
from whisper_persistence_drivers.net.entries import ERASES, Entry, keys_of
from whisper_persistence_drivers.net.folder import order
from whisper_persistence_drivers.net.forgetting import holds_any
from whisper_persistence_drivers.net.journal import ERRORS

_log = logging.getLogger(__name__)

#: How many decoded calls are kept at hand for reads.
_DECODED: Final = 4_096

Call = tuple[str, tuple[Any, ...]]


@attrs.frozen
class Waiting:
    """What waits for a user or conversation.

    Attributes:
        calls: hook and items of each call, by its place, in order.
        doubtful: the places of those that may be in the database of record already.
    """

    calls: dict[int, Call]
    doubtful: frozenset[int]

    def maybe_stored(self) -> list[Call]:
        """Return the calls that may be in the database of record already."""
        return [call for place, call in self.calls.items() if place in self.doubtful]


@attrs.define(eq=False, weakref_slot=True)
class Backlog(BacklogStorage):
    """Everything that was acknowledged and waits. Thread-safe.

    Attributes:
        most_bytes, most_entries: what may wait; more is refused.
        moving: whether what waits is being brought in.
        refused: how many writes were refused because too much waits.
    """

    most_bytes: int
    most_entries: int
    moving: bool = attrs.field(default=False, init=False)
    refused: int = attrs.field(default=0, init=False)

    def adopt(self) -> int:
        """Take over what the journals of dead processes hold; return how much."""
        with self.changed:
            adopted: list[Entry] = []
            for journal in self.folder.orphans():
                try:
                    adopted += self._take_over(journal)
                except ERRORS as error:
                    _log.error("a journal cannot be taken over", extra={"error": type(error).__name__})
                    self.folder.release(journal.path)
            for entry in order(adopted):
                self._add_read(entry)
            if adopted:
                _log.warning("what another process left in its journal waits", extra={"entries": len(adopted)})
            self.changed.notify_all()
            return len(adopted)

    def blocks(self, keys: Iterable[str]) -> bool:
        """Say whether anything waits that is written to one of these."""
        return self._index.blocks(keys)

    def add(self, entry: Entry, items: Sequence[Any], bases: Callable[[], dict[str, int]]) -> Durability:
        """Keep one more call, and say how safe it is.

        Args:
            entry: the call.
            items: of it.
            bases: tells what it is based on, while nothing is cleared: else own writes would be missed or count twice.

        Raises:
            StorageUnavailableError: too much waits already.
        """
        with self.changed:
            if len(self) >= self.most_entries or self._index.size + len(entry.body) > self.most_bytes:
                self.refused += 1
                raise StorageUnavailableError(
                    f"the storage does not answer and {len(self):,} writes wait for it, as many as may: bring it back, "
                    "or allow more by the options journal_entries and journal_mb"
                )
            place, based_on = self._next, bases()
            kept = attrs.evolve(entry, place=place, number=place, writer=self.writer, based_on=based_on)
            durability = self._keep(kept)
            self._index.add(kept, keys_of(kept.hook, items))
            self.changed.notify_all()
            return durability

    def newest(self) -> int:
        """Return the number of the last call that was kept."""
        return self._next - 1

    def head(self, most: int) -> list[Entry]:
        """Return the oldest calls, in order."""
        with self.changed:
            return self._read(self._index.first(most))

    def reread(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return calls as they are now: what a save is based on grows with our own writes before it."""
        with self.changed:
            return self._read([entry.place for entry in entries if entry.place in self._index.lines])

    def waiting(self, key: str) -> Waiting:
        """Return what waits for a user or conversation, in order."""
        with self.changed:
            places = self.places(key)
            for entry in self._read([place for place in places if place not in self._decoded]):
                self._decoded[entry.place] = entry.items()
            calls = {p: (self._index.lines[p].hook, self._decoded[p]) for p in places if p in self._decoded}
            while len(self._decoded) > _DECODED:
                del self._decoded[next(iter(self._decoded))]
            return Waiting(calls, frozenset(place for place in calls if self._index.lines[place].tried))

    def still_waits(self, key: str, waiting: Waiting) -> bool:
        """Say whether all that waited still does, and nothing of it was handed to the database of record since."""
        with self.changed:
            lines = self._index.lines
            tried = {place: lines[place].tried for place in self.places(key) if place in waiting.calls}
            return tried == {place: place in waiting.doubtful for place in waiting.calls}

    def places(self, key: str) -> list[int]:
        """Return where the calls are that wait for a user or conversation; an erase may be for any conversation."""
        with self.changed:
            own = self._index.places(key)
            return sorted({*own, *self._index.places(ERASES)}) if key.startswith("c:") else own

    def mark_tried(self, entries: Sequence[Entry], *, tried: bool = True) -> None:
        """Note that the database of record is being asked for these, and may do them whatever it answers.

        Args:
            entries: which.
            tried: false takes it back for those that were read as never tried.
        """
        with self.changed:
            for entry in entries:
                if entry.place in self._index.lines:
                    self._index.lines[entry.place].tried = tried or entry.tried

    def done(self, entries: Sequence[Entry], raised: Mapping[str, Raise]) -> None:
        """Forget calls that were brought in.

        Args:
            entries: which.
            raised: what that did to the revisions of users, by their id.
        """
        with self.changed:
            places = [entry.place for entry in entries]
            bases = self._rebased(places, raised)
            if self._journal:
                try:
                    self._journal.remove(places, bases)
                except ERRORS as error:
                    _log.error("a journal cannot be cleared", extra={"error": type(error).__name__})
            self._drop(places)

    def forget(self, user_ids: frozenset[str]) -> int:
        """Take everything of these users out of what waits; return how many calls that touched."""
        with self.changed:
            wanted = {f"u:{user_id}" for user_id in user_ids}
            lines = self._index.lines.items()
            found = self._read([place for place, line in lines if not wanted.isdisjoint(line.keys)])
            for entry in found:
                self._cut(entry, user_ids)
            if self._journal:
                self._journal.filter_dead(lambda entry: not holds_any(entry, user_ids))
                self._journal.scrub()
            return len(found)

    def report(self) -> dict[str, Any]:
        """Return how much waits, how old it is, and what became of the rest."""
        with self.changed:
            oldest = self._index.oldest()
            age = None if oldest is None else max(0.0, time.time() - oldest / 1_000_000)
            waits = {"backlog": len(self), "oldest_seconds": age, "volatile": len(self._volatile)}
            dead = self._journal.dead() if self._journal else 0
            return {**waits, "refused": self.refused, "dead_letters": dead}

    def belongs_to(self, installation: str) -> bool:
        """Say whether what waits is for this installation of a database; the first one asked about is written down."""
        with self.changed:
            known = self._journal.fact("installation") if self._journal else None
            if self._journal and known is None:
                self._journal.note("installation", installation)
            return known in (None, installation)
