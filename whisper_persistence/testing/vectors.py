"""Vectors: kept beside their messages, and gone with them."""

from __future__ import annotations

import struct
from datetime import timedelta

import attrs
import pytest

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import (
    ClearMark,
    Embedding,
    MessageEdit,
    MessageRedaction,
    Thing,
    Vector,
    VectorQuery,
)
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs


def _vector(message_id: str, value: float = 0.5, conversation_id: str = "talk", model: str = "model") -> Vector:
    return Vector(conversation_id, message_id, Embedding(model, struct.pack("<3f", value, -0.0, 1e-30)))


def _loaded(store: Store, limit: int = 1_000, user_id: str | None = None, model: str = "model") -> list[Vector]:
    found: list[Vector] = []
    cursor = None
    while True:
        query = VectorQuery(model, user_id, limit, cursor)
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

    def test_vectors_of_two_embedders_are_kept_apart(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        vectors = [_vector("m0"), _vector("m0", model="other"), _vector("m1", model="other")]
        store.save_vectors(vectors)

        assert _loaded(store) == vectors[:1]
        assert _loaded(store, 1, model="other") == vectors[1:]
        assert _loaded(store, model="third") == []

    def test_several_queries_are_answered_each_for_itself(self, store: Store) -> None:
        store.save_messages([*samples.talk(2), *samples.talk(1, "other", "bob")])
        vectors = [_vector("m0", conversation_id="other"), _vector("m0"), _vector("m1")]
        store.save_vectors(vectors)
        queries = [
            VectorQuery("model", user_id, limit) for user_id in (None, "bob", "alice", "carl") for limit in (1, 9)
        ]
        pages = store.load_vectors(queries)
        found = [pages[query].records if query in pages else () for query in queries]

        assert [list(records) for records in found] == [
            *(vectors[:1], vectors, vectors[:1], vectors[:1]),
            *(vectors[1:2], vectors[1:], [], []),
        ]

    def test_vectors_of_named_messages_alone_are_asked_for(self, store: Store) -> None:
        store.save_messages([*samples.talk(3), *samples.talk(2, "other", "bob")])
        vectors = [_vector(f"m{n}", n, talk) for talk in ("other", "talk") for n in range(2)]
        store.save_vectors(vectors)
        named = [("talk", "m1"), ("other", "m0"), ("talk", "m2"), ("talk", "nobody's"), ("talk", "m1")]
        everybody, alice, nobody = (VectorQuery("model", user, among=named) for user in (None, "alice", "carl"))
        first = VectorQuery("model", limit=1, among=named)
        found = store.load_vectors([everybody, alice, nobody, first, VectorQuery("other", among=named)])
        second = attrs.evolve(first, cursor=found[first].cursor)

        assert found[everybody].records == (vectors[0], vectors[3])
        assert found[alice].records == (vectors[3],)
        assert (found[first].records, store.load_vectors([second])[second].records) == ((vectors[0],), (vectors[3],))
        assert not any(page.records for query, page in found.items() if query not in (everybody, alice, first))
        assert store.load_vectors([VectorQuery("model", among=())])[VectorQuery("model", among=())].records == ()

    def test_a_cursor_that_is_none_is_refused(self, store: Store) -> None:
        for cursor in ("", "x", "[1]", '["talk"]', '["talk","m0"]', "{}"):
            with pytest.raises(ValidationError):
                store.load_vectors([VectorQuery("model", cursor=cursor)])

    def test_new_words_have_no_vector_until_they_get_one(self, store: Store) -> None:
        store.save_messages(samples.talk(3))
        store.save_vectors([_vector(f"m{n}") for n in range(3)])
        edit = MessageEdit("talk", "m1", "new words", samples.MOMENT)
        store.update_messages([edit, ClearMark("talk", 1)])

        assert _loaded(store) == [_vector("m0"), _vector("m2")]

        store.save_vectors([attrs.evolve(_vector("m1", 0.7), edited_at=edit.timestamp)])

        assert _loaded(store) == [_vector("m0"), _vector("m1", 0.7), _vector("m2")]

    def test_a_vector_of_older_words_comes_too_late(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        first, second = (samples.MOMENT + timedelta(seconds=n) for n in range(2))
        store.update_messages([MessageEdit("talk", "m1", "new words", first)])
        late = store.save_vectors([_vector("m1"), _vector("m0")])
        store.save_vectors([attrs.evolve(_vector("m1", 0.7), edited_at=first)])
        store.update_messages([MessageEdit("talk", "m1", "newer words", second)])
        later = store.save_vectors([attrs.evolve(_vector("m1", 0.8), edited_at=first)])

        assert [receipt.sequence for receipt in (*late, *later)] == [None, 1, None]
        assert _loaded(store) == [_vector("m0")]

    def test_words_that_are_gone_have_no_vector_and_get_none(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        store.save_vectors([_vector("m0"), _vector("m1")])
        store.update_messages([MessageRedaction("talk", "m0")])
        store.save_vectors([_vector("m0")])

        assert _loaded(store) == [_vector("m1")]

    @needs("revisions")
    def test_a_vector_changes_nothing_that_a_conversation_says(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        talk = Thing("conversation", "talk")
        before = store.load_revisions([talk])
        receipts = store.save_vectors([_vector("m1"), _vector("m0"), _vector("unknown")])

        assert store.load_revisions([talk]) == before
        assert [receipt.sequence for receipt in receipts] == [2, 1, None]
        assert {receipt.revision for receipt in receipts} == {before[talk].revision}

    @needs("erase")
    def test_vectors_go_with_their_user(self, store: Store) -> None:
        store.save_messages([*samples.talk(2), *samples.talk(2, "other", "bob")])
        store.save_vectors([_vector("m0"), _vector("m1"), _vector("m0", conversation_id="other")])
        store.erase_users(["alice"])

        assert _loaded(store) == [_vector("m0", conversation_id="other")]
