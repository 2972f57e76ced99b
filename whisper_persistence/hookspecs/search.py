"""Searching messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Embedding, Page, Receipt, SearchQuery, SearchResult, Vector, VectorQuery


class SearchSpecs:
    """Searching messages, by words and by meaning."""

    @hookspec(firstresult=True)
    def search_messages(self, queries: Sequence[SearchQuery]) -> Mapping[SearchQuery, SearchResult] | None:
        """Return what each query finds, the best first.

        Each layer applies the filters. If a layer does not answer, `SearchResult.silent` names it and the other layers'
        hits are returned. Whatever `SearchQuery.among` names is a hit, if the filters let it through.

        A layer that adds a part of its own, such as ``meaning``, asks below twice: for `fusing.candidates` of the
        query, and with ``among`` for what it found itself. The second answer contains those messages that exist and
        that the filters let through, with the parts from below. The layer adds its part to every hit; `fusing.page` and
        `fusing.surround` then make the page. ``answered`` names the part that a layer contributed and, if there are
        several ways to compute it, the way (``text``, ``meaning``, ``meaning by scan``).
        """

    @hookspec(firstresult=True)
    def embed(self, texts: Sequence[str]) -> Sequence[Embedding] | None:
        """Return each text as a vector, in order."""

    @hookspec(firstresult=True)
    def save_vectors(self, vectors: Sequence[Vector]) -> Sequence[Receipt] | None:
        """Keep vectors beside their messages, replacing older ones of the same embedder.

        A vector represents the words of its own message only, never those of its neighbours, so that it can be removed
        together with them: by an edit, a redaction or an erase. A vector of an unknown or redacted message is not kept,
        nor one of words that were edited since (`Vector.edited_at`). A receipt's ``sequence`` is that of the message,
        or ``None`` if nothing was kept; no revision is raised.
        """

    @hookspec(firstresult=True)
    def load_vectors(self, queries: Sequence[VectorQuery]) -> Mapping[VectorQuery, Page] | None:
        """Return a page of vectors for each query, ordered by conversation and sequence."""
