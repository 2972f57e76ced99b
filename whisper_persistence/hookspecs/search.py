"""Finding messages again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Embedding, Page, Receipt, SearchQuery, SearchResult, Vector, VectorQuery


class SearchSpecs:
    """Finding messages again, by words and by meaning."""

    @hookspec(firstresult=True)
    def search_messages(self, queries: Sequence[SearchQuery]) -> Mapping[SearchQuery, SearchResult] | None:
        """Return what each query finds, the best first.

        Filters are applied within each layer. A layer that does not answer is named in `SearchResult.silent`, and the
        others' hits are returned. What `SearchQuery.among` names and the filters let through is always a hit.

        A layer that adds a part of its own, such as ``meaning``, asks below for `fusing.candidates` of the query, then
        with ``among`` for what it found itself: the answer has the messages that are there and that the filters let
        through, with the parts from below. It adds its part to every hit, and `fusing.page` and `fusing.surround` make
        the page. ``answered`` names the part that a layer gave, and after a blank the way where there are several
        (``text``, ``meaning``, ``meaning by scan``).
        """

    @hookspec(firstresult=True)
    def embed(self, texts: Sequence[str]) -> Sequence[Embedding] | None:
        """Return each text as a vector, in order."""

    @hookspec(firstresult=True)
    def save_vectors(self, vectors: Sequence[Vector]) -> Sequence[Receipt] | None:
        """Keep vectors beside their messages, replacing older ones of the same embedder.

        A vector is of the words of its message alone, never of its neighbours', so that it can go with them: an edit, a
        redaction and an erase remove it. That of an unknown or redacted message is not kept, nor one of words that
        were edited since (`Vector.edited_at`). A receipt's ``sequence`` is that of the message, or ``None`` where
        nothing was kept; no revision is raised.
        """

    @hookspec(firstresult=True)
    def load_vectors(self, queries: Sequence[VectorQuery]) -> Mapping[VectorQuery, Page] | None:
        """Return a page of vectors for each query, ordered by conversation and sequence."""
