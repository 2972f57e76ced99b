"""What search and analytics can and cannot do over sealed text."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from marked import MASTER
from whisper_persistence_encryption import EncryptionDriver

from whisper_persistence import NotSupportedError, Store, ValidationError
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Answer, ClearMark, Embedding, Question, SearchQuery, Vector, VectorQuery
from whisper_persistence.testing import samples


def found(store: Store, text: str, **options: Any) -> list[str]:
    query = SearchQuery(text, **options)
    return [hit.message.content for hit in store.search_messages([query])[query].hits]


def speak(store: Store, *contents: str, conversation_id: str = "talk", user_id: str = "alice") -> None:
    store.save_messages([samples.message(conversation_id, content, user_id) for content in contents])


def test_whole_words_are_found_in_any_case_the_rarest_first(opened):
    store = opened()
    speak(store, "the lighthouse", "the Lighthouse keeper's cat", "lighthouses", "the dog", "CAT!")

    assert found(store, "LIGHTHOUSE cat") == ["the Lighthouse keeper's cat", "CAT!", "the lighthouse"]
    assert found(store, "light") == found(store, "...") == []


def test_scores_pages_and_context_are_as_everywhere(opened):
    store = opened()
    speak(store, *(f"word {n}" for n in range(7)))
    query, pages = SearchQuery("word", limit=3, context=1, conversation_id="talk"), []
    while True:
        result = store.search_messages([query])[query]
        pages.append(result)
        if result.cursor is None:
            break
        query = attrs.evolve(query, cursor=result.cursor)
    hits = [hit for page in pages for hit in page.hits]

    assert [len(page.hits) for page in pages] == [3, 3, 1]
    assert len({hit.message.content for hit in hits}) == 7
    assert all(0 < hit.score <= 1 and hit.parts == {"text": hit.score} for hit in hits)
    around = next(hit.context for hit in hits if hit.message.content == "word 3")
    assert [message.content for message in around] == ["word 2", "word 4"]
    with pytest.raises(ValidationError, match=r"SearchQuery\.cursor"):
        found(store, "word", cursor="elsewhere")


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


def test_questions_go_below_and_vectors_do_not(spied):
    store, spy = spied

    assert store.aggregate(Question()) == Answer()
    assert spy.asked == [Question()]
    assert store.embed(["words"]) == [Embedding("spy", b"")]
    for ask in (
        lambda: store.save_vectors([Vector("talk", "m", Embedding("spy", b"1234"))]),
        lambda: store.load_vectors([VectorQuery("spy")]),
    ):
        with pytest.raises(NotSupportedError, match="keeps no vectors, because they tell what the sealed words say"):
            ask()
