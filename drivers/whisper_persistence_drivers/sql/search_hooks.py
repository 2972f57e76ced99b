"""The search hooks of the SQL drivers, and the life of their text index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from whisper_persistence import records as rec
from whisper_persistence.hookspecs import Below, SearchSpecs, hookimpl
from whisper_persistence_drivers.sql import on_use
from whisper_persistence_drivers.sql.lifecycle import SqlLifecycle

if TYPE_CHECKING:
    from whisper_persistence.fusing import Weights

#: So many messages are indexed in one transaction: few, since a SQLite file has one writer.
_BATCH: Final = 128
#: More messages that wait are not counted for `check_health`.
_COUNTED: Final = 100_000


def _to_weights(given: Weights | Mapping[str, Any]) -> Weights:
    from whisper_persistence.fusing import to_weights

    return to_weights(given)


@attrs.define(eq=False)
class SqlSearch(SqlLifecycle, SearchSpecs):
    """A SQL driver's search.

    Options:
        search: ``true`` has messages indexed by their words, and found; ``false`` has this driver find none; where it
            is not set, the newest messages of a user or conversation are looked at one by one, without an index.
        weights: how scores are put together, as `whisper_persistence.fusing.Weights` names them.
    """

    search: bool | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(attrs.converters.to_bool)
    )
    weights: Weights | None = attrs.field(default=None, kw_only=True, converter=attrs.converters.optional(_to_weights))

    _indexer: on_use.indexer.Indexer | None = attrs.field(init=False, default=None, repr=False)
    _text_index: on_use.text_index.TextIndex = attrs.field(init=False, repr=False)

    def text_index(self) -> on_use.text_index.TextIndex:
        """Return how this kind of database finds words."""
        raise TypeError(f"{type(self).__name__} names no text index")

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Connect, and where search is on begin to follow the messages."""
        super().open(below, namespace)
        if self.search:
            self._text_index = self.text_index()
            self._translated(self._text_index.prepare, self._database)
            self._write(on_use.indexing.follow)
            self._indexer = on_use.indexer.Indexer(self._index_some, f"text-index {self.tier}")
            self._indexer.wake()

    @hookimpl
    def close(self) -> None:
        """End the indexing, then give the connections back."""
        if self._indexer is not None:
            self._indexer.close()
        super().close()

    @hookimpl
    def search_messages(self, queries: Sequence[rec.SearchQuery]) -> Mapping[rec.SearchQuery, rec.SearchResult] | None:
        """Return what each query finds by its words; ask below where there is no index of them, then look."""
        if self.search:
            return self._read(on_use.searching.search_messages, queries, self._text_index, self.weights)
        found = self._below.search_messages(queries=queries)
        if found is None and self.search is None and all(map(on_use.unindexed.is_narrow, queries)):
            return self._read(on_use.unindexed.search_messages, queries)
        return found

    @hookimpl
    def save_vectors(self, vectors: Sequence[rec.Vector]) -> Sequence[rec.Receipt]:
        """Keep vectors beside their messages."""
        return self._write(on_use.vectors.save_vectors, vectors)

    @hookimpl
    def load_vectors(self, queries: Sequence[rec.VectorQuery]) -> Mapping[rec.VectorQuery, rec.Page]:
        """Return pages of vectors."""
        return self._read(on_use.vectors.load_vectors, queries)

    def reindex(self) -> bool:
        """Begin the text index anew, and say whether there is one; it is filled while searches go on."""
        if self._indexer is None:
            return False
        self._write(on_use.indexing.begin_anew)
        self._indexer.wake()
        return True

    def describe_search(self) -> dict[str, Any]:
        """Return how far the text index is behind, for `check_health`."""
        if self._indexer is None:
            return {}
        lag: int = self._translated(self._run_once, on_use.indexing.lag, _COUNTED)
        return {"search_lag": lag, "search_failures": self._indexer.failed}

    def _written(self) -> None:
        """Have what was just written indexed soon."""
        if self._indexer is not None:
            self._indexer.wake()

    def _index_some(self) -> int:
        drafts = self._read(on_use.indexing.draft, _BATCH)
        done, released = self._write(on_use.indexing.apply, self._text_index, drafts) if drafts else (0, False)
        if released:
            self._translated(self._database.scrub)
        return done
