"""Finding messages again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whisper_persistence.hookspecs.markers import hookspec
from whisper_persistence.records import Embedding, Page, Receipt, SearchQuery, SearchResult, Vector, VectorQuery


class SearchSpecs:
    """Finding messages again, by words and by meaning."""

    @hookspec(firstresult=True)
    def search_messages(self, queries: Sequence[SearchQuery]) -> Mapping[SearchQuery, SearchResult] | None:
        """Return what each query finds, the best first.

        A layer adds its own hits to those from below. Filters are applied within each layer. A layer that does not
        answer is named in `SearchResult.silent`, and the others' hits are returned.
        """

    @hookspec(firstresult=True)
    def embed(self, texts: Sequence[str]) -> Sequence[Embedding] | None:
        """Return each text as a vector, in order."""

    @hookspec(firstresult=True)
    def save_vectors(self, vectors: Sequence[Vector]) -> Sequence[Receipt] | None:
        """Keep vectors beside their messages, replacing older ones of the same embedder.

        A vector is of the words of its message alone, never of its neighbours', so that it can go with them: an edit, a
        redaction and an erase remove it. That of an unknown or redacted message is not kept. A receipt's ``sequence``
        is that of the message, or ``None`` where nothing was kept; no revision is raised.
        """

    @hookspec(firstresult=True)
    def load_vectors(self, queries: Sequence[VectorQuery]) -> Mapping[VectorQuery, Page] | None:
        """Return a page of vectors for each query, ordered by conversation and sequence."""
