"""Edits, redactions and clear marks."""

from __future__ import annotations

from whisper_persistence.records import ClearMark, MessageChange, MessageEdit, MessageRedaction, Window
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything, ids, shown


@needs("conversations")
class EditConformance(Conformance):
    """What `update_messages` changes."""

    def test_an_edit_changes_the_words_and_nothing_else(self, store: Store) -> None:
        store.save_messages([samples.full_message(), *samples.talk(1)])
        edit = MessageEdit("talk", "m1", nasty.LONG_TEXT, samples.MOMENT)
        (receipt,) = store.update_messages([edit])

        assert receipt.sequence == 1
        assert samples.same(everything(store), [edit.apply_to(samples.full_message()), everything(store)[1]])
        assert [message.sequence for message in everything(store)] == [1, 2]

    def test_a_redaction_leaves_no_words(self, store: Store) -> None:
        store.save_messages([samples.full_message(), *samples.talk(1)])
        redaction = MessageRedaction("talk", "m1", samples.MOMENT)
        (receipt,) = store.update_messages([redaction])

        assert receipt.sequence == 1
        assert samples.same(everything(store)[:1], [redaction.apply_to(samples.full_message())])
        assert everything(store)[0].content == ""

    def test_source_and_trust_stay_with_the_words_and_the_source_goes_with_them(self, store: Store) -> None:
        levels = ("unknown", "untrusted", "trusted")
        saved = [samples.message(message_id=trust, source=f"tool:{trust}", trust=trust) for trust in levels]
        store.save_messages([*saved, samples.message(message_id="told nothing")])
        store.update_messages([MessageEdit("talk", "untrusted", "new words")])
        told = [(message.source, message.trust) for message in everything(store)]

        assert told == [*((f"tool:{trust}", trust) for trust in levels), ("", "unknown")]

        store.update_messages([MessageRedaction("talk", trust) for trust in levels])

        assert [(message.source, message.trust) for message in everything(store)[:3]] == [("", t) for t in levels]

    def test_a_redacted_message_gets_no_words_again(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        store.update_messages([MessageRedaction("talk", "m0"), MessageEdit("talk", "m0", "late")])
        store.update_messages([MessageEdit("talk", "m0", "later"), MessageEdit("talk", "m1", "new")])

        assert [message.content for message in everything(store)] == ["", "new"]

    def test_an_edit_of_a_message_that_is_not_there_changes_nothing(self, store: Store) -> None:
        before = store.save_messages(samples.talk(1))[0]
        changes: list[MessageChange] = [
            MessageEdit("talk", "M0", "x"),
            MessageRedaction("talk", "m1"),
            MessageEdit("talk ", "m0", "x"),
        ]
        receipts = store.update_messages(changes)

        assert [receipt.sequence for receipt in receipts] == [None, None, None]
        assert receipts[0].revision == receipts[1].revision == before.revision
        assert samples.same(everything(store), everything(store)[:1])
        assert everything(store)[0].content == "words 0"
        assert everything(store, "talk ") == []

    def test_edits_of_one_batch_fold_in_order(self, store: Store) -> None:
        store.save_messages([*samples.talk(2), *samples.talk(2, "other")])
        store.update_messages(
            [
                MessageEdit("talk", "m0", "first"),
                MessageRedaction("other", "m0"),
                MessageEdit("talk", "m0", "second"),
                MessageEdit("talk", "m1", "words"),
                MessageRedaction("talk", "m1"),
            ]
        )

        assert [message.content for message in everything(store)] == ["second", ""]
        assert [message.content for message in everything(store, "other")] == ["", "words 1"]

    def test_an_edit_applied_twice_counts_once(self, store: Store) -> None:
        store.save_messages(samples.talk(1))
        edit, later = MessageEdit("talk", "m0", "first"), MessageEdit("talk", "m0", "second")
        first, again, _ = store.update_messages([edit, edit, later])
        (replayed,) = store.update_messages([edit])

        assert everything(store)[0].content == "second"
        assert first.revision == again.revision
        assert (again.sequence, replayed.sequence) == (1, 1)

    def test_a_message_sent_again_after_an_edit_keeps_the_edit(self, store: Store) -> None:
        store.save_messages(samples.talk(1))
        store.update_messages([MessageRedaction("talk", "m0")])
        store.save_messages(samples.talk(1))

        assert [message.content for message in everything(store)] == [""]

    def test_a_cleared_conversation_shows_only_what_comes_later(self, store: Store) -> None:
        store.save_messages([*samples.talk(3), *samples.talk(1, "other")])
        (receipt,) = store.update_messages([ClearMark("talk")])

        assert receipt.sequence == 3
        assert everything(store) == []
        assert shown(store, Window("talk", after=1)) == shown(store, Window("talk", before=3)) == []
        assert len(everything(store, "other")) == 1

        (later,) = store.save_messages([samples.message(message_id="new")])

        assert later.sequence == 4
        assert ids(everything(store)) == ids(shown(store, Window("talk", after=0))) == ["new"]

    def test_a_cleared_message_sent_again_stays_cleared(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        store.update_messages([ClearMark("talk")])
        receipts = store.save_messages(samples.talk(2))

        assert [receipt.sequence for receipt in receipts] == [1, 2]
        assert everything(store) == []

    def test_a_mark_may_stop_in_the_middle_and_only_grows(self, store: Store) -> None:
        store.save_messages(samples.talk(6))
        sequences = [message.sequence for message in everything(store)]
        marks = [ClearMark("talk", sequences[3]), ClearMark("talk", sequences[1]), ClearMark("talk", 0)]
        receipts = store.update_messages(marks)

        assert [receipt.sequence for receipt in receipts] == [sequences[3]] * 3
        assert ids(everything(store)) == ["m4", "m5"]

    def test_a_mark_never_reaches_into_the_future(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        (receipt,) = store.update_messages([ClearMark("talk", through=2**62)])
        store.save_messages([samples.message(message_id="new")])

        assert receipt.sequence == 2
        assert ids(everything(store)) == ["new"]

    def test_a_mark_applied_twice_clears_no_more(self, store: Store) -> None:
        mark = ClearMark("talk")
        store.save_messages(samples.talk(2))
        store.update_messages([mark])
        store.save_messages([samples.message(message_id="new")])
        (receipt,) = store.update_messages([mark])

        assert ids(everything(store)) == ["new"]
        assert receipt.sequence == 2
