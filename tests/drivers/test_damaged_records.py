"""A record that is damaged in SQL: reported and left out among others, an error by its own key, never returned."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    AsyncStore,
    Durability,
    MessageEdit,
    OutcomeQuery,
    PatternChange,
    Preferences,
    PreferencesChange,
    Retention,
    ScoreQuery,
    StatisticsChange,
    StorageDamagedError,
    Store,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.errors import PartlyDamagedError
from whisper_persistence.operations import Unreadable, find_unreadable
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    RECORD_KINDS,
    ActivityByHour,
    ImportanceByUser,
    SearchQuery,
    State,
    TopPatterns,
)
from whisper_persistence.testing import samples

USERS = ("alice", "bob")
TABLES = {
    "strategies": "user_support_strategies",
    "statistics": "user_memory_statistics",
    "patterns": "memory_importance_patterns",
    "preferences": "user_memory_preferences",
    "outcomes": "support_strategy_history",
    "scores": "memory_importance_scores",
    "messages": "conversation_history",
}
#: What flipped bytes do to the text of a record; the last only to a file.
FLIPS = {"cut": "{", "torn": '"not an object"', "holed": '{"user_id": 5}', "no UTF-8": b'{"content":"\xff\xfe"}'}
#: One letter or digit of a record of each kind, flipped so that it stays legible.
LEGIBLE = {
    "strategies": ("_strategy", "_strategx"),
    "statistics": ('"score_sum":6', '"score_sum":7'),
    "patterns": ('"frequency":1', '"frequency":3'),
    "preferences": ("quiet", "quieu"),
    "outcomes": ('"effectiveness_score":0.9', '"effectiveness_score":0.1'),
    "scores": ('"overall_score":0.', '"overall_score":1.'),
    "messages": ("lighthouse", "lightmouse"),
}


@attrs.define(eq=False)
class World:
    """A store and the way to its tables behind its back."""

    store: Store
    namespace: str
    run: Callable[..., list[Any]]

    def damage(self, kind: str, flip: str = "cut", where: str = "user_id = 'alice'") -> None:
        """Damage the records of a kind that a condition names; "legible" flips a letter or digit of each."""
        new, values = ("replace(record, {}, {})", LEGIBLE[kind]) if flip == "legible" else ("{}", (FLIPS[flip],))
        statement = f"UPDATE {{}}{TABLES[kind]} SET record = {new} WHERE namespace = {{}} AND {where}"  # noqa: S608
        self.run(statement, *values, self.namespace)


@pytest.fixture(params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A store of each kind of database, with something of every kind for two users."""
    namespace = f"damaged {os.getpid()} {request.node.name}"
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated"), tmp_path / "memory.db")
        driver: Any = SqliteDriver(tmp_path / "memory.db", search=True)

        def run(statement: str, *values: Any) -> list[Any]:
            with closing(sqlite3.connect(tmp_path / "memory.db")) as connection, connection:
                sql = statement.format("", *["CAST(? AS TEXT)"] * len(values))
                return connection.execute(sql, values).fetchall()
    else:
        url = request.getfixturevalue("postgres_shared_url")
        driver = PostgresDriver(url, search=True)

        def run(statement: str, *values: Any) -> list[Any]:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(statement.format("whisper_persistence.", *["%s"] * len(values)), values)  # type: ignore[call-overload]
            return []

    with Store(Chain.of({request.param: driver}), namespace) as store:
        fill(store)
        yield World(store, store.namespace, run)


def fill(store: Store) -> None:
    for user in USERS:
        store.save_strategies([Strategy(user, f"{user}_strategy")])
        store.update_strategies([StrategyChange(user, [samples.outcome(0.9, outcome_id=f"{user} {n}")]) for n in "123"])
        store.update_statistics([StatisticsChange(user, [samples.score(f"m{n}", n / 10, user) for n in range(4)])])
        store.update_patterns([PatternChange(user, "p1"), PatternChange(user, "p2")])
        store.save_preferences([Preferences(user, {"quiet": True})])
    for n in range(8):
        store.save_messages([samples.message(content=f"the lighthouse {n}", user_id=USERS[n % 2], message_id=f"m{n}")])


def a_change(kind: str, user: str) -> Any:
    changes: dict[str, Any] = {
        "strategies": StrategyChange(user, communication_style="new"),
        "statistics": StatisticsChange(user, weight_adjustments={"recency": 0.1}),
        "patterns": PatternChange(user, "p1"),
        "preferences": PreferencesChange(user, {"loud": True}),
    }
    return changes[kind]


