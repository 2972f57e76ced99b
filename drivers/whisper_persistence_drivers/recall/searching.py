"""Finding messages by meaning, and putting them together with what is found below."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from typing import Any, Final

import attrs

from whisper_persistence import fusing
from whisper_persistence.dates import asked_dates
from whisper_persistence.errors import PersistenceError, StorageDamagedError, StorageUnavailableError
from whisper_persistence.records import SearchHit, SearchQuery, SearchResult, VectorQuery
from whisper_persistence.words import content_words
from whisper_persistence_drivers.recall import scanning
from whisper_persistence_drivers.recall.embedders import Embedder
from whisper_persistence_drivers.recall.index import Index
from whisper_persistence_drivers.recall.labels import allows, item_of, where_of
from whisper_persistence_drivers.recall.scanning import Scanner
from whisper_persistence_drivers.recall.sources import Key, key_of, load_shown, vector_pages
from whisper_persistence_drivers.recall.state import State

_log: Final = logging.getLogger(__name__)

#: How many of the messages that fit best by meaning are looked at.
_NEAREST: Final = 200
#: The part of a score that this layer gives, and the ways it has.
_PART: Final = "meaning"
_BY_INDEX: Final = "meaning by index"
_BY_SCAN: Final = "meaning by scan"


@attrs.frozen
class Meaning:
    """How well messages fit a query by meaning.

    Attributes:
        fits: 0 to 1, by message; of those that fit best, and of those that were asked for.
        answered, silent: as `SearchResult` has them.
    """

    fits: dict[Key, float]
    answered: tuple[str, ...]
    silent: tuple[str, ...] = ()


@attrs.define(eq=False)
class Searcher:
    """Answers queries from the index, or by a scan."""

    state: State
    weights: fusing.Weights
    scanner: Scanner
    wake: Callable[[], None]

    def search(self, queries: Sequence[SearchQuery]) -> dict[SearchQuery, SearchResult]:
        """Return what each query finds, the best first."""
        asked = {query: fusing.candidates(query) for query in queries}
        found = self.state.below.search_messages(queries=list(dict.fromkeys(asked.values())))
        return {
            query: self._answer(query, (found or {}).get(wide, SearchResult()), wide) for query, wide in asked.items()
        }

    def _answer(self, query: SearchQuery, found: SearchResult, wide: SearchQuery) -> SearchResult:
        hits = {key_of(hit.message): hit for hit in found.hits}
        meaning = self._meaning(query, found, list(hits))
        best = nlargest(_NEAREST, meaning.fits.items(), key=lambda item: item[1])
        more = [key for key, fit in best if key not in hits and fit > 0.0]
        if more and query.among is None:
            hits.update(self._resolve(wide, more, found))
        added = [_with(hit, meaning.fits.get(key), given=bool(meaning.answered)) for key, hit in hits.items()]
        answered = (*found.answered, *meaning.answered)
        page, cursor = fusing.page(added, answered, self.weights, query)
        shown = fusing.surround(page, query, lambda windows: self.state.below.load_messages(windows=windows))
        return SearchResult(shown, answered, (*found.silent, *meaning.silent), cursor, found.rarity)

    def _meaning(self, query: SearchQuery, found: SearchResult, keys: Sequence[Key]) -> Meaning:
        """Return how well messages fit by meaning; none where no embedder answers."""
        try:
            serving = self.state.serving
            if serving is None:
                raise StorageUnavailableError("no embedder is ready yet: search goes on without meaning")
            return self._look(query, _vector(serving, query, found.rarity), serving, keys)
        except PersistenceError as error:
            _log.info("search goes on without meaning", extra={"reason": str(error)})
            return Meaning({}, (), (_PART,))

    def _look(self, query: SearchQuery, vector: Any, serving: Embedder, keys: Sequence[Key]) -> Meaning:
        few = self._few(query, serving)
        if few is not None:
            fits = scanning.fits(few, vector)
            wanted = query.conversation_id
            return Meaning({key: fit for key, fit in fits.items() if wanted in (None, key[0])}, (_PART,))
        index = self.state.index
        if index is not None and index.model == serving.identity:
            try:
                return Meaning(self._ask(index, query, vector, keys), (_PART,))
            except StorageDamagedError:
                self.state.doubted = index
            except StorageUnavailableError as error:
                _log.info("the index did not answer", extra={"reason": str(error)})
            self.wake()
        return Meaning(self._stand_in(query, vector, serving), (_BY_SCAN,), (_BY_INDEX,))

    def _few(self, query: SearchQuery, serving: Embedder) -> scanning.Neighbourhoods | None:
        """Return the neighbourhoods of a user's messages, or of everybody's, where they are few."""
        options, many = self.state.options, self.state.needs_index()
        limit = options.few if many else options.index_from
        if limit < 1 or (many and query.user_id is None):
            return None
        asked = VectorQuery(serving.identity, query.user_id, limit)
        page = (self.state.below.load_vectors(queries=[asked]) or {}).get(asked)
        if page is None or page.cursor is not None:
            return None
        return self.scanner.look(query.user_id, page.records)

    def _ask(self, index: Index, query: SearchQuery, vector: Any, keys: Sequence[Key]) -> dict[Key, float]:
        """Ask the index for the nearest, and for those that were found in other ways."""
        namespace, seconds = self.state.namespace, self.state.options.search_timeout
        deadline = time.monotonic() + seconds
        nearest = index.query(vector.astype("<f4").tobytes(), _NEAREST, where_of(namespace, query), seconds)
        found = {(each.conversation_id, each.message_id): max(each.similarity, 0.0) for each in nearest}
        items = {item_of(namespace, *key): key for key in keys if key not in found}
        held = index.load(list(items), max(0.0, deadline - time.monotonic())) if items else {}
        found.update((items[item], fit) for item, fit in scanning.fits_of(held, vector).items())
        return found

    def _stand_in(self, query: SearchQuery, vector: Any, serving: Embedder) -> dict[Key, float]:
        pages = vector_pages(self.state.below, serving.identity, query.user_id)
        kept = ([v for v in page if query.conversation_id in (None, v.conversation_id)] for page in pages)
        deadline = time.monotonic() + self.state.options.scan_timeout
        return scanning.stand_in(kept, vector, query.user_id is None, deadline)

    def _resolve(self, wide: SearchQuery, keys: Sequence[Key], found: SearchResult) -> dict[Key, SearchHit]:
        """Return those of these messages that SQL has and the filters let through, with the parts from below."""
        if not found.answered:
            shown = load_shown(self.state.below, keys).items()
            return {key: SearchHit(message, 0.0) for key, message in shown if allows(wide, message)}
        asked = attrs.evolve(wide, among=keys)
        result = (self.state.below.search_messages(queries=[asked]) or {}).get(asked, SearchResult())
        return {key_of(hit.message): hit for hit in result.hits}


def _with(hit: SearchHit, fit: float | None, *, given: bool) -> SearchHit:
    """Return a hit with how well it fits by meaning; as well as by words, where it was just said and has no vector."""
    if not given:
        return hit
    value = hit.parts.get("text", 0.0) if fit is None else fit
    return SearchHit(hit.message, hit.score, {**hit.parts, _PART: min(value, 1.0)}, hit.context)


def _vector(embedder: Embedder, query: SearchQuery, rarity: Mapping[str, float]) -> Any:
    """Return a query's vector: of its words, weighed by their rarity, where the embedder gives each word its own.

    Words that name a date are left out: they ask when it was said, and not what.
    """
    import numpy as np

    from whisper_persistence_drivers import meaning

    dates = asked_dates(query.text)
    words = (
        [word for word in dict.fromkeys(content_words(query.text)) if word not in dates] if embedder.by_words else []
    )
    vectors = np.frombuffer(b"".join(embedder.embed(words or [query.text])), dtype="<f4")
    matrix = vectors.reshape(max(len(words), 1), -1)
    return meaning.query_vector(words, matrix, rarity) if words else meaning.to_units(matrix)[0]
