"""An index at a server: one process keeps it at a time, by a lease; others search in it, and one of them takes over.

What is known about the index is the note of the lease: whoever has the lease knows it, and nobody else can change it. A
lease that was given back leaves its index to the next holder. One that ran out does not: its holder may be frozen and
write once more when it wakes, so that its index is given up and another one built, to which nobody else writes.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import ConfigurationError, StorageDamagedError, StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Lease
from whisper_persistence_drivers.recall.folder import Folder, Manifest, build_name

_log: Final = logging.getLogger(__name__)

#: It is renewed, and asked for by those who wait, so many times while it lasts.
_ASKED: Final = 6


@attrs.frozen
class Note:
    """What the holders of a lease tell each other.

    Attributes:
        manifest: what is known about the current build.
        others: the builds that are at the server besides, to be removed.
    """

    manifest: Manifest | None = None
    others: tuple[str, ...] = ()

    def without(self) -> Note:
        """Return the note once the current build is given up."""
        if self.manifest is None or not self.manifest.build:
            return self
        manifest = attrs.evolve(self.manifest, build="", count=0, clean=False)
        return Note(manifest, (*self.others, self.manifest.build))


_read_note: Final = decoder(Note)


@attrs.define(eq=False, kw_only=True)
class LeasedFolder(Folder):
    """One namespace's index at a server; the folder itself is only where its child processes are at home.

    Attributes:
        below: who gives leases.
        follower: whose lease it is.
        seconds: how long it lasts after its holder was killed.
        drop: removes builds from the server.
        holder: the name of this process in the lease.
    """

    below: Below
    follower: str
    seconds: float
    drop: Callable[[Sequence[str]], None]
    holder: str = attrs.field(factory=lambda: f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}")
    _lease: Lease | None = attrs.field(default=None, init=False)
    _note: Note = attrs.field(factory=Note, init=False)
    _inherited: Manifest | None = attrs.field(default=None, init=False)
    _ask_at: float = attrs.field(default=0.0, init=False)

    def claim(self) -> bool:
        """Keep the index from now on, unless another process does.

        Raises:
            StorageUnavailableError: the database, or the folder, does not answer.
        """
        if time.monotonic() >= self._ask_at:
            self.make()
            self._ask(self.seconds)
        return self.owned()

    def owned(self) -> bool:
        """Say whether this process has the lease, as far as it knows: what it does too late, `fence` gives away."""
        return self._lease is not None and self._lease.holder == self.holder

    def owner(self) -> str | None:
        """Return the name of the process that has the lease."""
        return (self._lease.holder or None) if self._lease else None

    def fence(self) -> int:
        """Return the fence of the lease."""
        return self._lease.fence if self._lease else 0

    def release(self) -> None:
        """Give the lease back, and with it an index that was left as it was found."""
        if self._inherited is not None:
            self._note = attrs.evolve(self._note, manifest=self._inherited)
        with suppress(StorageUnavailableError):
            if self.owned():
                self._ask(0.0)
        self._lease = None

    def manifest(self) -> Manifest | None:
        """Return what is known about the current build."""
        return self._inherited or self._note.manifest

    def write(self, manifest: Manifest) -> None:
        """Make a build the current one, or note something about it.

        Raises:
            StorageUnavailableError: another process has the lease by now, or the database does not answer.
        """
        others = tuple(build for build in self._note.without().others if build != manifest.build)
        self._inherited = None
        self._save(Note(manifest, others))

    def forget(self) -> None:
        """Trust no build any more; whoever has the lease next is told, or finds that it ran out."""
        note, self._inherited = self._note.without(), None
        if self.owned() and note is not self._note:
            with suppress(StorageUnavailableError):
                self._save(note)

    def new_build(self) -> str:
        """Return the name of a new build, which is noted before it is there.

        Raises:
            StorageUnavailableError: another process has the lease by now, or the database does not answer.
        """
        name = build_name()
        self._save(attrs.evolve(self._note, others=(*self._note.others, name)))
        return name

    def has_builds(self) -> bool:
        """Say whether there is any build."""
        return bool(self._note.without().others)

    def sweep(self, *kept: str) -> int:
        """Remove every build but these and the current one, and return how many went; the rest goes another time."""
        gone = [build for build in self._note.others if build not in kept]
        if not gone or not self.owned():
            return 0
        try:
            self.drop(gone)
        except (StorageUnavailableError, StorageDamagedError) as error:
            _log.info("old builds stay at the server for now", extra={"reason": str(error), "builds": len(gone)})
            return 0
        self._note = attrs.evolve(self._note, others=tuple(each for each in self._note.others if each not in gone))
        return len(gone)

    def remove(self, build: str) -> None:
        """Nothing: the next `sweep` removes it."""

    def _save(self, note: Note) -> None:
        fence, self._note = self.fence(), note
        self._ask(self.seconds)
        if not self.owned() or self.fence() != fence:
            raise StorageUnavailableError("another process keeps the index by now: this one only searches in it")

    def _ask(self, seconds: float) -> None:
        before = self._lease if self.owned() else None
        note = encode(self._note) if before else ""
        asked = Lease(self.follower, self.holder, before.fence if before else 0, seconds, note)
        self._lease = self.below.lease_follower(lease=asked)
        self._ask_at = time.monotonic() + self.seconds / _ASKED
        if self._lease is None:
            raise ConfigurationError("chroma-recall finds no driver below that gives leases: do without a server's url")
        if before is None or before.fence != self._lease.fence:
            self._inherit(_read(self._lease.note))

    def _inherit(self, note: Note) -> None:
        """Take what others left; a build that another one may still write to is no build any more."""
        manifest, self._note, self._inherited = note.manifest, note, None
        if not self.owned() or manifest is None:
            return
        if manifest.clean:
            self._inherited = manifest
            self._note = attrs.evolve(note, manifest=attrs.evolve(manifest, clean=False))
        else:
            self._note = note.without()
        try:
            self._ask(self.seconds)
        except StorageUnavailableError:
            self._lease = None  # nothing is done before it is noted
            raise


def _read(note: str) -> Note:
    try:
        return _read_note(note.encode()) if note else Note()
    except StorageDamagedError:
        return Note()
