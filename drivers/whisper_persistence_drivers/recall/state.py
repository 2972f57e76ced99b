"""What is known about the index of one namespace, shared by those who search and the one who keeps it."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

import attrs

from whisper_persistence.hookspecs import Below
from whisper_persistence_drivers.installations import installation_of
from whisper_persistence_drivers.recall.embedders import Embedder
from whisper_persistence_drivers.recall.folder import Folder, Manifest
from whisper_persistence_drivers.recall.following import News, Outbox
from whisper_persistence_drivers.recall.index import Index
from whisper_persistence_drivers.recall.options import Options
from whisper_persistence_drivers.recall.sources import vector_pages

_log: Final = logging.getLogger(__name__)

#: Seconds for which a count of the vectors is good enough.
_MEASURE_EVERY: Final = 30.0
#: Seconds that what changed waits for a server, before its index is given up and built anew once the server is back.
_AWAITED: Final = 60.0


@attrs.define(eq=False)
class State:
    """The index, and what is known about it.

    Attributes:
        current: the embedder that settings name, once it is ready.
        serving: the embedder whose vectors are searched; another one than ``current`` until all is embedded anew.
        index: the index that answers, or ``None`` while none does.
        coming: the index that is being made.
        waiting: the news that the index being made has not got yet; ``None`` where it gets them at once.
        doubted: an index that answered with an error, to be looked at.
        away: why none answers, in words; empty where one does, or none is needed.
        owned: whether this process keeps the index.
        size: how many vectors there are, at least.
        filled: whether every message has a vector of ``current``.
        pushed: how many vectors were put into indexes or removed.
        restarts, rebuilds: how often an index was let go, and how often one was built.
        scrub_at: when the index is to be built anew because something was removed from it, as ``time.monotonic``
            counts; ``None`` where nothing was.
        server_missed_at: since when a server did not answer, as ``time.monotonic`` counts; ``None`` where it does.
        asked, scrubbed: tickets of those who wait for such a build; guarded by ``scrubbing``.
    """

    below: Below
    namespace: str
    options: Options
    folder: Folder
    outbox: Outbox
    current: Embedder | None = None
    serving: Embedder | None = None
    index: Index | None = None
    coming: Index | None = None
    waiting: list[News] | None = None
    doubted: Index | None = None
    away: str = ""
    owned: bool = False
    size: int = 0
    filled: bool = False
    pushed: int = 0
    restarts: int = 0
    rebuilds: int = 0
    scrub_at: float | None = None
    server_missed_at: float | None = None
    asked: int = 0
    scrubbed: int = 0
    _measured_at: float = -_MEASURE_EVERY
    _grown: int = 0
    scrubbing: Any = attrs.field(factory=threading.Condition, repr=False)

    def is_located(self) -> bool:
        """Say whether it is known which folder is that of the database below."""
        return self.folder.former is not None

    def locate(self) -> None:
        """Find the folder of the database below.

        Raises:
            StorageUnavailableError: it did not say yet which one it is.
        """
        if not self.is_located():
            self.folder.belong_to(installation_of(self.below) or "", self.namespace)

    def needs_index(self) -> bool:
        """Say whether there are so many vectors that an index is worth having."""
        return self.size > self.options.index_from

    def embedders(self) -> list[Embedder]:
        """Return the embedders whose vectors are kept up to date, the one that settings name first."""
        found = [each for each in (self.current, self.serving) if each is not None]
        return found[:1] if len(found) == 2 and found[0] is found[1] else found

    def measure(self) -> None:
        """Count the vectors, as far as it takes to know whether an index is needed."""
        if self.serving is not None and not self.needs_index():
            pages = vector_pages(self.below, self.serving.identity, limit=self.options.index_from + 1)
            self.size, self._grown = len(next(pages)), 0
            self._measured_at = time.monotonic()

    def measure_now_and_then(self) -> None:
        """Count the vectors, unless that was done a moment ago."""
        if time.monotonic() - self._measured_at > _MEASURE_EVERY:
            self.measure()

    def grow(self, count: int) -> None:
        """Take notice of vectors that may be new, and count when there may be enough for an index."""
        self._grown += count
        if self.size + self._grown > self.options.index_from:
            self.measure()

    def lose(self, index: Index, reason: str) -> None:
        """Let go of an index; where it may not be what it was, none like it is opened again."""
        index.child.kill()
        if self.is_current(index) and (index.child.dirty or not index.has_file()):
            self.folder.forget()
        if self.coming is index:
            self.coming, self.waiting = None, None
        if self.index is index:
            self.index = None
            self.restarts += 1
        self.away = reason
        _log.warning("the index is away", extra={"reason": reason, "restarts": self.restarts})

    def is_current(self, index: Index) -> bool:
        """Say whether an index is the one that would be opened again."""
        manifest = self.folder.manifest()
        return manifest is not None and manifest.build == index.build

    def miss_server(self) -> None:
        """Note that the server, if there is one, does not answer, unless that was noted before."""
        if self.options.server() is not None:
            self.server_missed_at = self.server_missed_at or time.monotonic()

    def awaits_server(self) -> bool:
        """Say whether there is an index at a server that is missed, but not for so long that it is built anew."""
        manifest, missed_at = self.folder.manifest(), self.server_missed_at
        if missed_at is None or manifest is None or not manifest.build:
            return False
        return time.monotonic() - missed_at < _AWAITED

    def serve(self, index: Index) -> None:
        """Let an index answer from now on, and delete the one before.

        Raises:
            StorageUnavailableError: the folder cannot be written.
        """
        self.note(index)
        before, self.index, self.coming, self.waiting, self.away = self.index, index, None, None, ""
        self.server_missed_at = None
        if before is not None:
            before.close()
        self.folder.sweep(index.build)

    def note(self, index: Index | None, *, clean: bool = False) -> None:
        """Write down which index answers, and in the end that it was closed in order.

        Raises:
            StorageUnavailableError: the folder cannot be written.
        """
        if self.serving is None:
            return
        known, name = self.folder.manifest(), self.options.embedder
        if known is not None and self.serving is not self.current:
            name = known.embedder
        build, count = (index.build, index.recount()) if index else ("", 0)
        self.folder.write(Manifest(build, self.serving.identity, name, count, clean, self.filled))

    def ask_scrub(self) -> int | None:
        """Have the index built anew, so that nothing removed is left in its files; return a ticket to wait with.

        It is ``None`` where there is no index, or another process owns it.
        """
        with self.scrubbing:
            if not self.owned or not self.folder.has_builds():
                return None
            self.asked += 1
            self.scrub_at = time.monotonic()
            return self.asked

    def await_scrub(self, ticket: int, timeout: float) -> bool:
        """Wait until the index was built anew; say whether it was."""
        with self.scrubbing:
            return bool(self.scrubbing.wait_for(lambda: self.scrubbed >= ticket, timeout))

    def begin_scrub(self) -> tuple[int, float | None]:
        """Return the newest ticket and the time of `scrub_at`, for `scrub_done` to be told of in the end."""
        with self.scrubbing:
            return self.asked, self.scrub_at

    def scrub_done(self, begun: tuple[int, float | None]) -> None:
        """Tell those who wait that an index was built which was begun after they asked."""
        ticket, due = begun
        with self.scrubbing:
            self.scrubbed = max(self.scrubbed, ticket)
            self.scrub_at = None if self.scrub_at == due else self.scrub_at
            self.scrubbing.notify_all()
