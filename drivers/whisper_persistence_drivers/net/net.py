"""The net: straight through while the drivers below answer, memory and journal while they do not.

How its parts keep the rules of the protocol's model is said in ``tests/faults/model.py``, rule by rule.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import ErasedMeanwhileError, PersistenceError, StorageBusyError, StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.origins import current_origin
from whisper_persistence.records import fields
from whisper_persistence_drivers.net.backlog import Backlog
from whisper_persistence_drivers.net.calls import Calls
from whisper_persistence_drivers.net.drivers import are_local, drivers_below
from whisper_persistence_drivers.net.entries import ERASE, SAVES, Entry, body_of, key_of, keys_of, thing_of_item
from whisper_persistence_drivers.net.folder import Folder
from whisper_persistence_drivers.net.in_flight import NotAskedError
from whisper_persistence_drivers.net.memory import Memory
from whisper_persistence_drivers.net.probing import Prober
from whisper_persistence_drivers.net.reading import Reader
from whisper_persistence_drivers.net.relay import Relay
from whisper_persistence_drivers.net.settling import Settler
from whisper_persistence_drivers.net.steps import reached

_log = logging.getLogger(__name__)


@attrs.frozen
class NetOptions:
    """The options of the net; see `MemoryFallbackDriver`."""

    journal: Path
    most_bytes: int
    most_entries: int
    deadline: float
    in_flight: int
    remembered: int
    strict: bool


class Net:
    """Stands between a store and drivers that may not answer."""

    def __init__(self, tier: str, below: Below, namespace: str, options: NetOptions) -> None:
        """Be ready, and take over what dead processes left.

        Args:
            tier: the driver's name, for reports.
            below: the hooks of the drivers listed after it.
            namespace: of the store.
            options: of the driver.
        """
        self.tier, self.options = tier, options
        drivers = drivers_below(below)
        names, local = ", ".join(drivers), are_local(drivers)
        self._calls = Calls.over(below, names, local=local, deadline=options.deadline, in_flight=options.in_flight)
        self._folder = Folder(options.journal, namespace)
        self._backlog = Backlog(self._folder, options.most_bytes, options.most_entries)
        self._memory = Memory(options.remembered)
        self._prober = Prober(tier, drivers, self._calls, self._backlog, self._folder)
        self._relay = Relay(self._calls, self._backlog, self._memory, self._prober.is_ready, self._saw)
        settler, wake = Settler(self._calls, self._backlog), self._relay.wake
        self._reader = Reader(self._calls, self._backlog, self._memory, settler, wake, options.strict)
        self._erasures = self._folder.seen()
        if self._backlog.adopt() or not self._prober.is_open:
            self._relay.wake()

    def close(self) -> None:
        """Stop; what waits stays in the journal for whoever opens next."""
        self._relay.close()
        self._backlog.close()
        self._calls.close()
        self._prober.close()

    def write(self, hook: str, items: Sequence[Any]) -> Any:
        """Write below; where that is not possible now, keep it and answer how safe it is.

        Raises:
            StorageUnavailableError: it is not possible, and may not be kept: ``strict``, or too much waits.
        """
        if self._calls.local and not len(self._backlog):
            return self._write_here(hook, items)
        keys = keys_of(hook, items)
        if self._backlog.blocks(keys):
            return self._keep(self._entry(hook, items), items)
        if self._calls.local:
            return self._write_here(hook, items)
        if current_origin() is not None:
            return self._calls.straight(hook, items, current_origin())
        return self._write_there(hook, items, keys)

    def _write_there(self, hook: str, items: Sequence[Any], keys: frozenset[str]) -> Any:
        """Write over a network, where what fails, or is not waited for any more, may be there."""
        entry = self._entry(hook, items)
        self._memory.begin_write(keys)
        try:
            receipts = self._calls.write(hook, items, entry.origin(replayed=False))
        except ErasedMeanwhileError as error:
            if error.erasures <= (self._erasures or 0):
                raise
            self._saw(error.erasures)
            return self.write(hook, items)
        except StorageUnavailableError as error:
            return self._keep(attrs.evolve(entry, tried=not isinstance(error, NotAskedError)), items)
        reached("write: committed, not acknowledged")
        if receipts:
            self._saw(receipts[-1].erasures)
            self._memory.wrote(hook, items, receipts)
        return receipts

    def _write_here(self, hook: str, items: Sequence[Any]) -> Any:
        """Write to a file, where what fails is surely not there, and "busy" is no outage."""
        try:
            receipts = self._calls.straight(hook, items, current_origin())
        except StorageBusyError:
            raise
        except StorageUnavailableError:
            if current_origin() is not None:
                raise
            return self._keep(self._entry(hook, items), items)
        reached("write: committed, not acknowledged")
        if receipts:
            self._saw(receipts[-1].erasures)
        return receipts

    def load(self, hook: str, asked: Sequence[Any]) -> Any:
        """Load from below; where that is not possible now, answer what is safe to answer.

        Raises:
            StorageUnavailableError: something asked for is not known.
        """
        if self._calls.local and not len(self._backlog):
            return self._calls.straight(hook, asked)
        return self._reader.load(hook, asked)

    def ask(self, hook: str, *arguments: Any) -> Any:
        """Hand on what is asked of the database of record alone."""
        caller: Any = getattr(self._calls.below, hook)
        return caller(**dict(zip(caller.spec.argnames, arguments, strict=True)))

    def scan(self, kind: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Hand on a scan, which has as much time as it needs; what waits is not in it."""
        return self._calls.below.scan(kind=kind, cursor=cursor, limit=limit)

    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Hand on a scan of one user's messages, as `scan` does."""
        return self._calls.below.scan_messages(user_id=user_id, cursor=cursor, limit=limit)

    def expire(self, policies: Sequence[rec.Retention], *, dry_run: bool) -> tuple[rec.TierReport, ...] | None:
        """Hand on an expiry, and forget what was read: memory keeps no longer what the drivers below may not."""
        reports = self._calls.below.expire(policies=policies, dry_run=dry_run)
        if not dry_run:
            self._memory.forget()
        return reports

    def aggregate(self, question: rec.Question[Any]) -> Any:
        """Hand on a question; what waits is not counted in."""
        return self._calls.below.aggregate(question=question)

    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Forget users here and below; where that is not possible now, forget them here and keep it in mind."""
        self._memory.erase(user_ids)
        touched = self._backlog.forget(frozenset(user_ids))
        entry = attrs.evolve(self._entry(ERASE, user_ids), number=self._backlog.newest())
        report = rec.TierReport(self.tier, {"journaled": touched})
        if not len(self._backlog):
            try:
                origin = current_origin() or attrs.evolve(entry, writer=self._backlog.writer).origin(replayed=False)
                reports = self._calls.straight(ERASE, user_ids, origin)
            except StorageUnavailableError:
                entry = attrs.evolve(entry, tried=True)
            else:
                self._erased(user_ids)
                return report, *(reports or ())
        self._keep(entry, user_ids)
        return (attrs.evolve(report, remaining=("accepted: the drivers below erase it when they answer again",)),)

    def _erased(self, user_ids: Sequence[str]) -> None:
        """Forget what was read meanwhile, and which erases were seen: this one's number is told by the next write."""
        self._memory.erase(user_ids)
        self._erasures = None
        self._folder.forget_seen()

    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Ask every driver below for real, with a deadline, and tell what waits."""
        self._backlog.adopt()
        if len(self._backlog):
            self._relay.wake()
        return self._prober.report(self._relay.replayed)

    def _entry(self, hook: str, items: Sequence[Any]) -> Entry:
        moment, number = int(fields.now().timestamp() * 1_000_000), self._backlog.newest() + 1
        return Entry(0, fields.new_id(), self._backlog.writer, number, hook, "", moment, self._erasures)

    def _bases(self, hook: str, items: Sequence[Any]) -> dict[str, int]:
        """Return the revisions that a save of whole records is based on, by user id."""
        if hook not in SAVES:
            return {}
        return {thing.thing_id: revision for thing, revision in self._revisions(map(thing_of_item, items)).items()}

    def _revisions(self, things: Iterable[rec.Thing]) -> dict[rec.Thing, int]:
        """Return the last revisions that are known: those in a file can be read, whatever cannot be written."""
        wanted = list(dict.fromkeys(things))
        if not self._calls.local:
            return {thing: self._memory.revision(key_of(thing)) for thing in wanted}
        try:
            found: Mapping[rec.Thing, rec.Revision] = self._calls.straight("load_revisions", wanted) or {}
        except PersistenceError:
            return {}
        return {thing: revision.revision for thing, revision in found.items()}

    def _keep(self, entry: Entry, items: Sequence[Any]) -> list[rec.Receipt]:
        if self.options.strict:
            self._relay.wake()
            raise StorageUnavailableError("the storage does not answer, and strict forbids to keep the write for later")
        reached("journal: not written")
        kept = attrs.evolve(entry, body=body_of(entry.hook, items))
        durability = self._backlog.add(kept, items, lambda: self._bases(kept.hook, items))
        self._relay.wake()
        if kept.hook == ERASE:
            return []
        known = self._revisions(map(thing_of_item, items))
        return [rec.Receipt(durability, known.get(thing_of_item(item), 0)) for item in items]

    def _saw(self, erasures: int) -> None:
        """Remember the newest number of an erase, durably: what is written from now on followed it."""
        if self._erasures is None or erasures > self._erasures:
            self._erasures = erasures
            if erasures:
                self._folder.note_seen(erasures)
