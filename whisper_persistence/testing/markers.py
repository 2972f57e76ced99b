"""Markers that are planted through every public write, and found in any file of a folder.

A tier that keeps things in files shows by them that an erased user is gone from the bytes, too.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from whisper_persistence.operations.reading import canonical, read_pages
from whisper_persistence.records import (
    RECORD_KINDS,
    ClearMark,
    MemoryScore,
    Message,
    MessageEdit,
    MessageRedaction,
    Outcome,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
)
from whisper_persistence.store import Store

#: What every marker begins with.
MARK: Final = "ZXQmarker"
#: The user who is to be erased; the id is a marker too.
USER: Final = f"{MARK}-user"
#: A conversation of several people, whose other messages must stay.
SHARED: Final = "a channel of several"


def mark(name: str, size: int = 1) -> str:
    """Return a text that names a marker so many times."""
    return " ".join(f"{MARK}-{name}" for _ in range(size))


def plant(store: Store, user_id: str = USER, turns: int = 200) -> None:
    """Write a marker under every name and into every field of text that a caller may fill, by every write there is.

    Args:
        store: where to.
        user_id: whose it is.
        turns: how many turns the two conversations have, one of the user's own and one of several people.
    """
    _learn(store, user_id)
    _weigh(store, user_id)
    _talk(store, user_id, turns)
    _speak_up(store, user_id, turns)


def _learn(store: Store, user: str) -> None:
    said = {"user_response": mark("response"), "session_id": mark("session"), "lessons_learned": [mark("lesson")]}
    told: dict[str, Any] = {**said, "context": {mark("key"): mark("context")}, "extra": {mark("key"): mark("extra")}}
    outcomes = [
        Outcome(mark(f"i{n}"), mark("style"), 0.9, mark("type"), outcome_id=mark(f"o{n}"), **told) for n in range(60)
    ]
    learned: dict[str, Any] = {"effective_approaches": [mark("helps")], "approaches_to_avoid": [mark("avoid")]}
    wishes: dict[str, Any] = {
        "optimal_timing": {mark("when"): mark("then")},
        "user_preferences": {mark("a"): mark("b")},
    }
    history = [{mark("did"): mark("what")}]
    store.save_strategies([Strategy(user, mark("id"), mark("way"), **learned, **wishes, support_history=history)])
    store.update_strategies(
        [StrategyChange(user, outcomes, mark("way"), **learned, **wishes, change_id=mark("change"))]
    )


def _weigh(store: Store, user: str) -> None:
    for n in range(0, 200, 50):
        scores = [_score(user, n + m) for m in range(50)]
        store.update_statistics([StatisticsChange(user, scores, extra={mark("key"): mark("more")})])
    store.update_statistics([StatisticsChange(user, forgotten=[mark("m7")])])
    store.save_statistics([Statistics(user, factor_sums={mark("factor"): 1}, extra={mark("key"): mark("value")})])
    store.save_patterns([Pattern(user, mark("p1"), mark("type"), [mark("word")], extra={mark("key"): mark("value")})])
    store.update_patterns([PatternChange(user, mark("p2"), 0.5, 0.5, mark("type"), [mark("word")])])
    store.save_preferences([Preferences(user, {mark("wish"): mark("wished")}, extra={mark("key"): mark("value")})])
    store.update_preferences([PreferencesChange(user, {mark("other"): {"deep": [mark("wish")]}}, [mark("wish")])])


def _score(user: str, n: int) -> MemoryScore:
    words: dict[str, Any] = {"score_explanation": mark("because", n % 40), "boost_events": [mark("event")]}
    return MemoryScore(user, mark(f"m{n}"), 0.5, {mark("factor"): 0.5}, extra={mark("key"): mark("value")}, **words)


def _talk(store: Store, user: str, turns: int) -> None:
    talk, sizes = mark("talk"), random.Random(7)  # noqa: S311
    for n in range(turns):
        told: dict[str, Any] = {"author_name": mark("name"), "extra": {mark("key"): mark("value")}}
        store.save_messages(
            [Message(talk, user, user, mark("said", sizes.randrange(60)), message_id=mark(f"id{n}"), **told)]
        )
    store.update_messages([MessageEdit(talk, mark("id1"), mark("edited", 30))])
    store.update_messages([MessageRedaction(talk, mark("id2")), ClearMark(talk, through=9)])


def _speak_up(store: Store, user: str, turns: int) -> None:
    """Let the user take part in a conversation of several, where some messages are about them and some by them."""
    sizes = random.Random(8)  # noqa: S311
    for n in range(turns):
        text = mark("spoke", sizes.randrange(60))
        said = [
            Message(SHARED, user, user, text, message_id=mark(f"by {n}")),
            Message(SHARED, "bob", "bob", f"said {n} " * sizes.randrange(30), message_id=f"of bob {n}"),
            Message(SHARED, "bob", user, text, message_id=mark(f"to bob {n}")),
            Message(SHARED, user, "bot", text, "assistant", message_id=mark(f"bot {n}"), in_reply_to=mark(f"by {n}")),
        ]
        store.save_messages(said)


def contents(store: Store, user_id: str = USER) -> dict[str, list[bytes]]:
    """Return all that a store shows of everybody but one user."""
    return {
        kind: [
            canonical(record)
            for page in read_pages(store, kind)
            for record in page.records
            if user_id not in (record.user_id, getattr(record, "author_id", ""))
        ]
        for kind in RECORD_KINDS
    }


def find_markers(folders: Iterable[Path], text: str = MARK) -> dict[str, int]:
    """Return how often a marker stands in each file of these folders, as UTF-8 or UTF-16; files without are absent."""
    wanted = (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"))
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    counts = {str(file): sum(map(file.read_bytes().count, wanted)) for file in files}
    return {name: count for name, count in counts.items() if count}
