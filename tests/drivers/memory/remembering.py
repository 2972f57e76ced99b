"""A store in memory, what is written to it, and how it is read."""

from __future__ import annotations

from typing import Any

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    MemoryScore,
    Message,
    Outcome,
    Pattern,
    Preferences,
    Statistics,
    StatisticsChange,
    StrategyChange,
    Thing,
    Window,
)
from whisper_persistence.records.kinds import RecordKind

ALICE, TALK = Thing("user", "alice"), Thing("conversation", "talk")


def open_store() -> Store:
    return Store(Chain.build([DriverSpec("memory-fallback")]))


def say(message_id: str, user_id: str = "alice", **others: Any) -> Message:
    return Message("talk", user_id, others.pop("author_id", user_id), message_id, message_id=message_id, **others)


def answer(message_id: str, question: str, user_id: str = "alice") -> Message:
    return say(message_id, user_id, author_id="bot", role="assistant", in_reply_to=question)


def shown(store: Store, **window: Any) -> list[str]:
    asked = Window("talk", **window)
    return [message.message_id for message in store.load_messages([asked]).get(asked, ())]


def weigh(store: Store, *scores: tuple[str, float], **others: Any) -> Statistics:
    named = [MemoryScore("alice", memory_id, score) for memory_id, score in scores]
    store.update_statistics([StatisticsChange("alice", named, **others)])
    return store.load_statistics(["alice"])["alice"]


def pending(store: Store, follower: str = "index") -> list[tuple[str, str, str, int]]:
    rows = store.load_pending(follower, 1_000)
    return [(row.kind, row.thing_id, row.item, row.revision) for row in rows]


def fill(store: Store) -> None:
    for user_id in ("bob", "alice", "émile"):
        store.update_strategies([StrategyChange(user_id, [Outcome(f"i{n}", "gentle", 0.9) for n in range(3)])])
        scores = [MemoryScore(user_id, f"m{n}", 0.5) for n in range(3)]
        store.update_statistics([StatisticsChange(user_id, scores)])
        store.save_patterns([Pattern(user_id, f"p{n}") for n in (2, 0, 1)])
        store.save_preferences([Preferences(user_id)])
        store.save_messages([Message(c, user_id, user_id, "") for c in ("c2", "c1") for _ in range(2)])


TOTALS: dict[RecordKind, int] = {
    "strategies": 3,
    "outcomes": 9,
    "statistics": 3,
    "scores": 9,
    "patterns": 9,
    "preferences": 3,
    "messages": 12,
}
