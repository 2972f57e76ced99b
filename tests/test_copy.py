"""Copying between databases: equal to the last field and in the same order, again and again, however often it stops."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from click.testing import CliRunner, Result

from whisper_persistence import Store
from whisper_persistence.cli import main
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.operations import Checkpoint, Comparison, copy_store, find_places
from whisper_persistence.records import (
    RECORD_KINDS,
    ClearMark,
    Follower,
    Message,
    MessageEdit,
    MessageRedaction,
    OutcomeQuery,
    Pattern,
    PatternChange,
    Preferences,
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


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WHISPER", "POSTGRES", "ENV_MODE", "DISCORD_BOT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


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


@pytest.fixture
def filled(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path, "filled")
    with open_store(url) as store:
        fill(store)
    return url


@pytest.fixture
def small(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path, "small")
    with open_store(url) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        store.update_messages([ClearMark("talk", 1)])
    return url


@pytest.fixture
def pair(small: str, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """A store with something of every kind, and an empty one."""
    with open_store(small) as source, open_store(sqlite_url(tmp_path, "empty")) as destination:
        yield source, destination


def test_to_postgresql_and_back_is_equal_in_every_field_and_order(filled, postgres_url, tmp_path):
    back = sqlite_url(tmp_path, "back")
    for url in (filled, postgres_url):
        with open_store(url, "other bot") as store:
            samples.fill(store, SUBJECT_CAPABILITIES, "alice", f"a talk in {url.partition(':')[0]}")
    with open_store(filled) as store, open_store(postgres_url, "other bot") as other:
        before, untouched = shown(store), standing(other)
    there, again = run_copy(filled, postgres_url), run_copy(postgres_url, back)

    assert there == again
    assert (there["kinds"]["outcomes"]["source"], there["kinds"]["scores"]["destination"]) == (2420, 2418)
    with open_store(postgres_url) as store, open_store(back) as last, open_store(postgres_url, "other bot") as other:
        assert shown(store) == before
        assert shown(last) == before
        assert standing(other) == untouched
    with open_store(back, "other bot") as other:
        assert not any(scan_all(other, kind, 10) for kind in RECORD_KINDS)


def test_what_is_cleared_stays_cleared(filled, tmp_path):
    to = sqlite_url(tmp_path, "to")
    run_copy(filled, to)
    with open_store(to) as store:
        windows = [Window(talk, 2, after=0) for talk in ("long", "short", "cleared")]
        found = store.load_messages(windows)

        assert [message.message_id for message in found[windows[0]]] == ["m950", "m951"]
        assert [message.message_id for message in found[windows[1]]] == ["m12", "m13"]
        assert windows[2] not in found
        assert sum(message.conversation_id == "cleared" for message in scan_all(store, "messages", 1_000)) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_copying_again_changes_nothing(filled, kind, postgres_url, tmp_path):
    to = postgres_url if kind == "postgres" else sqlite_url(tmp_path, "to")
    first = run_copy(filled, to)
    with open_store(to) as store:
        store.register_follower(Follower("f", FOLLOWED))
        before = standing(store)

    assert run_copy(filled, to) == first
    with open_store(to) as store:
        assert standing(store) == before
        assert store.load_pending("f", 10) == ()


class StopError(Exception):
    """The copy is stopped, as by a signal."""


def test_a_copy_that_is_stopped_at_any_page_goes_on_there(filled, tmp_path):
    done: list[tuple[str, str]] = []

    def stop(work: str, kind: str, count: int) -> None:
        done.append((work, kind))
        raise StopError

    def count(work: str, kind: str, count: int) -> None:
        done.append((work, kind))

    with open_store(filled) as source, open_store(sqlite_url(tmp_path, "whole")) as destination:
        copy(source, destination, tmp_path / "whole.json", count)
        pages = done.copy()
    done.clear()
    with open_store(filled) as source, open_store(sqlite_url(tmp_path, "to")) as destination:
        copied = [page for page in pages if page[0] == "copying"]
        for _ in copied:
            with pytest.raises(StopError):
                copy(source, destination, tmp_path / "point.json", stop)

        assert done == copied
        assert len(copied) > 12
        assert (tmp_path / "point.json").stat().st_mode & 0o777 == 0o600
        compared = copy(source, destination, tmp_path / "point.json")
        assert all(kind.equal for kind in compared)
        assert shown(destination) == shown(source)
    assert not (tmp_path / "point.json").exists()


def test_a_copy_that_is_killed_between_its_writes_goes_on(filled, tmp_path):
    with open_store(filled) as source, open_store(sqlite_url(tmp_path, "to")) as destination:
        outcomes = scan_all(source, "outcomes", 1_000)
        own = [outcome for outcome in outcomes if outcome.user_id == "alice"][:1_000]
        destination.update_strategies([StrategyChange("alice", own)])
        scores = source.load_scores([ScoreQuery("alice", "recent", 10_000)]).popitem()[1][::-1]
        destination.update_statistics([StatisticsChange("alice", scores[:700])])
        messages = scan_all(source, "messages", 1_000)
        destination.save_messages([m for m in messages if m.conversation_id == "long"][:555])

        assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
        assert shown(destination) == shown(source)


def test_what_was_written_since_is_brought_by_the_next_copy(pair, tmp_path):
    source, destination = pair
    more = [samples.score(f"more {n}", 0.5) for n in range(5)]
    source.update_statistics([StatisticsChange("alice", more)])
    copy(source, destination, tmp_path / "point.json")
    source.update_messages([MessageEdit("talk", "m0", "edited"), ClearMark("talk", 2)])
    source.update_messages([MessageRedaction("talk", "full"), MessageEdit("talk", "full", "told too late")])
    source.update_messages([MessageEdit("talk", "m1", "first edited"), MessageRedaction("talk", "m1")])
    source.save_messages([samples.message("talk", "new"), samples.message("other", "new")])
    source.update_statistics([StatisticsChange("alice", [more[2], samples.score("memory", 0.1)])])
    source.update_strategies([StrategyChange("alice", [samples.outcome()], timestamp=samples.MOMENT)])
    source.save_preferences([Preferences("alice", {"other": 1}), Preferences("bob")])

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)
    full = next(m for m in scan_all(destination, "messages", 10) if m.message_id == "full")
    assert (full.content, full.author_name, full.extra) == ("", "", {"redacted": True})


def test_an_erased_user_is_copied_again_and_what_was_cleared_is_not_shown(pair, tmp_path):
    source, destination = pair
    copy(source, destination, tmp_path / "point.json")
    destination.erase_users(["alice"])

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)


CHANGES: dict[str, Callable[[Store], object]] = {
    "outcomes": lambda store: store.update_strategies([StrategyChange("alice", [samples.outcome()])]),
    "scores": lambda store: store.update_statistics([StatisticsChange("bob", [samples.score("m", 0.5, "bob")])]),
    "strategies": lambda store: store.save_strategies([samples.full_strategy("bob")]),
    "statistics": lambda store: store.save_statistics([samples.full_statistics("bob")]),
    "patterns": lambda store: store.save_patterns([samples.full_pattern("alice", "other")]),
    "preferences": lambda store: store.save_preferences([Preferences("bob")]),
    "messages": lambda store: store.save_messages([samples.message("talk", message_id="other")]),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_only_the_destination_holds_is_left_there_and_told(kind, small, tmp_path):
    to = sqlite_url(tmp_path, "to")
    run_copy(small, to)
    with open_store(to) as store:
        CHANGES[kind](store)
    result = run("copy", "--from", small, "--to", to)

    assert result.exit_code == 1
    assert f"source and destination differ in {kind} (" in result.stderr or f", {kind} (" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "different" in result.stdout
    assert list((tmp_path / "state" / "whisper-persistence" / "copies").iterdir()) == []


def test_the_same_number_of_other_records_is_a_difference(pair, tmp_path):
    source, destination = pair
    destination.save_messages([samples.message("talk", "other words", message_id="m0")])
    destination.update_strategies(
        [StrategyChange("alice", [samples.outcome(0.1, outcome_id="o1")], timestamp=samples.MOMENT)]
    )
    compared = {kind.kind: kind for kind in copy(source, destination, tmp_path / "point.json")}

    assert (compared["messages"].source, compared["messages"].destination) == (3, 3)
    assert {name for name, kind in compared.items() if not kind.equal} == {"messages", "outcomes"}


def test_another_order_is_a_difference(pair, tmp_path):
    source, destination = pair
    source.save_messages(samples.talk(4))
    destination.save_messages(samples.talk(4)[::-1])
    compared = {kind.kind: kind.equal for kind in copy(source, destination, tmp_path / "point.json")}

    assert compared == dict.fromkeys(RECORD_KINDS, True) | {"messages": False}


def test_a_message_that_is_cleared_only_at_the_destination_is_a_difference(pair, tmp_path):
    source, destination = pair
    copy(source, destination, tmp_path / "point.json")
    destination.update_messages([ClearMark("talk", 2)])
    compared = {kind.kind: kind.equal for kind in copy(source, destination, tmp_path / "point.json")}

    assert compared == dict.fromkeys(RECORD_KINDS, True) | {"messages": False}


def test_scores_that_came_in_another_order_are_put_right(pair, tmp_path):
    source, destination = pair
    scores = [samples.score(f"m{n}", 0.5, calculation_timestamp=samples.MOMENT) for n in range(9)]
    source.update_statistics([StatisticsChange("alice", scores)])
    destination.update_statistics([StatisticsChange("alice", [*scores[4:], *scores[:4]])])

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)


def test_an_empty_source_is_told(tmp_path):
    with open_store(sqlite_url(tmp_path, "empty")):
        pass
    result = run("copy", "--from", sqlite_url(tmp_path, "empty"), "--to", sqlite_url(tmp_path, "to"))

    assert result.exit_code == 0
    assert "the source holds nothing in this namespace" in result.output


def test_the_screen_says_what_is_equal_and_what_is_not_carried(small, tmp_path):
    said = run("copy", "--from", small, "--to", sqlite_url(tmp_path, "to")).output

    assert "hold the same, by number and content" in said
    assert "not carried: positions, revisions" in said
    assert "what is cleared stays cleared" in said
    assert said.count("equal") == 7


def test_the_namespace_is_that_of_both(tmp_path):
    ours, theirs = (sqlite_url(tmp_path, name) for name in ("a", "b"))
    for namespace in ("elena", "marcus"):
        with open_store(ours, namespace) as store:
            samples.fill(store, SUBJECT_CAPABILITIES, namespace)
    run_copy(ours, theirs, "--namespace", " Elena ")

    with open_store(theirs, "elena") as store, open_store(theirs, "marcus") as other:
        assert {record.user_id for record in scan_all(store, "outcomes", 10)} == {"elena"}
        assert scan_all(other, "outcomes", 10) == []


def test_layers_and_observers_of_the_settings_have_no_part_in_it(small, tmp_path, monkeypatch):
    monkeypatch.setenv("WHISPER_PERSISTENCE_DRIVERS", "memory-fallback,sqlite")
    monkeypatch.setenv("WHISPER_PERSISTENCE_OBSERVERS", "absent")
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_PATH", str(tmp_path / "elsewhere.db"))
    monkeypatch.setenv("WHISPER_PERSISTENCE_SQLITE_SUBJECTS", "strategies")
    run_copy(small, sqlite_url(tmp_path, "to"))
    monkeypatch.undo()

    with open_store(sqlite_url(tmp_path, "to")) as store:
        assert len(scan_all(store, "messages", 10)) == 3
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("sqlite:///{0}/small.db", "sqlite:///{0}/small.db?synchronous=normal"),
        ("sqlite:///{0}/small.db", "sqlite:///{0}/state/../small.db"),
        ("sqlite:///{0}/link.db", "sqlite:///{0}/small.db"),
        ("sqlite:///{0}/hard.db", "sqlite:///{0}/small.db"),
        ("memory://", "memory://"),
        ("postgresql://a:s3cr3t-pa55@DB/bot", "postgres://b@db:5432/bot?sslmode=require"),
        ("postgresql://a:s3cr3t-pa55@127.0.0.1/bot", "postgresql+psycopg://localhost/bot"),
        ("postgresql://a:s3cr3t-pa55@/bot?host=/tmp/x", "postgresql:///bot?host=/tmp/x&port=5432"),
        ("postgresql://a:s3cr3t-pa55@[::1]/a", "postgresql://a@/?host=localhost"),
    ],
)
def test_one_database_is_not_copied_onto_itself(source, destination, small, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "small.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "small.db")
    result = run("copy", "--from", source.format(tmp_path), "--to", destination.format(tmp_path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: source and destination of the copy are the same database: name two\n"


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("postgresql://db/a", "postgresql://db/b"),
        ("postgresql://db/a", "postgresql://db:5433/a"),
        ("postgresql://db/a", "postgresql://db2/a"),
        ("postgresql:///a?host=/tmp/x", "postgresql:///a?host=/tmp/y"),
        ("postgresql://a,b:5433/x", "postgresql://a,c:5433/x"),
    ],
)
def test_two_databases_are_two(source, destination):
    found, wanted = find_places(source, destination)

    assert found.name != wanted.name


def test_a_source_that_is_not_there_is_not_made(tmp_path):
    result = run("copy", "--from", sqlite_url(tmp_path, "absent"), "--to", sqlite_url(tmp_path, "to"))

    assert result.exit_code == 1
    assert result.stderr == f"Error: there is nothing to copy: {tmp_path}/absent.db is not there\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("copy",),
        ("copy", "--from", "memory://"),
        ("copy", "--to", "memory://"),
        ("--url", "memory://", "copy", "--from", "memory://", "--to", "memory://"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "url",
    [f"mysql://bot:{HIDDEN}@db/x", f"postgresql://bot:{HIDDEN}@[db/x", f"postgresql://bot:{HIDDEN}@127.0.0.1:1/x"],
)
def test_a_password_is_never_shown(url, small):
    for arguments in (("--from", url, "--to", small), ("--from", small, "--to", url)):
        result = run("copy", *arguments)

        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert HIDDEN not in result.output + repr(result.exception)


def test_a_file_that_is_not_its_checkpoint_is_left_alone(small, tmp_path):
    to, precious = sqlite_url(tmp_path, "to"), tmp_path / "precious.txt"
    precious.write_text("words")
    wrong = run("copy", "--from", small, "--to", to, "--checkpoint", precious)
    Checkpoint.load(tmp_path / "point.json", "another")
    other = run("copy", "--from", small, "--to", to, "--checkpoint", tmp_path / "point.json")
    nowhere = run("copy", "--from", small, "--to", to, "--checkpoint", "/proc/absent/point.json")

    assert [result.exit_code for result in (wrong, other, nowhere)] == [1, 1, 1]
    assert wrong.stderr == f"Error: {precious} is not a checkpoint of a copy: name another file\n"
    assert "belongs to another copy" in other.stderr
    assert "the checkpoint /proc/absent/point.json cannot be used" in nowhere.stderr
    assert precious.read_text() == "words"


def test_a_checkpoint_names_neither_place_nor_password(tmp_path):
    place, other = find_places(f"postgresql://bot:{HIDDEN}@secret-host/x", f"postgresql://bot:{HIDDEN}@other/x")

    assert HIDDEN not in repr(place) + place.name + repr(other)
    with pytest.raises(ConfigurationError):
        Checkpoint.load(tmp_path, "a folder")


def test_a_cursor_that_the_source_does_not_know_any_more_begins_the_kind_anew(pair, tmp_path):
    source, destination = pair
    Checkpoint(tmp_path / "point.json", "test", ["outcomes"], None).move("scores", "not a cursor of this store")

    compared = {kind.kind: kind.equal for kind in copy(source, destination, tmp_path / "point.json")}
    assert compared == dict.fromkeys(RECORD_KINDS, True) | {"outcomes": False}
    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))


def test_a_destination_that_does_not_answer_is_gone_on_with_later(small, tmp_path):
    to = sqlite_url(tmp_path, "to")
    with open_store(to):
        pass
    with closing(sqlite3.connect(tmp_path / "to.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        result = run("copy", "--from", small, "--to", f"{to}?busy_timeout=0.05")

    assert result.exit_code == 1
    assert result.stderr.endswith("the same command goes on where this one stopped\n")
    assert len(list((tmp_path / "state" / "whisper-persistence" / "copies").iterdir())) == 1
    assert run_copy(small, f"{to}?busy_timeout=0.05")["equal"]


def test_stores_that_walk_in_another_order_are_compared_alike(tmp_path):
    with open_store("memory://") as source, open_store(sqlite_url(tmp_path, "to")) as destination:
        fill(source)
        copy(source, destination, tmp_path / "point.json")
        by_time, by_id = (
            [score.memory_id for score in scan_all(store, "scores", 999)] for store in (source, destination)
        )

        assert by_time != by_id
        assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
        assert shown(destination) == shown(source)


def test_a_source_that_may_only_be_read_is_copied(small, postgres_url, tmp_path):
    run_copy(small, postgres_url)
    more = "&" if "?" in postgres_url else "?"
    read_only = f"{postgres_url}{more}options=-c%20default_transaction_read_only%3Don"
    back = run_copy(read_only, sqlite_url(tmp_path, "back"))

    assert back["kinds"]["messages"] == {"source": 3, "destination": 3, "equal": True}


def test_times_at_the_edges_survive(pair, tmp_path):
    source, destination = pair
    edited = [
        attrs.evolve(samples.message("edges", message_id=f"{n}"), timestamp=moment, edited_at=moment)
        for n, moment in enumerate((*samples.EDGES, samples.MOMENT + timedelta(microseconds=1)))
    ]
    source.save_messages(edited)

    assert all(kind.equal for kind in copy(source, destination, tmp_path / "point.json"))
    assert shown(destination) == shown(source)
