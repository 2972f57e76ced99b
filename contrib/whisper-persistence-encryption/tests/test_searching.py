"""What search and analytics can and cannot do over sealed text."""

from __future__ import annotations

from typing import Any

import pytest
from marked import MASTER
from whisper_persistence_encryption import EncryptionDriver

from whisper_persistence import NotSupportedError, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import ActivityByHour, Answer, ClearMark, Embedding, SearchQuery, Vector, VectorQuery
from whisper_persistence.testing import samples


def found(store: Store, text: str, **options: Any) -> list[str]:
    query = SearchQuery(text, **options)
    return [hit.message.content for hit in store.search_messages([query])[query].hits]


def speak(store: Store, *contents: str, conversation_id: str = "talk", user_id: str = "alice") -> None:
    store.save_messages([samples.message(conversation_id, content, user_id) for content in contents])


@pytest.mark.parametrize("talk", [None, "talk"])
def test_what_was_cleared_is_not_found(opened, talk):
    store = opened()
    speak(store, "old words", "new words")
    speak(store, "gone words", conversation_id="other")
    store.update_messages([ClearMark("talk", 1), ClearMark("other")])

    assert found(store, "words", conversation_id=talk) == ["new words"]


def test_more_messages_than_the_limit_are_refused_and_never_left_out(opened):
    store = opened(search_limit=600)
    speak(store, *(f"word {n}" for n in range(601)))
    speak(store, "word", conversation_id="short")
    for talk in (None, "talk"):
        with pytest.raises(NotSupportedError, match="more than 600: name a shorter conversation, or raise"):
            found(store, "word", conversation_id=talk)

    assert found(store, "word", conversation_id="short") == ["word"]


class Spy:
    """A driver below, that answers and remembers what it is asked."""

    contract_version = 1

    def __init__(self) -> None:
        self.asked: list[Any] = []

    @hookimpl
    def search_messages(self, queries: Any) -> Any:
        self.asked.append(queries)
        return {}

    @hookimpl
    def aggregate(self, question: Any) -> Answer:
        self.asked.append(question)
        return Answer()

    @hookimpl
    def embed(self, texts: Any) -> Any:
        return [Embedding("spy", b"")] * len(texts)


@pytest.fixture
def spied(tmp_path):
    spy = Spy()
    memory = Chain.build([DriverSpec("memory-fallback")])
    encryption = EncryptionDriver((MASTER,), key_store=str(tmp_path / "keys.db"))
    chain = Chain.of({"encryption": encryption, "spy": spy, "memory": memory.drivers["memory-fallback"]})
    with Store(chain) as store:
        yield store, spy


def test_what_is_looked_for_never_goes_below(spied):
    store, spy = spied
    speak(store, "a secret")

    assert found(store, "secret") == ["a secret"]
    assert spy.asked == []


def test_questions_and_vectors_are_refused(spied):
    store, spy = spied

    with pytest.raises(NotSupportedError, match="sealed"):
        store.aggregate(ActivityByHour())
    assert spy.asked == []
    assert store.embed(["words"]) == [Embedding("spy", b"")]
    for ask in (
        lambda: store.save_vectors([Vector("talk", "m", Embedding("spy", b"1234"))]),
        lambda: store.load_vectors([VectorQuery("spy")]),
    ):
        with pytest.raises(NotSupportedError, match="keeps no vectors, because they tell what the sealed words say"):
            ask()
