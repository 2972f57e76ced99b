"""Vectors: kept beside their messages, and gone with them."""

from __future__ import annotations

import struct

from whisper_persistence.records import Embedding, Vector, VectorQuery
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs


def _vector(message_id: str, value: float = 0.5, conversation_id: str = "talk", model: str = "model") -> Vector:
    return Vector(conversation_id, message_id, Embedding(model, struct.pack("<3f", value, -0.0, 1e-30)))


def _loaded(store: Store, limit: int = 1_000, user_id: str | None = None) -> list[Vector]:
    found: list[Vector] = []
    cursor = None
    while True:
        query = VectorQuery("model", user_id, limit, cursor)
        page = store.load_vectors([query]).get(query)
        found += page.records if page else ()
        cursor = page.cursor if page else None
        if cursor is None:
            return found


@needs("vectors", "conversations")
class VectorConformance(Conformance):
    """What `save_vectors` keeps and `load_vectors` returns."""

    def test_vectors_come_back_bit_by_bit_in_order_and_pages(self, store: Store) -> None:
        store.save_messages([*samples.talk(5), *samples.talk(5, "other", "bob")])
        vectors = [_vector(f"m{n}", n, talk) for talk in ("other", "talk") for n in range(5)]
        store.save_vectors(vectors[::-1])

        assert _loaded(store) == _loaded(store, 1) == _loaded(store, 3) == vectors
        assert _loaded(store, user_id="bob") == vectors[:5]

    def test_a_newer_vector_replaces_the_older_and_unknown_messages_get_none(self, store: Store) -> None:
        store.save_messages(samples.talk(1))
        store.save_vectors([_vector("m0", 0.1), _vector("never stored"), _vector("m0", 0.2)])

        assert _loaded(store) == [_vector("m0", 0.2)]

    @needs("erase")
    def test_vectors_go_with_their_user(self, store: Store) -> None:
        store.save_messages([*samples.talk(2), *samples.talk(2, "other", "bob")])
        store.save_vectors([_vector("m0"), _vector("m1"), _vector("m0", conversation_id="other")])
        store.erase_users(["alice"])

        assert _loaded(store) == [_vector("m0", conversation_id="other")]
