"""Messages in memory: one look at every hook."""

from __future__ import annotations

import attrs

from whisper_persistence import Store
from whisper_persistence.records import ClearMark, MessageEdit, MessageRedaction, Revision

from .remembering import ALICE, TALK, answer, say, shown


def test_a_message_sent_twice_is_stored_once_and_uses_up_no_sequence(store: Store) -> None:
    receipts = store.save_messages([say("a"), attrs.evolve(say("a"), content="other"), say("b")])

    assert [(receipt.sequence, receipt.revision) for receipt in receipts] == [(1, 1), (1, 1), (2, 2)]
    assert store.load_revisions([TALK, ALICE]) == {TALK: Revision(revision=2, sequence=2)}
    assert [message.content for message in store.scan("messages", None, 9).records] == ["a", "b"]


def test_windows(store: Store) -> None:
    store.save_messages([say("q1"), answer("r1", "q1"), say("x", "bob"), say("q2"), answer("r2", "q2")])

    assert shown(store, limit=2) == ["q2", "r2"]
    assert shown(store, limit=1) == ["q2", "r2"]
    assert shown(store, limit=1, before=3) == ["q1", "r1"]
    assert shown(store, limit=1, after=1) == ["r1"]
    assert shown(store, limit=9, after=1, before=4) == ["r1", "x"]
    assert shown(store, user_id="bob") == ["x"]
    assert shown(store, limit=3, user_id="alice") == ["q1", "r1", "q2", "r2"]
    assert shown(store, user_id="nobody") == []
    assert shown(store, limit=2**63 - 1) == ["q1", "r1", "x", "q2", "r2"]


def test_a_question_that_is_cleared_of_another_user_or_later_is_not_taken_along(store: Store) -> None:
    store.save_messages(
        [say("q1"), answer("r1", "q1"), answer("early", "late"), say("late"), answer("r2", "late", "bob")]
    )

    assert shown(store, limit=1, before=4) == ["early"]
    assert shown(store, limit=1, user_id="bob") == ["r2"]
    store.update_messages([ClearMark("talk", through=1)])
    assert shown(store, limit=1, before=3) == ["r1"]


def test_edits_redactions_and_marks(store: Store) -> None:
    store.save_messages([say("a"), say("b"), say("c")])
    edit, mark = MessageEdit("talk", "b", "new words"), ClearMark("talk", through=1)
    receipts = store.update_messages(
        [edit, MessageEdit("talk", "gone", "x"), MessageRedaction("talk", "c"), mark, edit, mark]
    )

    assert [(receipt.sequence, receipt.revision) for receipt in receipts] == [
        (2, 4),
        (None, 4),
        (3, 5),
        (1, 6),
        (2, 6),
        (1, 6),
    ]
    assert [m.content for m in store.scan("messages", None, 9).records] == ["a", "new words", ""]
    assert shown(store) == shown(store, after=0) == ["b", "c"]
    assert store.update_messages([ClearMark("talk")])[0].sequence == 3
    assert shown(store) == []


def test_an_edit_of_an_unknown_message_leaves_no_trace(store: Store) -> None:
    edit = MessageEdit("talk", "a", "new words")
    unknown = store.update_messages([edit])[0]
    before = store.load_revisions([TALK])
    store.save_messages([say("a")])

    assert (unknown.sequence, unknown.revision, before) == (None, 0, {})
    assert store.update_messages([edit])[0].revision == 2
