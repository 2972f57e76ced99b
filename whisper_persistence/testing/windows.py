"""Windows: which part of a conversation is read."""

from __future__ import annotations

from whisper_persistence.records import ClearMark, Window
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything, ids, shown


def _two_people(store: Store) -> None:
    store.save_messages([samples.message(message_id=f"{user}{n}", user_id=user) for n in range(6) for user in "ab"])


def _asked_and_answered(store: Store, between: int = 0) -> None:
    """Append a question, some messages, its answer and one more message."""
    store.save_messages(
        [
            *samples.talk(3),
            samples.message(message_id="question"),
            *[samples.message(message_id=f"between{n}", user_id="bob") for n in range(between)],
            samples.message(message_id="answer", author_id="bot", role="assistant", in_reply_to="question"),
            samples.message(message_id="last"),
        ]
    )


@needs("conversations")
class WindowConformance(Conformance):
    """What `load_messages` shows."""

    def test_the_newest_come_oldest_first(self, store: Store) -> None:
        store.save_messages(samples.talk(30))

        assert ids(shown(store, Window("talk"))) == [f"m{n}" for n in range(10, 30)]
        assert ids(shown(store, Window("talk", 1))) == ["m29"]
        assert ids(shown(store, Window("talk", 2**40))) == [f"m{n}" for n in range(30)]

    def test_before_shows_the_newest_that_precede(self, store: Store) -> None:
        store.save_messages(samples.talk(10))
        found = everything(store)

        assert ids(shown(store, Window("talk", 3, before=found[5].sequence))) == ["m2", "m3", "m4"]
        assert shown(store, Window("talk", 3, before=found[0].sequence)) == []
        assert ids(shown(store, Window("talk", 2, before=2**62))) == ["m8", "m9"]

    def test_after_shows_the_oldest_that_follow(self, store: Store) -> None:
        store.save_messages(samples.talk(10))
        found = everything(store)

        assert ids(shown(store, Window("talk", 3, after=found[5].sequence))) == ["m6", "m7", "m8"]
        assert ids(shown(store, Window("talk", 3, after=0))) == ["m0", "m1", "m2"]
        assert shown(store, Window("talk", 3, after=found[9].sequence)) == []

    def test_one_message_is_found_by_its_id(self, store: Store) -> None:
        _asked_and_answered(store)
        store.save_messages(samples.talk(2, "other", "bob"))
        found = {message.message_id: message for message in everything(store)}
        place = found["m1"].sequence

        assert ids(shown(store, Window("talk", message_id="m1"))) == ["m1"]
        assert ids(shown(store, Window("talk", 1, message_id="answer"))) == ["answer"]
        assert shown(store, Window("talk", message_id="nobody's")) == []
        assert shown(store, Window("talk", message_id="m1", user_id="bob")) == []
        assert ids(shown(store, Window("other", message_id="m1", user_id="bob"))) == ["m1"]
        assert shown(store, Window("talk", message_id="m1", before=place)) == []
        assert shown(store, Window("talk", message_id="m1", after=place)) == []

        store.update_messages([ClearMark("talk", place)])

        assert shown(store, Window("talk", message_id="m1")) == []
        assert ids(shown(store, Window("talk", message_id="m2"))) == ["m2"]

    def test_before_and_after_together_show_what_lies_between(self, store: Store) -> None:
        store.save_messages(samples.talk(10))
        found = everything(store)
        between = Window("talk", 3, before=found[8].sequence, after=found[3].sequence)

        assert ids(shown(store, between)) == ["m4", "m5", "m6"]

    def test_pages_backwards_and_forwards_see_each_message_once(self, store: Store) -> None:
        store.save_messages(samples.talk(25))
        back = page = shown(store, Window("talk", 4))
        while page := shown(store, Window("talk", 4, before=page[0].sequence)):
            back = page + back
        forth = page = shown(store, Window("talk", 4, after=0))
        while page := shown(store, Window("talk", 4, after=page[-1].sequence)):
            forth = forth + page

        assert ids(back) == ids(forth) == [f"m{n}" for n in range(25)]

    def test_a_user_sees_what_concerns_them(self, store: Store) -> None:
        _two_people(store)
        before = everything(store)[9].sequence

        assert ids(shown(store, Window("talk", 3, user_id="a"))) == ["a3", "a4", "a5"]
        assert ids(shown(store, Window("talk", 2, before=before, user_id="a"))) == ["a3", "a4"]
        assert ids(shown(store, Window("talk", 2, after=before, user_id="b"))) == ["b5"]
        assert shown(store, Window("talk", user_id="A")) == []

    def test_windows_of_one_call_are_answered_each(self, store: Store) -> None:
        store.save_messages([*samples.talk(3), *samples.talk(2, "other")])
        windows = [Window("talk", 1), Window("talk", 2), Window("other"), Window("none"), Window("talk", user_id="x")]
        found = store.load_messages(windows)

        assert {window: ids(messages) for window, messages in found.items()} == {
            windows[0]: ["m2"],
            windows[1]: ["m1", "m2"],
            windows[2]: ["m0", "m1"],
        }

    def test_a_reply_takes_its_question_along(self, store: Store) -> None:
        _asked_and_answered(store)

        assert ids(shown(store, Window("talk", 2))) == ["question", "answer", "last"]
        assert ids(shown(store, Window("talk", 3))) == ["question", "answer", "last"]

    def test_a_reply_takes_a_question_from_further_back(self, store: Store) -> None:
        _asked_and_answered(store, between=5)

        assert ids(shown(store, Window("talk", 2))) == ["question", "answer", "last"]
        assert ids(shown(store, Window("talk", 3))) == ["between4", "answer", "last"]

    def test_a_question_is_taken_along_in_an_older_page(self, store: Store) -> None:
        _asked_and_answered(store)
        last = everything(store)[-1].sequence

        assert ids(shown(store, Window("talk", 1, before=last))) == ["question", "answer"]

    def test_a_window_after_takes_no_question_along(self, store: Store) -> None:
        _asked_and_answered(store)
        question = everything(store)[3].sequence

        assert ids(shown(store, Window("talk", 5, after=question))) == ["answer", "last"]

    def test_a_question_that_the_window_does_not_let_through_stays_away(self, store: Store) -> None:
        store.save_messages(
            [
                samples.message(message_id="of bob", user_id="bob"),
                samples.message(message_id="answer", in_reply_to="of bob"),
                samples.message(message_id="itself", in_reply_to="itself"),
                samples.message(message_id="dangling", in_reply_to="never stored"),
            ]
        )

        assert ids(shown(store, Window("talk", 3, user_id="alice"))) == ["answer", "itself", "dangling"]
        assert ids(shown(store, Window("talk", 2))) == ["itself", "dangling"]
        assert ids(shown(store, Window("talk", 1))) == ["dangling"]

    def test_a_cleared_question_stays_away(self, store: Store) -> None:
        _asked_and_answered(store)
        store.update_messages([ClearMark("talk", everything(store)[3].sequence)])

        assert ids(shown(store, Window("talk", 2))) == ["answer", "last"]

    def test_a_question_in_another_conversation_stays_away(self, store: Store) -> None:
        store.save_messages([samples.message("other", message_id="q"), samples.message("talk", in_reply_to="q")])

        assert len(shown(store, Window("talk", 1))) == 1
