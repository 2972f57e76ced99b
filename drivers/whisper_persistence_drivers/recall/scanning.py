"""The exact scan: every vector of a user, or of all, against the query's, in NumPy."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.hookspecs import Below
from whisper_persistence.neighbours import RADIUS
from whisper_persistence.records import Vector
from whisper_persistence_drivers.recall.sources import Key, key_of, load_shown
from whisper_persistence_drivers.recall.surroundings import Stream

#: Of how many users the neighbourhoods are remembered.
_REMEMBERED: Final = 64


@attrs.frozen(eq=False)
class Neighbourhoods:
    """What messages mean among their neighbours.

    Attributes:
        vectors: those of single messages, that these were worked out from.
        keys: the messages.
        matrix: one row a message, of unit length.
    """

    vectors: tuple[Vector, ...]
    keys: list[Key]
    matrix: Any


@attrs.define(eq=False)
class Scanner:
    """Neighbourhoods of users with few messages, worked out again only where their vectors are other ones."""

    below: Below
    _known: OrderedDict[str, Neighbourhoods] = attrs.field(factory=OrderedDict[str, Neighbourhoods])
    _lock: Any = attrs.field(factory=threading.Lock, repr=False)

    def look(self, user_id: str | None, vectors: tuple[Vector, ...]) -> Neighbourhoods:
        """Return the neighbourhoods of a user's messages, or of everybody's, that have these vectors."""
        name = f"user {user_id}" if user_id is not None else ""
        with self._lock:
            known = self._known.get(name)
        if known is None or known.vectors != vectors:
            known = self._work_out(vectors)
            with self._lock:
                self._known[name] = known
                self._known.move_to_end(name)
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return known

    def forget(self) -> None:
        """Forget everybody's, so that nothing erased stays in memory."""
        with self._lock:
            self._known.clear()

    def _work_out(self, vectors: tuple[Vector, ...]) -> Neighbourhoods:
        shown = load_shown(self.below, [key_of(vector) for vector in vectors])
        pairs = [(shown[key], each.embedding.values) for each in vectors if (key := key_of(each)) in shown]
        found = [pair for page in Stream().walk([pairs]) for pair in page]
        return Neighbourhoods(vectors, [key_of(message) for message, _ in found], _rows([row for _, row in found]))


def fits(known: Neighbourhoods, query: Any) -> dict[Key, float]:
    """Return how well each message fits a query, 0 to 1."""
    from whisper_persistence_drivers import meaning

    scores: list[float] = meaning.meaning(query, known.matrix).tolist() if known.keys else []
    return dict(zip(known.keys, scores, strict=True))


def fits_of(values: Mapping[str, bytes], query: Any) -> dict[str, float]:
    """Return how well each vector of unit length fits a query, 0 to 1, by name."""
    from whisper_persistence_drivers import meaning

    scores: list[float] = meaning.meaning(query, _rows(list(values.values()))).tolist() if values else []
    return dict(zip(values, scores, strict=True))


def stand_in(pages: Iterable[Sequence[Vector]], query: Any, alone: bool, deadline: float) -> dict[Key, float]:
    """Return how well each message of many fits a query, where there is no index.

    Messages are taken for neighbours that follow each other in a conversation, however long the silence between them.

    Args:
        pages: of vectors, in order.
        query: the query's vector.
        alone: whether neighbours are left out, because the messages concern several users.
        deadline: when to give up, as ``time.monotonic`` counts.

    Raises:
        StorageUnavailableError: there were too many to be scanned by then.
    """
    from whisper_persistence_drivers import meaning

    found: dict[Key, float] = {}
    for page in pages:
        if time.monotonic() > deadline:
            raise StorageUnavailableError("too many vectors to scan in time: search goes on without meaning")
        if not page:
            continue
        matrix = _rows([vector.embedding.values for vector in page])
        matrix = meaning.to_units(matrix) if alone else meaning.neighbourhoods(matrix, _consecutive(page))
        found.update(zip(map(key_of, page), meaning.meaning(query, matrix).tolist(), strict=True))
    return found


def _consecutive(vectors: Sequence[Vector]) -> list[int]:
    places, place, talk = list[int](), 0, ""
    for vector in vectors:
        place += 1 if vector.conversation_id == talk else 2 * RADIUS + 1
        talk = vector.conversation_id
        places.append(place)
    return places


def _rows(values: Sequence[bytes]) -> Any:
    import numpy as np

    return np.frombuffer(b"".join(values), dtype="<f4").reshape(len(values), -1) if values else np.zeros((0, 1), "<f4")
