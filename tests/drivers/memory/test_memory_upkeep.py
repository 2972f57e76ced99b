"""Followers, scans and erases in memory: one look at every hook."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from whisper_persistence import Store, ValidationError
from whisper_persistence.records import (
    ClearMark,
    Follower,
    MemoryScore,
    Message,
    Outcome,
    Pattern,
    Pending,
    Preferences,
    Revision,
    StatisticsChange,
    StrategyChange,
    Thing,
)
from whisper_persistence.records.following import FollowedKind

from .remembering import ALICE, TOTALS, fill, pending, say


def test_followers_are_told_of_the_kinds_they_asked_for(store: Store) -> None:
    kinds: Any = get_args(FollowedKind)
    assert store.register_follower(Follower("index", kinds)) is True
    store.register_follower(Follower("talks", ["messages"]))
    outcome = Outcome("i", "gentle", 0.9, outcome_id="o")
    store.update_strategies([StrategyChange("alice", [outcome])])
    store.update_statistics([StatisticsChange("alice", [MemoryScore("alice", "m", 0.5)], forgotten=["n"])])
    store.save_patterns([Pattern("alice", "p")])
    store.save_preferences([Preferences("alice")])
    store.save_messages([say("a"), say("a")])

    assert pending(store, "talks") == [("messages", "talk", "a", 1)]
    assert pending(store) == [
        ("conversations", "talk", "", 1),
        ("messages", "talk", "a", 1),
        ("outcomes", "alice", "o", 1),
        ("strategies", "alice", "", 1),
        ("scores", "alice", "m", 2),
        ("scores", "alice", "n", 2),
        ("statistics", "alice", "", 2),
        ("patterns", "alice", "p", 3),
        ("preferences", "alice", "", 4),
    ]


def test_pending_work_is_cleared_up_to_a_revision(store: Store) -> None:
    store.register_follower(Follower("index", ["preferences", "messages"]))
    store.save_preferences([Preferences("alice")])
    seen = store.load_pending("index", 1)
    store.save_preferences([Preferences("alice")])

    assert store.clear_pending([*seen, Pending("nobody", "messages", "talk", "a", 9)]) == 0
    assert store.clear_pending(store.load_pending("index", 9)) == 1
    assert pending(store) == []
    assert store.register_follower(Follower("index", ["messages"])) is False
    store.save_preferences([Preferences("alice")])
    assert pending(store) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_scan_returns_everything_once_in_order(store: Store, limit: int) -> None:
    fill(store)
    store.update_messages([ClearMark("c1")])
    for kind, total in TOTALS.items():
        pages = [store.scan(kind, None, limit)]
        while pages[-1].cursor is not None:
            pages.append(store.scan(kind, pages[-1].cursor, limit))
        records = [record for page in pages for record in page.records]
        keys = [_scan_key(record) for record in records]

        assert keys == sorted(set(keys))
        assert (len(records), len(pages)) == (total, -(-total // limit))


def _scan_key(record: Any) -> tuple[str, Any]:
    thing = record.conversation_id if isinstance(record, Message) else record.user_id
    return thing, getattr(record, "sequence", None) or getattr(record, "pattern_id", "")


def test_scan_asks_below_for_other_kinds_and_refuses_a_foreign_cursor(store: Store) -> None:
    fill(store)
    cursor = store.scan("patterns", None, 1).cursor

    assert store.chain.hook.scan(kind="vectors", cursor=None, limit=1) is None
    with pytest.raises(ValidationError, match="messages"):
        store.scan("messages", cursor, 1)


def test_erase_forgets_a_user_everywhere_but_keeps_counting(store: Store) -> None:
    fill(store)
    change = StrategyChange("alice", communication_style="gentle")
    store.update_strategies([change])
    asked = Message("c1", "bob", "alice", "asked for bob", message_id="asked")
    quoted = Message("c1", "bob", "alice", "by a tool", role="tool", message_id="quoted")
    store.save_messages([asked, quoted])
    store.register_follower(Follower("index", ["messages", "conversations", "patterns"]))
    before = store.load_revisions([ALICE, Thing("conversation", "c1")])
    report = store.erase_users(["alice", "unheard", "alice"])
    after = store.load_revisions([ALICE, Thing("user", "unheard"), Thing("conversation", "c1")])

    assert report[0].tier == "memory-fallback"
    assert report[0].counts == {
        "strategies": 1,
        "outcomes": 3,
        "statistics": 1,
        "scores": 3,
        "patterns": 3,
        "preferences": 1,
        "messages": 5,
    }
    assert all(record.user_id != "alice" for kind in TOTALS for record in store.scan(kind, None, 100).records)
    assert after[ALICE] == Revision(before[ALICE].revision + 1, 1, before[ALICE].sequence)
    assert after[Thing("user", "unheard")] == Revision(1, 1, 0)
    assert after[Thing("conversation", "c1")].revision == before[Thing("conversation", "c1")].revision + 1
    assert len(pending(store)) == 3 + 5 + 2
    assert "quoted" in [message.message_id for message in store.scan("messages", None, 100).records]
    assert store.update_strategies([change])[0] == store.update_strategies([change])[0]
    assert not store.load_strategies(["alice"])
    assert store.save_messages([Message("c1", "alice", "alice", "back")])[0].sequence == 9
