"""Conversations: every message once, whole, in the order it came."""

from __future__ import annotations

from collections.abc import Sequence

from whisper_persistence.records import Message, Window
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs


def shown(store: Store, window: Window) -> list[Message]:
    """Return what one window shows, which may be nothing."""
    return list(store.load_messages([window]).get(window, ()))


def ids(messages: Sequence[Message]) -> list[str]:
    """Return the messages' ids."""
    return [message.message_id for message in messages]


def everything(store: Store, conversation_id: str = "talk") -> list[Message]:
    """Return a whole conversation."""
    return shown(store, Window(conversation_id, 10_000))


@needs("conversations")
class ConversationConformance(Conformance):
    """What `save_messages` appends."""

    def test_a_message_comes_back_in_every_field(self, store: Store) -> None:
        saved = [samples.full_message(message_id=message_id) for message_id in nasty.IDS]
        store.save_messages(saved)

        assert samples.same(everything(store), saved)

    def test_every_role_and_the_defaults_come_back(self, store: Store) -> None:
        saved = [samples.message(role=role) for role in ("user", "assistant", "system", "tool")]
        store.save_messages(saved)

        assert samples.same(everything(store), saved)

    def test_the_texts_of_messages_stay_exact(self, store: Store) -> None:
        saved = [samples.message(content=text) for text in nasty.TEXTS]
        store.save_messages(saved)

        assert samples.same(everything(store), saved)

    def test_a_message_of_the_greatest_length_is_kept_whole(self, store: Store) -> None:
        saved = samples.message(content=nasty.LONG_TEXT, extra=nasty.LARGE_JSON)
        store.save_messages([saved])

        assert samples.same(everything(store), [saved])

    def test_conversations_that_look_alike_are_different(self, store: Store) -> None:
        saved = {talk: samples.message(talk, f"of {n}", message_id="m") for n, talk in enumerate(nasty.IDS)}
        store.save_messages(list(saved.values()))

        assert all(samples.same(everything(store, talk), [saved[talk]]) for talk in saved)

    def test_sequences_start_at_one_and_follow_the_batch(self, store: Store) -> None:
        receipts = [*store.save_messages(samples.talk(3)), *store.save_messages([samples.message()])]

        assert [receipt.sequence for receipt in receipts] == [1, 2, 3, 4]
        assert [message.sequence for message in everything(store)] == [1, 2, 3, 4]

    def test_two_conversations_in_one_batch_are_counted_apart(self, store: Store) -> None:
        batch = [samples.message(talk, message_id=f"m{n}") for n in range(4) for talk in ("a", "b")]
        receipts = store.save_messages(batch)

        assert [receipt.sequence for receipt in receipts] == [1, 1, 2, 2, 3, 3, 4, 4]
        assert ids(everything(store, "a")) == ids(everything(store, "b")) == ["m0", "m1", "m2", "m3"]

    def test_the_clock_changes_nothing(self, store: Store) -> None:
        moments = [samples.MOMENT, samples.MOMENT, *reversed(samples.EDGES), samples.MOMENT]
        saved = [samples.message(message_id=f"{9 - n}", timestamp=moment) for n, moment in enumerate(moments)]
        for message in saved[:3]:
            store.save_messages([message])
        store.save_messages(saved[3:])

        assert samples.same(everything(store), saved)
        assert ids(shown(store, Window("talk", 2))) == ids(saved[-2:])

    def test_a_message_sent_again_is_stored_once(self, store: Store) -> None:
        first = store.save_messages(samples.talk(3))
        again = store.save_messages(samples.talk(4))

        assert [r.sequence for r in again[:3]] == [r.sequence for r in first]
        assert ids(everything(store)) == ["m0", "m1", "m2", "m3"]

    def test_a_message_sent_again_changes_nothing(self, store: Store) -> None:
        store.save_messages([samples.full_message()])
        store.save_messages([samples.message(content="other words", message_id="m1", user_id="mallory")])

        assert samples.same(everything(store), [samples.full_message()])

    def test_a_message_twice_in_one_batch_is_stored_once(self, store: Store) -> None:
        batch = [samples.message(content=f"{n}", message_id=f"m{n % 3}") for n in range(9)]
        receipts = store.save_messages(batch)

        assert [message.content for message in everything(store)] == ["0", "1", "2"]
        assert [r.sequence for r in receipts] == [r.sequence for r in receipts[:3]] * 3

    def test_conversations_may_share_message_ids(self, store: Store) -> None:
        store.save_messages([samples.message(talk, talk, message_id="m") for talk in ("a", "b", "a:m")])

        assert [everything(store, talk)[0].content for talk in ("a", "b", "a:m")] == ["a", "b", "a:m"]

    def test_a_thousand_at_once_keep_their_order(self, store: Store) -> None:
        receipts = store.save_messages(samples.talk(1_000))

        assert ids(everything(store)) == [f"m{n}" for n in range(1_000)]
        assert [r.sequence for r in receipts] == list(range(1, 1_001))

    def test_two_hundred_sent_one_by_one_are_all_kept(self, store: Store) -> None:
        for message in samples.talk(201):
            store.save_messages([message])

        assert ids(everything(store)) == [f"m{n}" for n in range(201)]

    def test_what_is_stored_is_there_at_every_read(self, store: Store) -> None:
        store.save_messages(samples.talk(2))

        assert [ids(everything(store)) for _ in range(50)] == [["m0", "m1"]] * 50