def ids(store: Store, window: Window) -> list[str]:
    return [message.message_id for message in store.load_messages([window]).get(window, ())]


@pytest.mark.parametrize("flip", [*FLIPS, "legible"])
def test_a_message_damaged_in_sql_is_skipped_in_windows_scans_and_searches_and_reported(
    world: World, flip: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = world.store
    if flip == "no UTF-8" and "postgres" in store.chain.drivers:
        flip = "holed"  # a server takes no such text
    world.damage("messages", flip, "message_id IN ('m2', 'm5')")
    with caplog.at_level(logging.ERROR):
        assert ids(store, Window("talk")) == ["m0", "m1", "m3", "m4", "m6", "m7"]
        assert ids(store, Window("talk", 4)) == ["m3", "m4", "m6", "m7"]  # as full as if there were no damage
        assert ids(store, Window("talk", 3, after=1)) == ["m1", "m3", "m4"]
        assert ids(store, Window("talk", user_id="alice")) == ["m0", "m4", "m6"]
        assert ids(store, Window("talk", message_id="m2")) == []
        page = store.scan("messages", None, 100)
        mine = store.chain.hook.scan_messages(user_id="alice", cursor=None, limit=100)
        found = store.search_messages([query := SearchQuery("lighthouse", "alice")])[query]

    assert [message.message_id for message in page.records] == ["m0", "m1", "m3", "m4", "m6", "m7"]
    assert page.damaged == ("talk 3", "talk 6")
    assert mine is not None
    assert ([m.message_id for m in mine.records], mine.damaged) == (["m0", "m4", "m6"], ("talk 3",))
    assert sorted(hit.message.message_id for hit in found.hits) == ["m0", "m4", "m6"]
    assert [record.message for record in caplog.records] == ["a stored record cannot be read and is left out"] * 2
    assert "lighthouse" not in caplog.text
    (health,) = store.check_health()
    assert (health.state, health.details["damaged"]) == (State.DEGRADED, 2)
    with pytest.raises(StorageDamagedError):
        store.update_messages([MessageEdit("talk", "m2", "words over damage")])


@pytest.mark.parametrize("flip", ["cut", "legible"])
def test_pages_of_histories_go_on_past_damage(world: World, flip: str) -> None:
    world.damage("outcomes", flip, "outcome_id = 'alice 2'")
    world.damage("scores", flip, "user_id = 'alice' AND memory_id = 'm2'")
    outcomes = OutcomeQuery("alice", 2)
    top, recent = ScoreQuery("alice", "top", 2), ScoreQuery("alice", "recent", 2)
    scores = world.store.load_scores([top, recent])

    assert [o.outcome_id for o in world.store.load_outcomes([outcomes])[outcomes]] == ["alice 3", "alice 1"]
    assert [[score.memory_id for score in scores[query]] for query in (top, recent)] == [["m3", "m1"]] * 2
    with pytest.raises(StorageDamagedError):  # a change is not worked out from what may be wrong
        world.store.update_statistics([StatisticsChange("alice", forgotten=["m2"])])
    (health,) = world.store.check_health()
    assert (health.state, health.details["damaged"]) == (State.DEGRADED, 2)
    world.store.scan("outcomes", None, 100)
    assert find_unreadable(world.store, lambda *_: None).unreadable == (
        Unreadable("outcomes", "alice 2"),
        Unreadable("scores", "alice m2"),
    )


@pytest.mark.parametrize("kind", ["strategies", "statistics", "patterns", "preferences"])
@pytest.mark.parametrize("flip", ["cut", "legible"])
def test_a_record_damaged_in_sql_is_never_taken_for_absent(world: World, kind: str, flip: str) -> None:
    store = world.store
    world.damage(kind, flip, "user_id = 'alice'")
    load, update = getattr(store, f"load_{kind}"), getattr(store, f"update_{kind}")
    change = a_change(kind, "alice")

    with pytest.raises(PartlyDamagedError) as told:
        load(["alice", "bob", "carol"])
    assert (set(told.value.found), told.value.unknown) == ({"bob"}, {"alice"})
    assert "alice" not in str(told.value)
    with pytest.raises(StorageDamagedError):
        update([change])
    assert set(load(["bob", "carol"])) == {"bob"}
    page = store.scan(kind, None, 10)
    assert {record.user_id for record in page.records} == {"bob"}
    assert page.damaged[0].startswith("alice")

    store.erase_users(["alice"])
    assert set(load(["alice", "bob"])) == {"bob"}


def test_what_is_saved_whole_takes_the_place_of_what_is_damaged(world: World) -> None:
    bob = {kind: world.store.scan(kind, None, 10).records[-1] for kind in ("strategies", "statistics", "preferences")}
    for kind, record in bob.items():
        world.damage(kind, where="user_id = 'bob'")
        getattr(world.store, f"save_{kind}")([record])

        assert getattr(world.store, f"load_{kind}")(["bob"]) == {"bob": record}


def test_callers_that_travel_with_one_whose_record_is_damaged_get_their_own(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with Store(Chain.of({"sqlite": SqliteDriver(path)})) as store:
        fill(store)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE user_support_strategies SET record = '{' WHERE user_id = 'alice'")

    async def main() -> list[Any]:
        async with AsyncStore(Chain.of({"sqlite": SqliteDriver(path)})) as store:
            loads = (store.load_strategies([user]) for user in ("alice", "bob", "carol"))
            return await asyncio.gather(*loads, return_exceptions=True)

    alice, bob, carol = asyncio.run(main())

    assert isinstance(alice, PartlyDamagedError)
    assert (set(bob), carol) == ({"bob"}, {})


@pytest.mark.parametrize("kind", ["strategies", "statistics", "patterns", "preferences"])
def test_a_change_of_what_is_damaged_is_answered_and_holds_nobody_up(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "memory.db"
    with Store(Chain.of({"sqlite": SqliteDriver(path)})) as store:
        fill(store)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {TABLES[kind]} SET record = '{{' WHERE user_id = 'alice'")  # noqa: S608

    async def main() -> list[Any]:
        async with AsyncStore(Chain.of({"sqlite": SqliteDriver(path)})) as store:
            update = getattr(store, f"update_{kind}")
            together = [update([a_change(kind, user)]) for user in USERS]
            answers = await asyncio.gather(*together, return_exceptions=True)
            return [*answers, await update([a_change(kind, "bob")])]

    alice, bob, later = asyncio.run(asyncio.wait_for(main(), 20))

    assert isinstance(alice, StorageDamagedError)
    assert [receipt.durability for receipt in (*bob, *later)] == [Durability.DURABLE] * 2


def test_a_sequence_that_is_flipped_is_damage_of_its_record(world: World) -> None:
    world.run("DELETE FROM {}message_terms WHERE namespace = {}", world.namespace)
    for kind in ("messages", "outcomes", "scores"):
        flip = f"UPDATE {{}}{TABLES[kind]} SET sequence = 77 WHERE namespace = {{}}"  # noqa: S608
        world.run(f"{flip} AND sequence IN (1, 4) AND user_id = 'alice'", world.namespace)
    outcomes, scores = OutcomeQuery("alice"), ScoreQuery("alice", "recent")

    assert ids(world.store, Window("talk")) == [f"m{n}" for n in range(1, 8)]
    assert len(world.store.load_outcomes([outcomes])[outcomes]) == 2
    assert len(world.store.load_scores([scores])[scores]) == 3


#: Columns that repeat what the record says, which no load returns, each flipped.
REPEATED = {
    "messages": ["message_id = 'mx' WHERE message_id = 'm2'", "other_author = 'carol' WHERE message_id = 'm4'"],
    "outcomes": ["effectiveness = 5 WHERE outcome_id = 'alice 1'", "occurred_at = 5 WHERE outcome_id = 'bob 1'"],
    "scores": ["score = 5 WHERE user_id = 'bob' AND memory_id = 'm1'"],
}


def test_a_column_that_no_longer_repeats_its_record_is_named(world: World) -> None:
    for kind, flips in REPEATED.items():
        for flip in flips:
            world.run(f"UPDATE {{}}{TABLES[kind]} SET {flip} AND namespace = {{}}", world.namespace)  # noqa: S608
    found = find_unreadable(world.store, lambda *_: None)

    assert [(one.kind, one.key) for one in found.unreadable] == [
        ("outcomes", "alice 1"),
        ("outcomes", "bob 1"),
        ("scores", "bob m1"),
        ("messages", "talk 3"),
        ("messages", "talk 5"),
    ]


def test_a_record_without_a_checksum_is_taken_as_it_is_and_given_one_when_it_is_written(world: World) -> None:
    store = world.store
    for kind, table in TABLES.items():
        world.run(f"UPDATE {{}}{table} SET checksum = NULL WHERE namespace = {{}}", world.namespace)  # noqa: S608
        assert store.scan(kind, None, 100).damaged == ()  # type: ignore[union-attr]
    world.damage("messages", "legible", "message_id = 'm2'")
    store.update_messages([MessageEdit("talk", "m3", "the lighthouse again")])
    store.update_preferences([PreferencesChange("alice", {"loud": True})])
    world.damage("messages", "legible", "message_id = 'm3'")
    world.damage("preferences", "legible", "user_id = 'alice'")

    assert ids(store, Window("talk")) == ["m0", "m1", "m2", "m4", "m5", "m6", "m7"]
    with pytest.raises(PartlyDamagedError):
        store.load_preferences(["alice"])


def test_one_damaged_record_stops_neither_an_expiry_nor_a_question_nor_a_search_without_an_index(world: World) -> None:
    for kind in TABLES:
        first = {"outcomes": " AND outcome_id = 'alice 1'", "messages": " AND message_id = 'm2'"}.get(kind, "")
        first = " AND memory_id = 'm0'" if kind == "scores" else first
        world.damage(kind, where=f"user_id = 'alice'{first}")
    (name, driver), query = (
        next(iter(world.store.chain.drivers.items())),
        SearchQuery("lighthouse", limit=9, user_id="alice"),
    )
    with Store(Chain.of({name: attrs.evolve(driver, search=None)}), world.namespace) as store:
        found = store.search_messages([query])[query]
        talk = store.aggregate(ActivityByHour(minimum_group=1))
        patterns = store.aggregate(TopPatterns(minimum_group=1))
        scores = store.aggregate(ImportanceByUser())
        aged = [store.expire([Retention(kind, max_age=timedelta(days=1))], dry_run=False)[0].counts for kind in TABLES]
        many = [Retention(kind, max_per_thing=1) for kind in ("outcomes", "patterns", "messages")]
        counted = store.expire(many, dry_run=False)[0].counts
        forgotten = store.expire([Retention("scores", max_per_thing=1)], dry_run=False)[0].counts

    assert sorted(hit.message.message_id for hit in found.hits) == ["m0", "m4", "m6"]
    assert (sum(hour.messages for hour in talk.rows), [one.users for one in patterns.rows]) == (7, [1, 1])
    assert {one.user_id: one.count for one in scores.rows} == {"alice": 3, "bob": 4}
    assert all(set(counts.values()) <= {0} for counts in aged)
    assert counted == {"outcomes": 4, "patterns": 2, "messages": 7}
    assert forgotten == {"scores": 3}


def talk_of_400(path: Path) -> dict[str, str]:
    """Fill a file with 400 messages, and return their words by id."""
    words = {f"m{n}": f"the lighthouse {n} " + "keeps the night awake " * 8 for n in range(400)}
    with Store(Chain.of({"sqlite": SqliteDriver(path)})) as store:
        store.save_messages([samples.message(content=text, message_id=name) for name, text in words.items()])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return words


def shown_of(path: Path) -> tuple[dict[str, str], int]:
    """Return the words that are shown, by id, and how many records a scan calls damaged."""
    with Store(Chain.of({"sqlite": SqliteDriver(path)})) as store:
        page = store.scan("messages", None, 1_000)
        shown = store.load_messages([window := Window("talk", 1_000)]).get(window, ())
        assert page is not None
        return {one.message_id: one.content for one in (*shown, *page.records)}, len(page.damaged)


def test_letters_flipped_in_a_sqlite_file_are_never_returned(migrated: Path, tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    shutil.copyfile(migrated, path)
    words = talk_of_400(path)
    flipped = random.Random(7).sample(sorted(words), 40)
    file = path.read_bytes()
    for name in flipped:
        head = words[name][:-170].encode()
        assert file.count(head) == 1
        file = file.replace(head, head.replace(b"house", b"mouse"[:1] + b"ouse"))
    path.write_bytes(file)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    shown, damaged = shown_of(path)
    assert damaged == 40
    assert shown == {name: text for name, text in words.items() if name not in flipped}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 100))])
def test_bytes_flipped_anywhere_in_a_sqlite_file_make_no_message_wrong(
    migrated: Path, tmp_path: Path, seed: int
) -> None:
    path, draw = tmp_path / "memory.db", random.Random(seed)
    shutil.copyfile(migrated, path)
    words = talk_of_400(path)
    file = bytearray(path.read_bytes())
    for _ in range(40):
        file[draw.randrange(4_096, len(file))] ^= 1 << draw.randrange(8)
    path.write_bytes(file)

    shown: dict[str, str] = {}
    with suppress(StorageDamagedError):  # of the whole file
        shown, _ = shown_of(path)
    assert {name: text for name, text in shown.items() if words.get(name) != text} == {}


def test_every_kind_has_its_table() -> None:
    assert TABLES.keys() == RECORD_KINDS.keys()
