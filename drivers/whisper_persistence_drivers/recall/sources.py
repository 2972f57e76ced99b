"""What SQL holds, as the index wants it: vectors together with the messages that they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Message, Vector, VectorQuery, Window

#: How many vectors or messages are read at once: the most that one call may ask for.
PAGE: Final = 1_000

Key = tuple[str, str]
#: A message and its vector.
Pair = tuple[Message, bytes]


def key_of(record: Message | Vector) -> Key:
    """Return the ids of the conversation and the message that a record is of."""
    return record.conversation_id, record.message_id


def load_shown(below: Below, keys: Sequence[Key]) -> dict[Key, Message]:
    """Return those of these messages that are there and not cleared."""
    windows = [Window(talk, 1, message_id=item) for talk, item in dict.fromkeys(keys)]
    shown: dict[Key, Message] = {}
    for start in range(0, len(windows), PAGE):
        for messages in (below.load_messages(windows=windows[start : start + PAGE]) or {}).values():
            shown.update((key_of(message), message) for message in messages)
    return shown


def vector_pages(
    below: Below, model: str, user_id: str | None = None, limit: int = PAGE
) -> Iterator[tuple[Vector, ...]]:
    """Yield all vectors of an embedder, in the order of their conversations and sequences."""
    query: VectorQuery | None = VectorQuery(model, user_id, limit)
    while query is not None:
        page = (below.load_vectors(queries=[query]) or {}).get(query)
        yield page.records if page else ()
        query = VectorQuery(model, user_id, limit, page.cursor) if page and page.cursor else None


def pair_pages(below: Below, model: str) -> Iterator[list[Pair]]:
    """Yield all vectors of an embedder with their messages, as far as these are shown, in order."""
    for vectors in vector_pages(below, model):
        shown = load_shown(below, [key_of(vector) for vector in vectors])
        yield [(shown[key], v.embedding.values) for v in vectors if (key := key_of(v)) in shown]
