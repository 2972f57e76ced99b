"""Searching: messages are found by their words, at once, and only by those who may see them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import (
    ClearMark,
    MessageEdit,
    MessageRedaction,
    SearchHit,
    SearchQuery,
    StatisticsChange,
)
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs

_SAYINGS: Final = {
    "m0": "the lighthouse keeper counts the ships",
    "m1": "my sister plays the violoncello",
    "m2": "we walked to the lighthouse at night",
    "m3": "pancakes with blueberries",
}
#: Texts, each with a word of it that no other has.
_WRITINGS: Final = {
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u0434\u0440\u0443\u0433": "\u041f\u0420\u0418\u0412\u0415\u0422",
    "\u6211\u559c\u6b22\u732b": "\u732b",
    "\u6771\u4eac\u30bf\u30ef\u30fc": "\u30bf\u30ef\u30fc",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643": "\u0645\u0631\u062d\u0628\u0627",
    "\u05e9\u05dc\u05d5\u05dd": "\u05e9\u05dc\u05d5\u05dd",
    "\uc548\ub155\ud558\uc138\uc694": "\uc548\ub155\ud558\uc138\uc694",
    "a \U0001f984 walks by": "\U0001f984",
    "Stra\u00dfe": "STRASSE",
    "caf\u00e9 au lait": "cafe\u0301",
    "line\nbroken\tword": "broken",
    "x'); DROP TABLE messages; --": "drop",
    "room 42b": "42B",
}


def _hits(store: Store, text: str, **filters: Any) -> tuple[SearchHit, ...]:
    query = SearchQuery(text, **filters)
    return store.search_messages([query])[query].hits


def _found(store: Store, text: str, **filters: Any) -> list[str]:
    return [hit.message.message_id for hit in _hits(store, text, **filters)]


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

    def test_whatever_was_acknowledged_is_found_at_once(self, store: Store) -> None:
        for n in range(30):
            store.save_messages(
                [samples.message(f"talk{n % 3}", f"zebra{n} crossing", f"u{n % 5}", message_id=f"m{n}")]
            )

            assert _found(store, f"zebra{n}")[:1] == [f"m{n}"]
        assert all(_found(store, f"zebra{n}", user_id=f"u{n % 5}")[:1] == [f"m{n}"] for n in range(30))

    def test_every_script_and_any_case_is_found(self, store: Store) -> None:
        texts = list(_WRITINGS)
        store.save_messages([samples.message(f"t{n}", text, message_id=f"m{n}") for n, text in enumerate(texts)])

        assert {text: _found(store, _WRITINGS[text], limit=1) for text in texts} == {
            text: [f"m{n}"] for n, text in enumerate(texts)
        }

    def test_messages_and_queries_of_any_length_are_taken(self, store: Store) -> None:
        store.save_messages(
            [samples.message("t", nasty.LONG_TEXT, message_id="long"), samples.message("t", "", message_id="empty")]
        )
        store.save_messages([samples.message("other", f"needle {'hay ' * 1_000}", message_id="n")])

        assert _found(store, "needle " + nasty.LONG_TEXT[:300_000], limit=1_000)
        assert _found(store, "needle")[0] == "n"

    def test_scores_fall_and_parts_say_why(self, store: Store) -> None:
        _speak(store)
        query = SearchQuery("lighthouse ships")
        result = store.search_messages([query])[query]
        scores = [hit.score for hit in result.hits]

        assert result.hits[0].message.message_id == "m0"
        assert scores == sorted(scores, reverse=True)
        assert all(0 < hit.score <= 1 for hit in result.hits)
        assert all(0 <= part <= 1 for hit in result.hits for part in hit.parts.values())
        assert all({"text", "recency"} <= hit.parts.keys() for hit in result.hits)
        assert "text" in result.answered
        assert result.silent == ()

    def test_a_turn_is_found_by_what_was_said_around_it_in_the_same_session(self, store: Store) -> None:
        day = timedelta(days=1)
        asked = samples.message("t", "which instrument", "alice", message_id="q", timestamp=samples.MOMENT)
        said = samples.message("t", "the violoncello", "alice", message_id="a", timestamp=samples.MOMENT)
        other = samples.message("t", "goodbye", "bob", message_id="b", timestamp=samples.MOMENT)
        later = samples.message("t", "goodbye", "alice", message_id="later", timestamp=samples.MOMENT + day)
        store.save_messages([asked, said, other, later])

        assert _found(store, "violoncello") == ["a", "q"]

    def test_two_users_never_meet(self, store: Store) -> None:
        for n in range(6):
            user = ("alice", "bob")[n % 2]
            store.save_messages([samples.message("shared", f"secret plan {user}", user, message_id=f"m{n}")])

        hits = _hits(store, "secret plan alice bob", user_id="alice", context=3)
        assert {hit.message.user_id for hit in hits} == {"alice"}
        assert {turn.user_id for hit in hits for turn in hit.context} == {"alice"}
        assert _found(store, "bob", user_id="alice") == []

    def test_another_namespace_is_never_found(self, path: Path) -> None:
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            _speak(one)

            assert _found(two, "lighthouse") == []
            assert _found(one, "lighthouse") != []

    def test_filters_hold_together_and_at_their_edges(self, store: Store) -> None:
        moments = [samples.MOMENT + timedelta(seconds=n) for n in range(4)]
        batch = [
            samples.message(
                "t", "zebra", "alice", author_id=("alice", "bot")[n % 2], message_id=f"m{n}", timestamp=moment
            )
            for n, moment in enumerate(moments)
        ]
        store.save_messages(batch)

        assert set(_found(store, "zebra", since=moments[1])) == {"m1", "m2", "m3"}
        assert set(_found(store, "zebra", until=moments[2])) == {"m0", "m1"}
        assert _found(store, "zebra", since=moments[1], until=moments[2]) == ["m1"]
        assert set(_found(store, "zebra", author_id="bot", since=moments[2])) == {"m3"}
        assert _found(store, "zebra", author_id="nobody") == []
        assert _found(store, "zebra", user_id="alice", conversation_id="elsewhere") == []

    def test_pages_of_any_size_make_the_same_list(self, store: Store) -> None:
        sayings = [f"zebra {'crossing ' * (n % 7)}{n}" for n in range(23)]
        store.save_messages([samples.message(f"t{n}", text, message_id=f"m{n}") for n, text in enumerate(sayings)])
        whole = _found(store, "zebra crossing", limit=100)

        assert sorted(whole) == sorted(f"m{n}" for n in range(23))
        for size in (1, 5, 22, 23):
            assert _paged(store, SearchQuery("zebra crossing", limit=size)) == whole

    def test_a_search_refuses_a_cursor_that_is_none(self, store: Store) -> None:
        _speak(store)
        for cursor in ("", "x", "[1]", '["a","b","c"]', "{}"):
            with pytest.raises(ValidationError):
                store.search_messages([SearchQuery("lighthouse", cursor=cursor)])

    def test_context_is_the_turns_around_oldest_first(self, store: Store) -> None:
        store.save_messages([samples.message("t", f"turn {n}", message_id=f"m{n}") for n in range(4)])
        store.save_messages([samples.message("t", "zebra", message_id="z")])
        store.save_messages([samples.message("t", f"turn {n}", message_id=f"m{n}") for n in range(4, 8)])
        (first, *_) = _hits(store, "zebra", context=2)

        assert first.message.message_id == "z"
        assert [turn.message_id for turn in first.context] == ["m2", "m3", "z", "m4", "m5"]
        assert _hits(store, "zebra")[0].context == ()

    def test_redacted_and_cleared_words_are_not_found(self, store: Store) -> None:
        _speak(store)
        store.update_messages([MessageRedaction("talk1", "m1"), ClearMark("talk0", 1)])

        assert "m1" not in _found(store, "violoncello sister")
        assert _found(store, "keeper ships") == []
        assert _found(store, "lighthouse") == ["m2"]

        store.update_messages([ClearMark("talk0"), ClearMark("talk1")])

        assert _found(store, "lighthouse pancakes walked") == []

    def test_a_message_sent_twice_is_found_once(self, store: Store) -> None:
        _speak(store)
        _speak(store)

        assert sorted(_found(store, "lighthouse", limit=50)) == sorted(set(_found(store, "lighthouse", limit=50)))

    def test_only_named_messages_are_looked_at_whether_or_not_a_word_is_theirs(self, store: Store) -> None:
        _speak(store)
        named = (("talk1", "m3"), ("talk0", "m0"), ("talk0", "m1"), ("nowhere", "m0"))

        assert _found(store, "lighthouse", among=named) == ["m0", "m3"]
        assert _found(store, "lighthouse", among=named, user_id="b") == ["m3"]
        assert sorted(_found(store, "", among=named)) == ["m0", "m3"]
        assert _found(store, "lighthouse", among=()) == []

    def test_several_searches_are_answered_each_for_itself(self, store: Store) -> None:
        _speak(store)
        queries = [SearchQuery("violoncello"), SearchQuery("pancakes", user_id="a"), SearchQuery("pancakes")]
        results = store.search_messages(queries)

        assert [hit.message.message_id for hit in results[queries[0]].hits][:1] == ["m1"]
        assert results[queries[1]].hits == ()
        assert [hit.message.message_id for hit in results[queries[2]].hits][:1] == ["m3"]

    @needs("statistics")
    def test_importance_is_a_part_and_never_hides_what_is_old(self, store: Store) -> None:
        old = samples.message("t1", "zebra crossing", message_id="old", timestamp=samples.EDGES[0])
        new = samples.message("t2", "zebra", message_id="new")
        store.save_messages([old, new, samples.message("t3", "zebra", message_id="dear")])
        store.update_statistics([StatisticsChange("alice", [samples.score("dear", 1.0), samples.score("new", 0.0)])])
        parts = {hit.message.message_id: hit.parts for hit in _hits(store, "zebra crossing")}

        assert _found(store, "zebra crossing") == ["old", "dear", "new"]
        assert (parts["dear"]["importance"], parts["new"]["importance"]) == (1.0, 0.0)
        assert "importance" not in parts["old"]


def _paged(store: Store, query: SearchQuery) -> list[str]:
    """Return what all pages of a query show, up to more than there can be."""
    found: list[str] = []
    for _ in range(100):
        result = store.search_messages([query])[query]
        assert len(result.hits) <= query.limit
        found += [hit.message.message_id for hit in result.hits]
        if result.cursor is None:
            break
        query = attrs.evolve(query, cursor=result.cursor)
    return found
