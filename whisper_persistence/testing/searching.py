"""Searching: messages are found by their words, at once, and only by those who may see them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from whisper_persistence.records import (
    MessageEdit,
    SearchHit,
    SearchQuery,
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


def hits_of(store: Store, text: str, **filters: Any) -> tuple[SearchHit, ...]:
    """Return what a text finds."""
    query = SearchQuery(text, **filters)
    return store.search_messages([query])[query].hits


def found(store: Store, text: str, **filters: Any) -> list[str]:
    """Return the ids of the messages that a text finds."""
    return [hit.message.message_id for hit in hits_of(store, text, **filters)]


def speak(store: Store) -> None:
    """Append four sayings by two users in two conversations, a day apart."""
    for n, (message_id, content) in enumerate(_SAYINGS.items()):
        moment = samples.MOMENT + timedelta(days=n)
        store.save_messages(
            [samples.message(f"talk{n % 2}", content, "ab"[n // 2], message_id=message_id, timestamp=moment)]
        )


@needs("search", "conversations")
class SearchConformance(Conformance):
    """What `search_messages` finds."""

    def test_the_message_with_the_word_comes_first(self, store: Store) -> None:
        speak(store)

        assert found(store, "violoncello")[0] == "m1"
        assert set(found(store, "lighthouse", limit=2)) == {"m0", "m2"}

    def test_filters_hold(self, store: Store) -> None:
        speak(store)

        assert found(store, "lighthouse", user_id="a")[0] == "m0"
        assert not {"m2", "m3"} & set(found(store, "lighthouse", user_id="a"))
        assert not {"m0", "m1"} & set(found(store, "lighthouse", author_id="b"))
        assert not {"m1", "m3"} & set(found(store, "lighthouse", conversation_id="talk0"))
        assert "m0" not in found(store, "lighthouse", since=samples.MOMENT + timedelta(days=1))
        assert "m2" not in found(store, "lighthouse", until=samples.MOMENT + timedelta(days=2))

    def test_no_text_is_query_syntax(self, store: Store) -> None:
        speak(store)
        for text in (*nasty.IDS, '"', "NEAR(", "a AND", "* OR", "col:x", "(((", "-", "^", ""):
            assert len(found(store, text)) <= 4

    def test_edited_words_are_not_found_any_more(self, store: Store) -> None:
        speak(store)
        store.update_messages([MessageEdit("talk1", "m1", "my sister plays the trombone")])
        query = SearchQuery("violoncello trombone")
        hits = store.search_messages([query])[query].hits

        assert [hit.message.content for hit in hits if hit.message.message_id == "m1"] == [
            "my sister plays the trombone"
        ]

    @needs("erase")
    def test_an_erased_user_is_not_found_any_more(self, store: Store) -> None:
        speak(store)
        store.erase_users(["a"])

        assert not {"m0", "m1"} & set(found(store, "lighthouse violoncello"))

    def test_whatever_was_acknowledged_is_found_at_once(self, store: Store) -> None:
        for n in range(12):
            store.save_messages(
                [samples.message(f"talk{n % 3}", f"zebra{n} crossing", f"u{n % 5}", message_id=f"m{n}")]
            )

            assert found(store, f"zebra{n}")[:1] == [f"m{n}"]
        assert all(found(store, f"zebra{n}", user_id=f"u{n % 5}")[:1] == [f"m{n}"] for n in range(12))

    def test_every_script_and_any_case_isfound(self, store: Store) -> None:
        texts = list(_WRITINGS)
        store.save_messages([samples.message(f"t{n}", text, message_id=f"m{n}") for n, text in enumerate(texts)])

        assert {text: found(store, _WRITINGS[text], limit=1) for text in texts} == {
            text: [f"m{n}"] for n, text in enumerate(texts)
        }

    def test_messages_and_queries_of_any_length_are_taken(self, store: Store) -> None:
        store.save_messages(
            [samples.message("t", nasty.LONG_TEXT, message_id="long"), samples.message("t", "", message_id="empty")]
        )
        store.save_messages([samples.message("other", f"needle {'hay ' * 1_000}", message_id="n")])

        assert found(store, "needle " + nasty.LONG_TEXT[:300_000], limit=1_000)
        assert found(store, "needle")[0] == "n"

    def test_a_turn_is_found_by_what_was_said_around_it_in_the_same_session(self, store: Store) -> None:
        day = timedelta(days=1)
        asked = samples.message("t", "which instrument", "alice", message_id="q", timestamp=samples.MOMENT)
        said = samples.message("t", "the violoncello", "alice", message_id="a", timestamp=samples.MOMENT)
        after = samples.message("t", "how lovely", "alice", message_id="c", timestamp=samples.MOMENT)
        other = samples.message("t", "goodbye", "bob", message_id="b", timestamp=samples.MOMENT)
        later = samples.message("t", "goodbye", "alice", message_id="later", timestamp=samples.MOMENT + day)
        store.save_messages([asked, said, other, after, later])

        assert found(store, "violoncello") == ["a", "c", "q"]

    def test_a_name_asks_who_spoke(self, store: Store) -> None:
        said = {"luna": "pancakes, bob, with blueberries", "bob": "pancakes with nothing else"}
        day = timedelta(days=1)
        store.save_messages(
            [
                samples.message("t", text, "alice", author_id=name, message_id=name, timestamp=samples.MOMENT + n * day)
                for n, (name, text) in enumerate(said.items())
            ]
        )

        assert found(store, "what did bob say about pancakes?") == ["bob", "luna"]
        assert found(store, "what did luna say about pancakes?") == ["luna", "bob"]

    def test_a_date_asks_when_it_was_said(self, store: Store) -> None:
        moments = {name: samples.MOMENT.replace(month=month, day=9) for name, month in (("spring", 5), ("fall", 10))}
        store.save_messages(
            [
                samples.message("t", f"pancakes for {name}", "alice", message_id=name, timestamp=moment)
                for name, moment in moments.items()
            ]
        )

        assert found(store, "who had pancakes in May?") == ["spring", "fall"]
        assert found(store, f"pancakes on {moments['fall']:%Y-%m-%d}") == ["fall", "spring"]

    def test_two_users_never_meet(self, store: Store) -> None:
        for n in range(6):
            user = ("alice", "bob")[n % 2]
            store.save_messages([samples.message("shared", f"secret plan {user}", user, message_id=f"m{n}")])

        hits = hits_of(store, "secret plan alice bob", user_id="alice", context=3)
        assert {hit.message.user_id for hit in hits} == {"alice"}
        assert {turn.user_id for hit in hits for turn in hit.context} == {"alice"}
        others = hits_of(store, "bob", user_id="alice")  # by meaning, alice's own may fit
        assert {(hit.message.user_id, hit.parts.get("text", 0.0)) for hit in others} <= {("alice", 0.0)}

    def test_another_namespace_is_neverfound(self, path: Path) -> None:
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            speak(one)

            assert found(two, "lighthouse") == []
            assert found(one, "lighthouse") != []

    def test_filters_hold_together_and_at_their_edges(self, store: Store) -> None:
        moments = [samples.MOMENT + timedelta(seconds=n) for n in range(4)]
        batch = [
            samples.message(
                "t", "zebra", "alice", author_id=("alice", "bot")[n % 2], message_id=f"m{n}", timestamp=moment
            )
            for n, moment in enumerate(moments)
        ]
        store.save_messages(batch)

        assert set(found(store, "zebra", since=moments[1])) == {"m1", "m2", "m3"}
        assert set(found(store, "zebra", until=moments[2])) == {"m0", "m1"}
        assert found(store, "zebra", since=moments[1], until=moments[2]) == ["m1"]
        assert set(found(store, "zebra", author_id="bot", since=moments[2])) == {"m3"}
        assert found(store, "zebra", author_id="nobody") == []
        assert found(store, "zebra", user_id="alice", conversation_id="elsewhere") == []
