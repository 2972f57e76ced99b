"""Stores to copy between, what is easily lost in them, and how they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result

from whisper_persistence import Store
from whisper_persistence.cli import main
from whisper_persistence.operations import Checkpoint, Comparison, copy_store
from whisper_persistence.records import (
    RECORD_KINDS,
    ClearMark,
    Message,
    MessageEdit,
    MessageRedaction,
    OutcomeQuery,
    Pattern,
    PatternChange,
    ScoreQuery,
    StatisticsChange,
    StrategyChange,
    Thing,
    Window,
)
from whisper_persistence.records.following import FollowedKind
from whisper_persistence.testing import SUBJECT_CAPABILITIES, nasty, samples
from whisper_persistence.testing.scanning import scan_all

HIDDEN = "s3cr3t-pa55"

USERS = (*nasty.IDS[:6], *nasty.IDS[-14:])

LONG = nasty.IDS[-2]

FOLLOWED: tuple[FollowedKind, ...] = (*RECORD_KINDS, "conversations")


def sqlite_url(tmp_path: Path, name: str) -> str:
    return f"sqlite:///{tmp_path}/{name}.db"


def open_store(url: str, namespace: str = "default") -> Store:
    return Store.from_settings(url=url, namespace=namespace)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_copy(source: str, destination: str, *options: str | Path) -> dict[str, Any]:
    result = run(*options, "copy", "--from", source, "--to", destination, "--json")

    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def copy(source: Store, destination: Store, path: Path, report: Callable[..., None] = print) -> tuple[Comparison, ...]:
    return copy_store(source, destination, Checkpoint.load(path, "test"), report)


def shown(store: Store) -> dict[str, Any]:
    """Return all that a store shows, read in other ways than the copy reads it, in its order."""
    messages: list[Message] = scan_all(store, "messages", 999)
    talks = sorted({message.conversation_id for message in messages})
    users = sorted({record.user_id for kind in RECORD_KINDS for record in scan_all(store, kind, 500)})
    found: dict[str, Any] = {talk: [m for m in messages if m.conversation_id == talk] for talk in talks}
    found |= {f"window {talk}": store.load_messages([Window(talk, 10_000)]) for talk in talks}
    for user in users:
        found |= {
            f"{name} {user}": value
            for name, value in samples.read(store, SUBJECT_CAPABILITIES, user, "none of these").items()
        }
        found[f"all outcomes {user}"] = list(store.load_outcomes([OutcomeQuery(user, 10_000)]).values())
        found[f"all scores {user}"] = list(store.load_scores([ScoreQuery(user, "recent", 10_000)]).values())
    return {name: exact(value) for name, value in found.items()}


def exact(value: Any) -> Any:
    if isinstance(value, dict):
        return [exact(item) for item in value.values()]
    return [exact(item) for item in value] if isinstance(value, (list, tuple)) else samples.exact(value)


def standing(store: Store) -> dict[str, Any]:
    """Return every revision, and every record with its position."""
    records = {kind: scan_all(store, kind, 1_000) for kind in RECORD_KINDS}
    users = {Thing("user", record.user_id) for found in records.values() for record in found}
    talks = {Thing("conversation", message.conversation_id) for message in records["messages"]}
    positions = {kind: [getattr(record, "sequence", None) for record in found] for kind, found in records.items()}
    return {"revisions": store.load_revisions([*users, *talks]), "positions": positions, "shown": shown(store)}


def fill(store: Store) -> None:
    """Write what is easily lost: nasty ids, several pages of a kind, edits, redactions, marks, orders of their own."""
    for n, user in enumerate(USERS):
        samples.fill(store, SUBJECT_CAPABILITIES, user, USERS[-1 - n])
    store.save_statistics([samples.full_statistics("counted elsewhere"), samples.full_statistics("alice")])
    fill_histories(store)
    for start in (0, 900):
        words = [f"word {n}" for n in range(start, start + 900)]
        store.update_patterns([PatternChange("alice", "more than one change may hold", keywords=words)])
    store.save_patterns([Pattern("many", f"{n * 7 % 1000}") for n in range(1_000)])
    fill_talk(store)


def fill_histories(store: Store) -> None:
    for start in range(0, 2_400, 800):
        outcomes = [samples.outcome(outcome_id=f"o{n * 7 % 2400}") for n in range(start, start + 800)]
        scores = [samples.score(f"m{n * 7 % 2400}", n / 2400) for n in range(start, start + 800)]
        store.update_strategies([StrategyChange("alice", outcomes)])
        store.update_statistics([StatisticsChange("alice", scores)])
    again = [samples.score(f"m{n}", 0.5, extra={"again": True}) for n in range(2_000, 0, -100)]
    store.update_statistics([StatisticsChange("alice", again, forgotten=["m5", "m6"])])


def fill_talk(store: Store) -> None:
    messages = [samples.message("long", nasty.TEXTS[n % len(nasty.TEXTS)], message_id=f"m{n}") for n in range(1_000)]
    store.save_messages([samples.full_message("short"), *samples.talk(40, "short")])
    store.save_messages(messages)
    store.save_messages([*samples.talk(3, "cleared"), *samples.talk(3, LONG), samples.message("long", nasty.LONG_TEXT)])
    edits = [MessageEdit("long", f"m{n}", "edited \U0001f600", samples.MOMENT) for n in range(0, 1_000, 100)]
    redactions = [MessageRedaction("long", "m7"), MessageRedaction("long", "m8"), MessageEdit("long", "m8", "anew")]
    marks = [ClearMark("long", 950), ClearMark("cleared"), ClearMark("short", 12)]
    store.update_messages([*edits, *redactions, *marks])
    store.save_messages([samples.message("long", "after the mark", in_reply_to="m949")])
