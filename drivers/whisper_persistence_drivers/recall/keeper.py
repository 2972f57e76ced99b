"""What keeps the index as SQL says: one step after the other, by one thread of the process that owns the index."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

import attrs

from whisper_persistence.errors import (
    ConfigurationError,
    PersistenceError,
    StorageDamagedError,
    StorageUnavailableError,
)
from whisper_persistence_drivers.recall.embedders import Embedder, make_embedder
from whisper_persistence_drivers.recall.folder import Manifest
from whisper_persistence_drivers.recall.following import BATCH
from whisper_persistence_drivers.recall.index import Index
from whisper_persistence_drivers.recall.making import Maker
from whisper_persistence_drivers.recall.pushing import push
from whisper_persistence_drivers.recall.state import State

_log: Final = logging.getLogger(__name__)


@attrs.define(eq=False)
class Keeper:
    """Follows SQL, and has the index made and mended."""

    state: State
    maker: Maker
    _settled: bool = False

    def prepare(self) -> Embedder:
        """Get the embedder of the settings ready, and that of the index that is there.

        Raises:
            ConfigurationError: there is none of this name.
            StorageUnavailableError: it did not answer, or the database below did not.
        """
        state = self.state
        if state.current is None:  # a name that is none is refused, whether the database answers or not
            state.current = state.options.make_embedder(state.folder.path.parent)
        if state.serving is None:
            state.locate()
            state.serving = self._embedder_of(state.folder.manifest(), state.current)
        return state.current

    def step(self) -> bool:
        """Do a little of what there is to do; say whether there is more of it at once."""
        state = self.state
        state.locate()
        current = self.prepare()
        state.owned = state.folder.claim()
        if not state.owned or state.folder.fence() != state.outbox.fence:
            self._let_go()
        if not state.owned:
            self._stand_aside(current)
            return False
        if not self._settled:
            self._settle(current)
        if state.index is not None:
            self._look_after(state.index)
        # An index is opened before news are followed, so that it misses none.
        busy = state.index is None and self.maker.advance()
        worked = state.outbox.work(state.embedders(), partial(push, state))
        return busy or self.maker.advance() or worked >= BATCH

    def _look_after(self, index: Index) -> None:
        """Let go of an index that is not there any more, or that is wrong when it is asked."""
        state = self.state
        doubted, state.doubted = state.doubted, None
        if not index.is_there():
            state.lose(index, "the index is away: its process or its files are gone")
        elif doubted is index:
            try:
                index.recount()
            except (StorageUnavailableError, StorageDamagedError) as error:
                index.child.dirty = True
                state.lose(index, str(error))

    def close(self) -> None:
        """Leave the index in order and the folder to others."""
        state = self.state
        self.maker.drop()
        index, state.index = state.index, None
        if index is not None:
            self._note_closed(index)
            index.close()
        state.folder.release()
        for embedder in state.embedders():
            embedder.close()

    def _note_closed(self, index: Index) -> None:
        try:
            if index.is_there() and not index.child.dirty and self.state.folder.owned():
                self.state.note(index, clean=True)
        except PersistenceError as error:
            _log.warning("the index was not closed in order", extra={"reason": str(error)})

    def _let_go(self) -> None:
        """What was made is another process's by now, or was meanwhile."""
        if self._settled:
            self.maker.drop()
            if self.state.index is not None:
                self.state.lose(self.state.index, "")
            self._settled = False

    def _stand_aside(self, current: Embedder) -> None:
        """Another process keeps the index: this one searches in it at a server, and else scans."""
        state, manifest = self.state, self.state.folder.manifest()
        state.serving, state.outbox.behind_since = self._embedder_of(manifest, current), None
        state.measure_now_and_then()
        state.away = f"followed by another process ({state.folder.owner() or 'unknown'}), this one scans"
        if state.options.server() is not None:
            self._borrow(manifest, state.serving)

    def _borrow(self, manifest: Manifest | None, serving: Embedder) -> None:
        """Search in the index that another process keeps at a server, for as long as it is there."""
        state, server, index = self.state, self.state.options.server(), self.state.index
        fits = manifest is not None and manifest.model == serving.identity and state.needs_index()
        build = manifest.build if manifest is not None and fits else ""
        if index is not None and (index.build != build or index is state.doubted or not index.is_there()):
            state.lose(index, state.away)
        state.doubted = None
        if build and state.index is None:
            state.index = Index.open(state.folder, build, serving.identity, state.options.limits(), server, make=False)
        if state.index is not None:
            state.away = ""

    def _settle(self, current: Embedder) -> None:
        """Find out, once the index is ours, what there is."""
        state = self.state
        if state.index is not None:
            state.lose(state.index, "")  # it was another's
        state.outbox.fence = state.folder.fence()
        state.outbox.register()
        new, state.outbox.new = state.outbox.new, False
        manifest = state.folder.manifest()
        state.serving = self._embedder_of(manifest, current)
        state.filled = manifest is not None and manifest.model == current.identity and manifest.filled and not new
        state.folder.sweep(manifest.build if manifest else "")
        state.measure()
        state.away = ""
        self._settled = True

    def _embedder_of(self, manifest: Manifest | None, current: Embedder) -> Embedder:
        """Return the embedder of the index that is there, if it can still be had, and else the one of the settings."""
        known = self.state.serving or current
        if manifest is None or not manifest.build or manifest.model in (current.identity, known.identity):
            return known if manifest is not None and manifest.model == known.identity else current
        try:
            found = make_embedder(manifest.embedder, {}, self.state.folder.path, self.state.options.write_timeout)
        except (ConfigurationError, StorageUnavailableError):
            return current
        return found if found.identity == manifest.model else current
