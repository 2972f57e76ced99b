"""Making the index what it should be: opened, built, audited, and built anew for another embedder or after an erase."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Final

import attrs

from whisper_persistence.errors import StorageDamagedError, StorageUnavailableError
from whisper_persistence_drivers.recall import jobs
from whisper_persistence_drivers.recall.embedders import Embedder
from whisper_persistence_drivers.recall.folder import Manifest
from whisper_persistence_drivers.recall.index import Index
from whisper_persistence_drivers.recall.pushing import push_to
from whisper_persistence_drivers.recall.sources import pair_pages
from whisper_persistence_drivers.recall.state import State
from whisper_persistence_drivers.recall.surroundings import Stream

_log: Final = logging.getLogger(__name__)

#: Seconds until a build that failed is tried again, at first and at most.
_RETRY: Final = (1.0, 300.0)
#: The same at most, where it is a server that is tried again: that costs nothing.
_SERVER_RETRY: Final = 5.0
#: How many news an index that was built takes at a time, before it answers: more than come meanwhile.
_CATCHING_UP: Final = 8
#: How often an index that does not answer is opened again before it is built anew.
_OPENINGS: Final = 2


@attrs.define(eq=False)
class Maker:
    """Does one job at a time, in steps.

    Attributes:
        failures: how many jobs failed since one did not.
    """

    state: State
    failures: int = 0
    _job: Iterator[object] | None = None
    _filling: Iterator[int] | None = None
    _retry_at: float = 0.0
    _audit_at: float = 0.0

    def advance(self) -> bool:
        """Go on with a job, or begin one; say whether there was one."""
        self._job = self._job or self._next_job()
        if self._job is None:
            return self._fill()
        try:
            next(self._job)
        except StopIteration:
            self._job, self.failures = None, 0
        except (StorageUnavailableError, StorageDamagedError) as error:
            self.drop()
            self._put_off(str(error))
        except BaseException:
            self.drop()
            raise
        return True

    def drop(self) -> None:
        """Give up what is being made."""
        self._job, self._filling = None, None
        coming = self.state.coming
        if coming is not None:
            self.state.lose(coming, self.state.away)
            if not self.state.is_current(coming):
                self.state.folder.remove(coming.build)

    def _put_off(self, reason: str) -> None:
        self.failures += 1
        first, most = (_RETRY[0], _SERVER_RETRY) if self.state.options.server() else _RETRY
        self._retry_at = time.monotonic() + min(most, first * 2.0 ** (self.failures - 1))
        if self.state.index is None:
            self.state.away = reason
        _log.warning("the index was not made", extra={"reason": reason, "failures": self.failures})

    def _next_job(self) -> Iterator[object] | None:
        state, now = self.state, time.monotonic()
        if state.serving is None or state.current is None or now < self._retry_at:
            return None
        scrub = state.scrub_at is not None and now >= state.scrub_at
        if state.index is None and scrub:
            state.folder.forget()
        if state.index is None and not state.needs_index():
            return self._empty() if scrub else None
        if state.index is None:
            return self._make(state.serving)
        if state.filled and state.serving is not state.current:
            return self._build(state.current)
        if scrub:
            return self._build(state.serving)
        return self._audit(state.index) if now >= self._audit_at else None

    def _empty(self) -> Iterator[object]:
        """Delete builds that nobody needs any more."""
        begun = self.state.begin_scrub()
        self.state.folder.sweep()
        self.state.scrub_done(begun)
        yield begun

    def _make(self, serving: Embedder) -> Iterator[object] | None:
        manifest = self.state.folder.manifest()
        if manifest is not None and manifest.build and manifest.model == serving.identity:
            return self._open(manifest)
        return self._build(serving) if self.state.filled or serving is not self.state.current else None

    def _open(self, manifest: Manifest) -> Iterator[object]:
        """Open the build that is there; it answers once it was found to hold what SQL does."""
        state, options = self.state, self.state.options
        try:
            index = Index.open(state.folder, manifest.build, manifest.model, options.limits(), options.server())
            state.coming = index
            yield index
            if manifest.clean and index.count == manifest.count:
                self._compare_some(index)
            else:
                yield from jobs.audit(state.below, state.namespace, index, lambda: state.pushed)
        except (StorageDamagedError, StorageUnavailableError) as error:
            state.miss_server()
            lost = self.failures >= _OPENINGS and not state.awaits_server()
            if isinstance(error, StorageDamagedError) or lost:
                state.folder.forget()
            raise
        self._serve(index)

    def _compare_some(self, index: Index) -> None:
        pages = pair_pages(self.state.below, index.model)
        pairs = next(Stream().walk([next(pages)]))
        if jobs.differing(self.state.namespace, index, pairs):
            raise StorageDamagedError("the index misses vectors that SQL holds: it is built anew")

    def _build(self, embedder: Embedder) -> Iterator[object]:
        """Build an index from the vectors in SQL, and put it in the place of the one that is there."""
        state, options, began = self.state, self.state.options, time.monotonic()
        begun = state.begin_scrub()
        state.folder.sweep(state.index.build if state.index else "")
        build = state.folder.new_build()
        index = Index.open(state.folder, build, embedder.identity, options.limits(), options.server())
        state.coming, state.waiting = index, []
        for _ in jobs.build(state.below, state.namespace, index):
            if state.asked > begun[0]:
                raise StorageUnavailableError("something was erased while the index was built: it is begun again")
            yield index
        while state.waiting:  # what was read before it changed may have been put after it
            for news in state.waiting[:_CATCHING_UP]:
                push_to(state, index, news)
            del state.waiting[:_CATCHING_UP]
            if state.waiting:
                yield index
        state.serving = embedder
        self._serve(index)
        state.rebuilds += 1
        state.scrub_done(begun)
        _log.info("the index was built", extra={"vectors": index.count, "seconds": time.monotonic() - began})

    def _serve(self, index: Index) -> None:
        if self.state.coming is not index:
            raise StorageUnavailableError("the index was let go while it was made: it is made again")
        self.state.serve(index)
        self._audit_at = time.monotonic() + self.state.options.audit_every

    def _audit(self, index: Index) -> Iterator[object]:
        """Compare the index that answers with SQL; one that differs is let go and built anew."""
        self._audit_at = time.monotonic() + self.state.options.audit_every
        try:
            yield from jobs.audit(self.state.below, self.state.namespace, index, lambda: self.state.pushed)
        except StorageDamagedError as error:
            index.child.dirty = True
            self.state.lose(index, str(error))

    def _fill(self) -> bool:
        """Go on with embedding what has no vector yet; say whether there is more of it."""
        state = self.state
        if state.filled or state.current is None:
            return False
        self._filling = self._filling or jobs.fill(state.below, state.current)
        try:
            added = next(self._filling)
        except StopIteration:
            self._filling, state.filled = None, True
            if state.index is None and not state.needs_index():
                state.serving = state.current
            state.note(state.index)
        except BaseException:
            self._filling = None
            raise
        else:
            state.grow(added)
            if added and state.index is not None and state.serving is state.current:
                state.scrub_at = time.monotonic()
        return True
