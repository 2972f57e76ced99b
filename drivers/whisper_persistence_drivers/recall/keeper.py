"""What keeps the index as SQL says: one step after the other, by one thread of the process that owns the folder."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

import attrs

from whisper_persistence.errors import ConfigurationError, PersistenceError, StorageDamagedError, StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence_drivers.recall import jobs
from whisper_persistence_drivers.recall.embedders import Embedder, make_embedder
from whisper_persistence_drivers.recall.folder import Folder, Manifest
from whisper_persistence_drivers.recall.following import BATCH, News, Outbox
from whisper_persistence_drivers.recall.index import Index
from whisper_persistence_drivers.recall.labels import entry_of, item_of
from whisper_persistence_drivers.recall.options import Options
from whisper_persistence_drivers.recall.sources import Pair, pair_pages, vector_pages

_log: Final = logging.getLogger(__name__)

#: Seconds until a build that failed is tried again, at first and at most.
_RETRY: Final = (1.0, 300.0)
#: Seconds between something's removal from the index and the build that frees its bytes, so that several share one.
_SCRUB_AFTER: Final = 5.0


@attrs.define(eq=False)
class Keeper:
    """The index of one namespace, and what is known about it.

    Attributes:
        serving: the embedder whose vectors are searched; ``None`` while none is ready.
        index: the index that answers, or ``None`` while none does.
        away: why none does, in words; empty where none is needed.
        owned: whether this process owns the folder.
        size: how many vectors there are, at least.
        restarts, rebuilds: how often a process was started again, and an index built.
    """

    below: Below
    namespace: str
    options: Options
    folder: Folder
    outbox: Outbox
    current: Embedder | None = None
    serving: Embedder | None = None
    index: Index | None = None
    away: str = ""
    owned: bool = False
    size: int = 0
    filled: bool = False
    restarts: int = 0
    rebuilds: int = 0
    _settled: bool = False
    _coming: Index | None = None
    _job: Iterator[object] | None = None
    _filling: Iterator[list[Pair]] | None = None
    _pushed: int = 0
    _failures: int = 0
    _retry_at: float = 0.0
    _audit_at: float = 0.0
    _scrub_at: float | None = None
    _asked: int = 0
    _scrubbed: int = 0
    _scrubbing: threading.Condition = attrs.field(factory=threading.Condition)

    def needs_index(self) -> bool:
        """Say whether there are so many vectors that an index is worth having."""
        return self.size > self.options.index_from

    def step(self) -> bool:
        """Do a little of what there is to do; say whether there is more of it at once."""
        self.owned = self.folder.claim()
        if not self.owned:
            self._stand_aside()
            return False
        if not self._settled:
            self._settle()
        self._look_after()
        worked = self.outbox.work(self._embedders(), self._push)
        return self._advance() or worked >= BATCH

    def ask_scrub(self) -> int | None:
        """Have the index built anew, so that nothing removed is left in its files; return a ticket to wait with.

        It is ``None`` where this process owns no index, so that nothing can be done here.
        """
        with self._scrubbing:
            if not self.owned or (self.index is None and self._job is None):
                return None
            self._asked += 1
            self._scrub_at = 0.0
            return self._asked

    def await_scrub(self, ticket: int, timeout: float) -> bool:
        """Wait until the index was built anew; say whether it was."""
        with self._scrubbing:
            return self._scrubbing.wait_for(lambda: self._scrubbed >= ticket, timeout)

    def close(self) -> None:
        """Leave the index in order and the folder to others."""
        self._drop_job()
        index, self.index = self.index, None
        if index is not None:
            self._note_closed(index)
            index.close()
        self.folder.release()
        for embedder in {id(each): each for each in self._embedders()}.values():
            embedder.close()

    def _note_closed(self, index: Index) -> None:
        try:
            if index.is_there() and not index.child.dirty and self.folder.owned():
                count = index.recount()
                self.folder.write(self._manifest(index.build, index.model, count=count, clean=True))
        except PersistenceError as error:
            _log.warning("the index was not closed in order", extra={"error": str(error)})

    def _manifest(self, build: str, model: str, *, count: int = 0, clean: bool = False) -> Manifest:
        name = self.options.embedder
        if self.serving is not None and self.serving is not self.current:
            known = self.folder.manifest()
            name = known.embedder if known else name
        return Manifest(build, model, name, count, clean, self.filled)

    def _embedders(self) -> list[Embedder]:
        found = [each for each in (self.current, self.serving) if each is not None]
        return found[:1] if len(found) == 2 and found[0] is found[1] else found

    def _stand_aside(self) -> None:
        """Another process owns the folder: this one scans."""
        self._drop_job()
        self.index, index = None, self.index
        if index is not None:
            index.child.kill()
        self._settled = False
        owner = self.folder.owner()
        self.away = f"process {owner or 'unknown'} owns the index, this one scans"
        if self.current is None:
            self.current = self.options.make_embedder(self.folder.path)
        manifest = self.folder.manifest()
        if self.serving is None or (manifest and manifest.model == self.current.identity):
            self.serving = self.current
        self.size = self._measure() if self.size <= self.options.index_from else self.size

    def _settle(self) -> None:
        """Find out, once the folder is ours, what there is."""
        if self.current is None:
            self.current = self.options.make_embedder(self.folder.path)
        new = self.outbox.register()
        manifest = self.folder.manifest()
        self.serving = self._embedder_of(manifest) or self.current
        known = manifest is not None and manifest.model == self.current.identity and manifest.filled
        self.filled = known and not new
        self.folder.sweep(manifest.build if manifest else "")
        self.size = self._measure()
        self.away = ""
        self._settled = True

    def _embedder_of(self, manifest: Manifest | None) -> Embedder | None:
        """Return the embedder of an index that another one made, if it can still be had."""
        if manifest is None or not manifest.build or self.current is None or manifest.model == self.current.identity:
            return None
        try:
            found = make_embedder(manifest.embedder, {}, self.folder.path, self.options.limits().write)
        except (ConfigurationError, StorageUnavailableError):
            return None
        return found if found.identity == manifest.model else None

    def _measure(self) -> int:
        """Return how many vectors there are, or one more than need no index."""
        if self.serving is None:
            return 0
        pages = vector_pages(self.below, self.serving.identity, limit=self.options.index_from + 1)
        return len(next(pages, ()))

    def _look_after(self) -> None:
        """See whether the index is still there, and let go of one that is not."""
        index = self.index
        if index is not None and not index.is_there():
            self._lose(index, "its process or its files are gone")

    def _lose(self, index: Index, reason: str) -> None:
        """Go on without an index; where it may not be what it was, it is built anew."""
        index.child.kill()
        if self._coming is index:
            self._coming = None
        if self.index is index:
            self.index = None
            self.restarts += 1
        if index.child.dirty or not index.has_file():
            self.folder.forget()
        self.away = reason
        _log.warning("the index is away", extra={"reason": reason, "namespace": self.namespace})

    def _push(self, news: News) -> None:
        """Bring news to the index, and to the one that is being made; an index that cannot take them is let go."""
        self.size += sum(len(pairs) for pairs in list(news.pairs.values())[:1])
        for index in (self.index, self._coming):
            if index is None:
                continue
            try:
                self._push_to(index, news)
            except (StorageUnavailableError, StorageDamagedError) as error:
                index.child.dirty = True
                self._lose(index, str(error))
                if self.folder.manifest() is not None:
                    raise StorageUnavailableError("the index cannot be given up: its folder cannot be written") from None

    def _push_to(self, index: Index, news: News) -> None:
        index.upsert([entry_of(self.namespace, *pair) for pair in news.pairs.get(index.model, [])])
        gone = [item_of(self.namespace, *key) for key in news.gone]
        if gone and index.load(gone):
            index.delete(gone)
            self._scrub_at = self._scrub_at if self._scrub_at is not None else time.monotonic() + _SCRUB_AFTER
        for conversation_id, first in news.first.items():
            index.delete_before(conversation_id, first)
        self._pushed += len(gone) + sum(map(len, news.pairs.values())) + (1 << 40 if news.first else 0)

    def _advance(self) -> bool:
        """Go on with a job, or begin one; say whether there was one."""
        if self._job is None:
            self._job = self._next_job()
        if self._job is None:
            return self._fill()
        try:
            next(self._job)
        except StopIteration:
            self._job, self._failures = None, 0
        except (StorageUnavailableError, StorageDamagedError) as error:
            self._drop_job()
            self._failures += 1
            first, most = _RETRY
            self._retry_at = time.monotonic() + min(most, first * 2.0 ** (self._failures - 1))
            self.away = self.away or str(error)
            _log.warning("the index was not made", extra={"error": str(error), "failures": self._failures})
        return True

    def _drop_job(self) -> None:
        self._job = None  # its generator closes what it has opened
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.child.kill()

    def _next_job(self) -> Iterator[object] | None:
        now = time.monotonic()
        if not self.needs_index() and self.index is None or now < self._retry_at or self.serving is None:
            return None
        if self.index is None:
            manifest = self.folder.manifest()
            fits = manifest is not None and bool(manifest.build) and manifest.model == self.serving.identity
            return self._open(manifest) if manifest and fits else self._build(self.serving)
        if self.filled and self.current is not None and self.index.model != self.current.identity:
            return self._build(self.current)
        if self._scrub_at is not None and now >= self._scrub_at:
            return self._build(self.serving)
        return self._audit(self.index) if now >= self._audit_at else None

    def _open(self, manifest: Manifest) -> Iterator[object]:
        """Open the build that is there; it answers once it was found to hold what SQL does."""
        try:
            index = Index.open(self.folder, manifest.build, manifest.model, self.options.limits(), self.options.server())
            self._coming = index
            yield index
            if manifest.clean and index.count == manifest.count:
                self._compare_first(index)
            else:
                yield from jobs.audit(self.below, self.namespace, index, lambda: self._pushed)
        except StorageDamagedError:
            self.folder.forget()
            raise
        if self._coming is index:
            self._serve(index)

    def _compare_first(self, index: Index) -> None:
        pairs = next(pair_pages(self.below, index.model), [])
        expected = {item_of(self.namespace, message.conversation_id, message.message_id): v for message, v in pairs}
        if not jobs.matches(index, expected):
            raise StorageDamagedError("the index misses vectors that SQL holds: it is built anew")

    def _build(self, embedder: Embedder) -> Iterator[object]:
        """Build an index from the vectors in SQL, and put it in the place of the one that is there."""
        with self._scrubbing:
            ticket, self._scrub_at = self._asked, None
        began = time.monotonic()
        build = self.folder.new_build()
        index = Index.open(self.folder, build, embedder.identity, self.options.limits(), self.options.server())
        self._coming = index
        for _ in jobs.build(self.below, self.namespace, index):
            if self._coming is not index or self._asked > ticket:
                raise StorageUnavailableError("the index is begun again, because something was erased meanwhile")
            yield index
        if self._coming is index:
            self.serving = embedder
            index.recount()
            self._serve(index)
            self.rebuilds += 1
            _log.info("the index was built", extra={"vectors": index.count, "seconds": time.monotonic() - began})
            with self._scrubbing:
                self._scrubbed = ticket
                self._scrubbing.notify_all()

    def _serve(self, index: Index) -> None:
        """Let an index answer from now on, and delete the one before."""
        self.folder.write(self._manifest(index.build, index.model))
        before, self.index, self._coming, self.away = self.index, index, None, ""
        self._audit_at = time.monotonic() + self.options.audit_every
        if before is not None:
            before.close()
            if self.options.server() is not None:
                index.drop(before.build)
        self.folder.sweep(index.build)

    def _audit(self, index: Index) -> Iterator[object]:
        """Compare the index that answers with SQL; one that differs is let go and built anew."""
        self._audit_at = time.monotonic() + self.options.audit_every
        try:
            yield from jobs.audit(self.below, self.namespace, index, lambda: self._pushed)
        except StorageDamagedError as error:
            index.child.dirty = True
            if self.index is index:
                self._lose(index, str(error))

    def _fill(self) -> bool:
        """Go on with filling in vectors that are missing; say whether there is more of it."""
        if self.filled or self.current is None:
            return False
        self._filling = self._filling or jobs.fill(self.below, self.current)
        try:
            pairs = next(self._filling)
        except StopIteration:
            self._filling, self.filled = None, True
            self._note_filled()
            return True
        except BaseException:
            self._filling = None
            raise
        if pairs:
            self._push(News({self.current.identity: pairs}, [], {}))
        return True

    def _note_filled(self) -> None:
        if self.index is not None:
            self.folder.write(self._manifest(self.index.build, self.index.model))
        elif not self.needs_index() and self.current is not None:
            self.serving = self.current
            self.folder.write(self._manifest("", self.current.identity))
