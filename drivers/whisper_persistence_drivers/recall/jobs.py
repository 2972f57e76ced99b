"""Long work in small steps, so that news are followed in between: filling in vectors, building, auditing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Message
from whisper_persistence_drivers.recall.embedders import Embedder
from whisper_persistence_drivers.recall.following import embed
from whisper_persistence_drivers.recall.index import Index
from whisper_persistence_drivers.recall.labels import entry_of, item_of
from whisper_persistence_drivers.recall.sources import PAGE, Key, Pair, key_of, load_shown, pair_pages, vector_pages
from whisper_persistence_drivers.recall.surroundings import Stream, around


def fill(below: Below, embedder: Embedder) -> Iterator[int]:
    """Embed every message that has no vector of an embedder yet; yield how many were embedded after each page.

    Messages and vectors are walked through side by side, since both come in the order of conversation and sequence.
    """
    known = _Known(below, embedder.identity)
    cursor: str | None = None
    while True:
        page = below.scan(kind="messages", cursor=cursor, limit=PAGE)
        messages: Sequence[Message] = page.records if page else ()
        missing = [key_of(message) for message in messages if message.content and key_of(message) not in known]
        known.advance()
        yield len(embed(below, embedder, list(load_shown(below, missing).values())))
        cursor = page.cursor if page else None
        if cursor is None:
            return


class _Known:
    """The keys of the vectors that there are, a page ahead of whoever asks for them in order."""

    def __init__(self, below: Below, model: str) -> None:
        self._pages = vector_pages(below, model)
        self._keys: set[Key] = set()
        self._last: Key | None = None
        self._matched = True
        self._load()

    def __contains__(self, key: Key) -> bool:
        if key not in self._keys:
            return False
        self._keys.discard(key)
        self._matched = True
        if key == self._last:
            self._load()
        return True

    def advance(self) -> None:
        """Go on where nothing matched for a page: the message that was waited for is gone meanwhile."""
        if not self._matched:
            self._load()
        self._matched = False

    def _load(self) -> None:
        vectors = next(self._pages, ())
        self._keys.update(map(key_of, vectors))
        self._last = key_of(vectors[-1]) if vectors else None


def build(below: Below, namespace: str, index: Index) -> Iterator[int]:
    """Put what every message means into a new index, from the vectors in SQL; yield how many after each page."""
    for pairs in Stream().walk(pair_pages(below, index.model)):
        index.upsert([entry_of(namespace, message, values) for message, values in pairs])
        yield len(pairs)


def audit(below: Below, namespace: str, index: Index, pushed: Callable[[], int]) -> Iterator[int]:
    """Compare an index with what SQL would make of it, vector by vector; yield how many after each page.

    Args:
        below: where the vectors are.
        namespace: whose they are.
        index: what is compared.
        pushed: how many vectors were put into the index or removed so far; what is pushed meanwhile may be counted or
            not.

    Raises:
        StorageDamagedError: something is missing, different or too much.
    """
    total, before = 0, pushed()
    suspects: list[Message] = []
    for pairs in Stream().walk(pair_pages(below, index.model)):
        suspects += differing(namespace, index, pairs)
        total += len(pairs)
        if len(suspects) > PAGE:
            break
        yield len(pairs)
    # What was edited while nobody had followed yet is no damage: it is looked at once more, as it is now.
    again = around(below, index.model, list(load_shown(below, [key_of(each) for each in suspects]).values()))
    if len(suspects) > PAGE or differing(namespace, index, again):
        raise StorageDamagedError("the index misses vectors that SQL holds: it is built anew")
    if abs(index.recount() - total) > pushed() - before:
        raise StorageDamagedError("the index holds another number of vectors than SQL: it is built anew")


def differing(namespace: str, index: Index, pairs: Sequence[Pair]) -> list[Message]:
    """Return the messages whose vector an index does not hold as it should be."""
    held = index.load([item_of(namespace, *key_of(message)) for message, _ in pairs]) if pairs else {}
    found = ((message, values, held.get(item_of(namespace, *key_of(message)), b"")) for message, values in pairs)
    return [message for message, values, other in found if values != other and not close(values, other)]


def close(values: bytes, other: bytes) -> bool:
    """Say whether two vectors are the same but for rounding."""
    import numpy as np

    if len(values) != len(other):
        return False
    return bool(np.allclose(np.frombuffer(values, dtype="<f4"), np.frombuffer(other, dtype="<f4"), atol=1e-4))
