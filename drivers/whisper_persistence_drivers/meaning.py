"""How well messages fit a query by meaning, as plain functions over vectors: whatever index found them, one formula.

A message's vector is that of its own words. What it means among its neighbours is the sum of their vectors, by
`whisper_persistence.neighbours.influence`; so nothing but vectors of single messages is ever kept, and an erased
message is gone from the meaning of all of its neighbours at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whisper_persistence.neighbours import RADIUS, influence

Floats = NDArray[np.float32]


def neighbourhoods(vectors: Floats, places: Sequence[int]) -> Floats:
    """Return what each message of one user and conversation means among its neighbours, as unit vectors.

    Args:
        vectors: one row a message, in the order of the conversation.
        places: where each message is, by `whisper_persistence.neighbours.next_place`.
    """
    where = np.asarray(places)
    single = to_units(vectors)
    summed = single.copy()
    for step in range(1, min(RADIUS, len(where) - 1) + 1):
        distances = where[step:] - where[:-step]
        after, before = (
            np.array([influence(sign * int(distance)) for distance in distances], dtype=np.float32)[:, None]
            for sign in (1, -1)
        )
        summed[step:] += after * single[:-step]
        summed[:-step] += before * single[step:]
    return to_units(summed)


def query_vector(words: Sequence[str], vectors: Floats, rarity: Mapping[str, float]) -> Floats:
    """Return one vector for a query's words, of an embedder that gives every word a vector of its own.

    A sum of plain word vectors is about what all of them have in common, which is what everybody says; weighed by
    `SearchResult.rarity`, it is about what the question asks for. The weight is its square: a product of two vectors of
    words weighs each word twice, once on either side, and the messages' side weighs none.

    Args:
        words: the query's words, by `whisper_persistence.words.content_words`, each once.
        vectors: one row a word.
        rarity: how rare each word is; words without count as the rarest.
    """
    rarest = max(rarity.values(), default=1.0)
    weights = np.array([rarity.get(word, rarest) for word in words], dtype=np.float32)
    summed: Floats = to_units((weights**2 @ to_units(vectors))[None, :])[0]
    return summed


def meaning(query: Floats, vectors: Floats) -> Floats:
    """Return how well each unit vector fits a query, 0 to 1: the cosine, where it is not negative."""
    cosines: Floats = np.clip(vectors @ query, 0.0, 1.0)
    return cosines


def to_units(vectors: Floats) -> Floats:
    """Return vectors of length 1 in the same directions; one of length 0 stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0.0, lengths, 1.0), dtype=np.float32)
