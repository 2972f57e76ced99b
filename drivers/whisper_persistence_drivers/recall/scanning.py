"""The exact scan: every vector of a user, or of all, against the query's, in NumPy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import Vector
from whisper_persistence_drivers.recall.sources import Key, key_of

#: A message's key and how similar it is to the query.
Scored = tuple[Key, float]


def similarities(vectors: Sequence[Vector], values: bytes) -> list[Scored]:
    """Return the inner product of each vector with the query's."""
    import numpy as np

    if not vectors:
        return []
    wanted = np.frombuffer(values, dtype="<f4")
    matrix = np.frombuffer(b"".join(vector.embedding.values for vector in vectors), dtype="<f4")
    scores: list[float] = (matrix.reshape(len(vectors), -1) @ wanted).tolist()
    return [(key_of(vector), score) for vector, score in zip(vectors, scores, strict=True)]


def scan(pages: Iterable[Sequence[Vector]], values: bytes, conversation_id: str | None, deadline: float) -> list[Scored]:
    """Return all vectors of some pages with their similarity, the best first.

    Args:
        pages: of vectors.
        values: the query's vector.
        conversation_id: only of this conversation, or ``None`` for all.
        deadline: when to give up, as ``time.monotonic`` counts.

    Raises:
        StorageUnavailableError: there were too many to be scanned by then.
    """
    found: list[Scored] = []
    for page in pages:
        if time.monotonic() > deadline:
            raise StorageUnavailableError("too many vectors to scan in time: search goes on without them")
        kept = [vector for vector in page if conversation_id in (None, vector.conversation_id)]
        found += similarities(kept, values)
    return sorted(found, key=lambda scored: (-scored[1], scored[0]))
