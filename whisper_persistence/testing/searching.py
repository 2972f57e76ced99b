"""Searching: messages are found by their words, and only by those who may see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from whisper_persistence.records import MessageEdit, SearchQuery
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs

_SAYINGS: Final = {
    "m0": "the lighthouse keeper counts the ships",
    "m1": "my sister plays the violoncello",
    "m2": "we walked to the lighthouse at night",
    "m3": "pancakes with blueberries",
}


def _found(store: Store, text: str, **filters: Any) -> list[str]:
    query = SearchQuery(text, **filters)
    return [hit.message.message_id for hit in store.search_messages([query])[query].hits]


def _speak(store: Store) -> None:
    for n, (message_id, content) in enumerate(_SAYINGS.items()):
        moment = samples.MOMENT + timedelta(days=n)
        store.save_messages(
            [samples.message(f"talk{n % 2}", content, "ab"[n // 2], message_id=message_id, timestamp=moment)]
        )


@needs("search", "conversations")
class SearchConformance(Conformance):
    """What `search_messages` finds."""

    def test_the_message_with_the_word_comes_first(self, store: Store) -> None:
        _speak(store)

        assert _found(store, "violoncello")[0] == "m1"
        assert set(_found(store, "lighthouse", limit=2)) == {"m0", "m2"}

    def test_filters_hold(self, store: Store) -> None:
        _speak(store)

        assert _found(store, "lighthouse", user_id="a")[0] == "m0"
        assert not {"m2", "m3"} & set(_found(store, "lighthouse", user_id="a"))
        assert not {"m0", "m1"} & set(_found(store, "lighthouse", author_id="b"))
        assert not {"m1", "m3"} & set(_found(store, "lighthouse", conversation_id="talk0"))
        assert "m0" not in _found(store, "lighthouse", since=samples.MOMENT + timedelta(days=1))
        assert "m2" not in _found(store, "lighthouse", until=samples.MOMENT + timedelta(days=2))

    def test_no_text_is_query_syntax(self, store: Store) -> None:
        _speak(store)
        for text in (*nasty.IDS, '"', "NEAR(", "a AND", "* OR", "col:x", "(((", "-", "^", ""):
            assert len(_found(store, text)) <= 4

    def test_edited_words_are_not_found_any_more(self, store: Store) -> None:
        _speak(store)
        store.update_messages([MessageEdit("talk1", "m1", "my sister plays the trombone")])
        query = SearchQuery("violoncello trombone")
        hits = store.search_messages([query])[query].hits

        assert [hit.message.content for hit in hits if hit.message.message_id == "m1"] == [
            "my sister plays the trombone"
        ]

    @needs("erase")
    def test_an_erased_user_is_not_found_any_more(self, store: Store) -> None:
        _speak(store)
        store.erase_users(["a"])

        assert not {"m0", "m1"} & set(_found(store, "lighthouse violoncello"))
