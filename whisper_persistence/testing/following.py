"""Followers: what each has not seen, the newest state of it once."""

from __future__ import annotations

from pathlib import Path
from typing import Final, get_args

import attrs

from whisper_persistence.records import (
    ClearMark,
    Follower,
    MessageEdit,
    MessageRedaction,
    PatternChange,
    Pending,
    PreferencesChange,
    StatisticsChange,
    Strategy,
    StrategyChange,
)
from whisper_persistence.records.following import FollowedKind
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs

_ALL: Final[tuple[FollowedKind, ...]] = get_args(FollowedKind)


def _told(store: Store, name: str = "f") -> set[tuple[str, str, str]]:
    return {(pending.kind, pending.thing_id, pending.item) for pending in store.load_pending(name, 1_000)}


def _follow(store: Store, *kinds: FollowedKind, name: str = "f") -> bool:
    return store.register_follower(Follower(name, kinds or _ALL))


def _misses_erasure(store: Store, name: str = "f") -> bool | None:
    return store.chain.hook.misses_erasure(follower=name)


@needs("followers")
class FollowerConformance(Conformance):
    """What `load_pending` tells and `clear_pending` forgets."""

    def test_registering_again_is_no_news_and_replaces_the_kinds(self, store: Store) -> None:
        assert _follow(store, "outcomes") is True
        assert _follow(store, "strategies", "messages", "preferences") is False
        assert _follow(store, "outcomes", name="g") is True

        samples.fill(store, self.capabilities)

        assert {kind for kind, _, _ in _told(store)} <= {"strategies", "messages", "preferences"}
        assert _told(store)

    def test_a_follower_nobody_registered_is_told_nothing(self, store: Store) -> None:
        samples.fill(store, self.capabilities)

        assert store.load_pending("f", 10) == ()

    @needs("strategies")
    def test_a_strategy_and_its_outcomes_are_told(self, store: Store) -> None:
        _follow(store)
        (receipt,) = store.update_strategies([StrategyChange("alice", [samples.outcome(outcome_id="o1")])])

        assert {("strategies", "alice", ""), ("outcomes", "alice", "o1")} <= _told(store)
        assert {pending.revision for pending in store.load_pending("f", 10)} == {receipt.revision}

    @needs("statistics")
    def test_statistics_and_what_belongs_to_them_are_told(self, store: Store) -> None:
        _follow(store)
        store.update_statistics([StatisticsChange("alice", [samples.score("m1", 0.5)])])
        store.update_statistics([StatisticsChange("alice", forgotten=["m1"])])
        store.update_patterns([PatternChange("alice", "p1")])
        store.update_preferences([PreferencesChange("alice", {"a": 1})])

        assert _told(store) >= {
            ("statistics", "alice", ""),
            ("scores", "alice", "m1"),
            ("patterns", "alice", "p1"),
            ("preferences", "alice", ""),
        }

    @needs("conversations")
    def test_messages_edits_and_marks_are_told(self, store: Store) -> None:
        store.save_messages(samples.talk(3))
        _follow(store)
        store.save_messages([samples.message(message_id="new")])
        assert _told(store) == {("messages", "talk", "new"), ("conversations", "talk", "")}

        changes = MessageEdit("talk", "m0", "x"), MessageRedaction("talk", "m1"), ClearMark("talk")
        for change in changes:
            store.clear_pending(store.load_pending("f", 10))
            (receipt,) = store.update_messages([change])
            told = {pending.kind: pending for pending in store.load_pending("f", 10)}
            assert {kind: told[kind] for kind in ("conversations", "amendments")} == {
                kind: Pending("f", kind, "talk", "", receipt.revision) for kind in ("conversations", "amendments")
            }
            assert isinstance(change, ClearMark) or told["messages"].item == change.message_id

    @needs("strategies")
    def test_many_changes_of_one_thing_are_told_once_with_the_newest_revision(self, store: Store) -> None:
        _follow(store, "strategies")
        newest = [store.save_strategies([Strategy("alice", f"{n}")])[0].revision for n in range(5)][-1]

        assert store.load_pending("f", 10) == (Pending("f", "strategies", "alice", "", newest),)

    @needs("strategies")
    def test_clearing_stops_at_the_revision_that_was_seen(self, store: Store) -> None:
        _follow(store, "strategies")
        store.save_strategies([Strategy("alice", "a"), Strategy("bob", "a")])
        seen = store.load_pending("f", 10)
        store.save_strategies([Strategy("alice", "b")])

        assert store.clear_pending(seen) == 1
        assert [pending.thing_id for pending in store.load_pending("f", 10)] == ["alice"]
        assert store.clear_pending(store.load_pending("f", 10)) == 1
        assert store.clear_pending(seen) == 0
        assert store.load_pending("f", 10) == ()

    @needs("strategies")
    def test_followers_clear_each_their_own(self, store: Store) -> None:
        _follow(store, "strategies")
        _follow(store, "strategies", name="g")
        store.save_strategies([Strategy("alice", "a")])
        store.clear_pending(store.load_pending("f", 10))

        assert (len(store.load_pending("f", 10)), len(store.load_pending("g", 10))) == (0, 1)

    @needs("strategies")
    def test_at_most_the_limit_is_told_and_the_rest_later(self, store: Store) -> None:
        _follow(store, "strategies")
        store.save_strategies([Strategy(f"u{n}", "s") for n in range(10)])
        seen: list[str] = []
        while pending := store.load_pending("f", 3):
            assert len(pending) <= 3
            seen += [each.thing_id for each in pending]
            store.clear_pending(pending)

        assert sorted(seen) == [f"u{n}" for n in range(10)]

    @needs("strategies")
    def test_what_changes_nothing_is_not_told(self, store: Store) -> None:
        change = StrategyChange("alice", [samples.outcome()])
        store.update_strategies([change])
        _follow(store)
        store.update_strategies([change])

        assert store.load_pending("f", 10) == ()

    @needs("strategies", "erase")
    def test_an_erase_is_told(self, store: Store) -> None:
        samples.fill(store, self.capabilities)
        _follow(store)
        store.erase_users(["alice"])
        told = _told(store)

        assert ("strategies", "alice", "") in told
        assert ("outcomes", "alice", "o1") in told
        if "conversations" in self.capabilities:
            assert {("messages", "talk", "m0"), ("conversations", "talk", ""), ("amendments", "talk", "")} <= told

    @needs("strategies")
    def test_clearing_another_follower_or_item_clears_nothing(self, store: Store) -> None:
        _follow(store, "strategies")
        store.save_strategies([Strategy("alice", "a")])
        (pending,) = store.load_pending("f", 10)
        others = [
            attrs.evolve(pending, follower="g"),
            attrs.evolve(pending, kind="outcomes"),
            attrs.evolve(pending, thing_id="alic"),
            attrs.evolve(pending, item="x"),
            attrs.evolve(pending, revision=0),
        ]

        assert store.clear_pending(others) == 0
        assert store.load_pending("f", 10) == (pending,)

    @needs("strategies", "erase", "processes")
    def test_an_erase_is_missed_until_the_last_of_its_work_is_cleared(self, store: Store) -> None:
        _follow(store)
        samples.fill(store, self.capabilities)
        samples.fill(store, self.capabilities, "bob", "talk of bob")
        before = store.load_pending("f", 1_000)
        assert not _misses_erasure(store)

        store.erase_users(["alice"])
        store.clear_pending(before)
        assert _misses_erasure(store)
        *first, last = store.load_pending("f", 1_000)
        store.clear_pending(first)
        assert _misses_erasure(store)
        store.clear_pending([last])
        assert not _misses_erasure(store)

    @needs("strategies", "erase", "processes")
    def test_an_erase_is_missed_by_those_alone_who_follow_what_went(self, store: Store, path: Path) -> None:
        _follow(store, "strategies")
        _follow(store, "patterns", name="g")
        store.save_strategies([Strategy("alice", "a"), Strategy("bob", "a")])
        store.erase_users(["alice"])
        store.save_strategies([Strategy("bob", "b")])
        missing = [name for name in ("f", "g", "never seen") if _misses_erasure(store, name)]

        assert missing == ["f"]
        with self.open_store(path, "another") as other:
            _follow(other)
            assert not _misses_erasure(other)
