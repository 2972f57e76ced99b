"""Markers that are planted through every public write, and found in any file of a folder.

A tier that keeps things in files shows by them that an erased user is gone from the bytes, too.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
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
#: What every marker begins with that stands where people's words do, not in an id, which drivers find records by.
SECRET: Final = f"{MARK}-in-words"
#: The user who is to be erased; the id is a marker too.
USER: Final = f"{MARK}-user"
#: A conversation of several people, whose other messages must stay.
SHARED: Final = "a channel of several"


def mark(name: str, size: int = 1) -> str:
    """Return a text that names a marker so many times: an id, or what it is found by."""
    return " ".join([f"{MARK}-{name}"] * size)


def secret(name: str, size: int = 1) -> str:
    """Return a text that names a marker so many times: something that somebody said or is known by."""
    return " ".join([f"{SECRET}-{name}"] * size)


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
    said = {"user_response": secret("response"), "session_id": mark("session"), "lessons_learned": [secret("lesson")]}
    words: dict[str, Any] = {**said, "context": {secret("key"): secret("context")}, "extra": _extra("outcome")}
    outcomes = [
        Outcome(mark(f"i{n}"), secret("style"), 0.9, secret("type"), outcome_id=mark(f"o{n}"), user_id=user, **words)
        for n in range(60)
    ]
    told: dict[str, Any] = {
        "effective_approaches": [secret("helps")],
        "approaches_to_avoid": [secret("avoid")],
        "optimal_timing": {secret("when"): secret("then")},
        "user_preferences": {secret("a"): secret("b")},
        "support_history": [{secret("did"): secret("what")}],
        "extra": _extra("strategy"),
    }
    gone: dict[str, Sequence[str]] = {"effective_approaches": [secret("helps")], "extra": [secret("gone")]}
    store.save_strategies([Strategy(user, mark("id"), secret("way"), **told)])
    change = StrategyChange(user, outcomes, secret("way"), **told, removed=gone, change_id=mark("learned"))
    store.update_strategies([change])


def _weigh(store: Store, user: str) -> None:
    for n in range(0, 200, 50):
        scores = [_score(user, n + m) for m in range(50)]
        told: dict[str, Any] = {"extra": _extra("weighed"), "weight_adjustments": {mark("factor"): 0.1}}
        store.update_statistics([StatisticsChange(user, scores, **told, change_id=mark(f"weighed{n}"))])
    store.update_statistics([StatisticsChange(user, forgotten=[mark("m7")])])
    by_factor = ("factor_sums", "factor_counts", "weight_adjustments")
    counted: dict[str, Any] = {name: {mark("factor"): 1} for name in by_factor}
    store.save_statistics([Statistics(user, **counted, extra=_extra("statistics"))])
    kind, words = secret("type"), [secret("word")]
    store.save_patterns([Pattern(user, mark("p1"), kind, words, extra=_extra("pattern"))])
    store.update_patterns(
        [PatternChange(user, mark("p2"), 0.5, 0.5, kind, words, _extra("p2"), change_id=mark("seen"))]
    )
    store.save_preferences([Preferences(user, {secret("wish"): secret("wished")}, extra=_extra("preferences"))])
    wish = {secret("other"): {"deep": [secret("wish")]}}
    store.update_preferences(
        [PreferencesChange(user, wish, [secret("wish")], _extra("wish"), change_id=mark("wished"))]
    )


def _extra(name: str) -> dict[str, Any]:
    return {secret("key"): secret(name)}


def _score(user: str, n: int) -> MemoryScore:
    words: dict[str, Any] = {"score_explanation": secret("because", n % 40), "boost_events": [secret("event")]}
    return MemoryScore(user, mark(f"m{n}"), 0.5, {mark("factor"): 0.5}, extra=_extra("score"), **words)


def _talk(store: Store, user: str, turns: int) -> None:
    talk, sizes = mark("talk"), random.Random(7)  # noqa: S311
    for n in range(turns):
        told: dict[str, Any] = {"author_name": secret("name"), "source": secret("source"), "extra": _extra("message")}
        store.save_messages(
            [Message(talk, user, user, secret("said", sizes.randrange(60)), message_id=mark(f"id{n}"), **told)]
        )
    store.update_messages([MessageEdit(talk, mark("id1"), secret("edited", 30), change_id=mark("edit"))])
    redaction = MessageRedaction(talk, mark("id2"), change_id=mark("redaction"))
    store.update_messages([redaction, ClearMark(talk, through=9, change_id=mark("clear"))])


def _speak_up(store: Store, user: str, turns: int) -> None:
    """Let the user take part in a conversation of several, where some messages are about them and some by them."""
    sizes = random.Random(8)  # noqa: S311
    for n in range(turns):
        text = secret("spoke", sizes.randrange(60))
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
