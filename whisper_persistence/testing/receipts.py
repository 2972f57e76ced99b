"""Receipts: each write says which revision it led to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from whisper_persistence.records import (
    ClearMark,
    Durability,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Receipt,
    Revision,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
    Thing,
)
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs

Write = Callable[[Sequence[Any]], Sequence[Receipt]]


def _revisions(receipts: Sequence[Receipt]) -> list[int]:
    return [receipt.revision for receipt in receipts]


def _check_growth(
    save: Write, record: Callable[..., Any], update: Write, change: Callable[..., Any], *own: str
) -> None:
    """Demand that three saves and three changes of two users, and a replay, are counted one by one."""
    users = ("alice", "bob", "alice")
    changes = [change(user, *own) for user in users]
    second = ("s",) if record is Strategy else own
    saved = save([record(user, *second) for user in users])

    assert _revisions(saved) == [1, 1, 2]
    assert _revisions(update(changes)) == [3, 2, 4]
    assert _revisions(update([*changes, change("alice", *own)])) == [4, 2, 4, 5]
    assert all(type(r.durability) is Durability and r.epoch == 0 and r.sequence is None for r in saved)


class ReceiptConformance(Conformance):
    """What every write answers."""

    @needs("strategies")
    def test_every_write_of_a_strategy_raises_the_revision(self, store: Store) -> None:
        _check_growth(store.save_strategies, Strategy, store.update_strategies, StrategyChange)

    @needs("statistics")
    def test_every_write_of_statistics_raises_the_revision(self, store: Store) -> None:
        _check_growth(store.save_statistics, Statistics, store.update_statistics, StatisticsChange)

    @needs("statistics")
    def test_every_write_of_a_pattern_raises_the_revision(self, store: Store) -> None:
        _check_growth(store.save_patterns, Pattern, store.update_patterns, PatternChange, "p")

    @needs("statistics")
    def test_every_write_of_preferences_raises_the_revision(self, store: Store) -> None:
        _check_growth(store.save_preferences, Preferences, store.update_preferences, PreferencesChange)

    @needs("strategies", "statistics")
    def test_the_kinds_of_one_user_share_one_revision(self, store: Store) -> None:
        receipts = [
            *store.save_strategies([Strategy("alice", "s")]),
            *store.update_patterns([PatternChange("alice", "p")]),
            *store.update_statistics([StatisticsChange("alice")]),
            *store.save_preferences([Preferences("alice")]),
        ]

        assert _revisions(receipts) == [1, 2, 3, 4]

    @needs("conversations")
    def test_every_message_raises_its_conversations_revision(self, store: Store) -> None:
        batch = [samples.message(talk, message_id=f"m{n}") for n, talk in enumerate("aabab")]
        first = store.save_messages(batch)
        again = store.save_messages([*batch, samples.message("b", message_id="new")])

        assert _revisions(first) == [1, 2, 1, 3, 2]
        assert _revisions(again) == [3, 3, 2, 3, 2, 3]
        assert all(type(r.durability) is Durability and r.epoch == 0 for r in first)

    @needs("conversations")
    def test_a_receipt_that_says_whether_a_message_was_there_is_right(self, store: Store) -> None:
        batch = samples.talk(3)
        said = [receipt.repeated for receipt in store.save_messages([*batch[:2], batch[0]])]
        again = [receipt.repeated for receipt in store.save_messages(batch)]

        assert said in ([False, False, True], [None] * 3)
        assert again in ([True, True, False], [None] * 3)

    @needs("conversations")
    def test_every_edit_redaction_and_mark_raises_the_revision(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        changes: list[MessageChange] = [
            MessageEdit("talk", "m0", "x"),
            MessageRedaction("talk", "m1"),
            ClearMark("talk"),
        ]

        assert _revisions(store.update_messages(changes)) == [3, 4, 5]
        assert _revisions(store.update_messages(changes)) == [5, 5, 5]

    @needs("statistics")
    def test_the_scores_of_a_user_have_growing_sequences(self, store: Store) -> None:
        for n in range(3):
            store.update_statistics([StatisticsChange("alice", [samples.score(f"{n}{k}", 0.5) for k in range(3)])])
        found = samples.read(store, frozenset({"statistics"}))["recent scores"]
        sequences = [score.sequence for score in found]

        assert sequences == sorted(set(sequences), reverse=True)
        assert len(sequences) == 9

    @needs("strategies", "revisions")
    def test_load_revisions_tells_what_the_newest_receipt_of_a_user_told(self, store: Store) -> None:
        store.save_strategies([Strategy("alice", "s"), Strategy("u_1", "s"), Strategy("alice", "t")])
        found = store.load_revisions([Thing("user", "alice"), Thing("user", "u"), Thing("conversation", "alice")])

        assert {thing: (r.revision, r.epoch) for thing, r in found.items()} == {Thing("user", "alice"): (2, 0)}

    @needs("conversations", "revisions")
    def test_load_revisions_tells_what_the_newest_receipt_of_a_conversation_told(self, store: Store) -> None:
        store.save_messages(samples.talk(3))
        store.update_messages([MessageEdit("talk", "m1", "x")])

        assert store.load_revisions([Thing("conversation", "talk"), Thing("user", "talk")]) == {
            Thing("conversation", "talk"): Revision(4, 0, 3)
        }

    @needs("conversations", "revisions")
    def test_a_change_of_what_is_not_there_leaves_no_revision(self, store: Store) -> None:
        changes: list[MessageChange] = [MessageEdit("talk", "m0", "x"), MessageRedaction("talk", "m0")]

        assert _revisions(store.update_messages(changes)) == [0, 0]
        assert store.load_revisions([Thing("conversation", "talk")]) == {}
