"""Several writers and readers at once: order, locks, and what is tried again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import psycopg
import pytest
from whisper_persistence_drivers.sql import erasing, statistics

from whisper_persistence import (
    MemoryScore,
    MessageEdit,
    PatternChange,
    StatisticsChange,
    StorageUnavailableError,
    Store,
    StrategyChange,
    Window,
)
from whisper_persistence.errors import ErasedMeanwhileError
from whisper_persistence.origins import Origin, written_from
from whisper_persistence.records import Follower, Thing
from whisper_persistence.testing import samples


def keys(store: Store, *things: Thing) -> list[str]:
    """Return under which keys a store counts these things, in the order in which it locks them."""
    driver: Any = store.chain.drivers["postgres"]
    with driver._database.reading() as connection:
        database = driver._database
        session = statistics.Session(connection, database.flavour, store.namespace, database.hash_key, database.damage)
        return sorted(session.thing_key(thing.kind, thing.thing_id) for thing in things)


def translated(store: Store) -> list[str]:
    """Return a list that from now on shows each error of the database that a store met."""
    driver: Any = store.chain.drivers["postgres"]
    found: list[str] = []

    class Told(type(driver._database)):  # type: ignore[misc]
        def translate(self, error: Exception) -> Exception:
            found.append(f"{type(error).__name__} {getattr(error, 'sqlstate', None)}")
            return super().translate(error)

    driver._database.__class__ = Told
    return found


def wait_until(ready: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if ready():
            return
        threading.Event().wait(0.01)
    raise TimeoutError


LOCK = "SELECT 1 FROM whisper_persistence.revisions WHERE thing = %s FOR UPDATE"


@contextmanager
def another(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session of somebody else, inside a transaction, that never finds itself in a deadlock."""
    with psycopg.connect(url) as connection:
        connection.execute("SET deadlock_timeout = '1h'")
        yield connection


def waiting(connection: psycopg.Connection[Any]) -> int:
    """Return how many sessions wait for a lock."""
    count: int = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchall()[0][0]
    return count


def blocked(connection: psycopg.Connection[Any]) -> bool:
    """Say whether anybody waits for what this session has locked."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    return connection.execute(waiting).fetchall()[0][0] > 0


# Order.


def test_sequences_are_given_in_the_order_of_commits_and_a_follower_misses_nothing(opened):
    stores = [opened(), opened()]
    stop, seen = threading.Event(), list[tuple[int | None, str]]()

    def follow() -> None:
        with opened() as reader:
            after = 0
            while True:
                last = stop.is_set()
                window = Window("talk", 50, after=after)
                page = reader.load_messages([window]).get(window, ())
                seen.extend((message.sequence, message.message_id) for message in page)
                after = page[-1].sequence if page else after
                if last and not page:
                    return

    def speak(name: int) -> list[int | None]:
        sizes = random.Random(name)
        given: list[int | None] = []
        for n in range(25):
            batch = [samples.message(message_id=f"{name} {n} {m}") for m in range(sizes.randint(1, 3))]
            given += [receipt.sequence for receipt in stores[name % 2].save_messages(batch)]
        return given

    with ThreadPoolExecutor(9) as pool:
        following = pool.submit(follow)
        given = [sequence for told in pool.map(speak, range(8)) for sequence in told]
        stop.set()
        following.result(60)

    assert sorted(given) == list(range(1, len(given) + 1))
    assert [sequence for sequence, _ in seen] == sorted(given)
    assert len({message_id for _, message_id in seen}) == len(given)


def test_a_sequence_whose_writer_has_not_committed_is_passed_by_nobody(opened, postgres_shared_url):
    store = opened()
    store.save_messages([samples.message(message_id="first")])
    (key,) = keys(store, Thing("conversation", "talk"))
    with ThreadPoolExecutor(1) as pool, another(postgres_shared_url) as other:
        other.execute("UPDATE whisper_persistence.revisions SET sequence = sequence + 5 WHERE thing = %s", [key])
        writing = pool.submit(store.save_messages, [samples.message(message_id="later")])
        wait_until(lambda: blocked(other))
        other.rollback()

        assert writing.result(30)[0].sequence == 2


# Erases.


@pytest.mark.parametrize("whose", ["known", "known to nobody", "author"])
def test_what_is_being_written_while_another_process_erases_its_user_is_not_there_afterwards(
    opened, postgres_shared_url, whose
):
    writer, eraser = opened(), opened()
    writer.save_messages([samples.message(message_id="of bob", user_id="bob", author_id="bob")])
    if whose == "known":
        writer.save_messages([samples.message("elsewhere", message_id="of alice")])
    late = samples.message(message_id="late", user_id="bob" if whose == "author" else "alice", author_id="alice")
    (talk,) = keys(writer, Thing("conversation", "talk"))

    def write() -> Any:
        with written_from(Origin("late", "writer", 1, erasures=0)):
            return writer.save_messages([late])

    def erase_and_speak_again() -> None:
        eraser.erase_users(["alice"])
        eraser.save_messages([samples.message("elsewhere", message_id="after the erase")])

    with ThreadPoolExecutor(2) as pool, another(postgres_shared_url) as other:
        other.execute(LOCK, [talk])
        writing = pool.submit(write)
        wait_until(lambda: blocked(other))  # its statement has begun, and sees nothing that is committed from now on
        erasing_it = pool.submit(erase_and_speak_again)
        wait_until(lambda: erasing_it.done() or waiting(other) > 1)
        other.rollback()
        erasing_it.result(30)
        with suppress(ErasedMeanwhileError):
            writing.result(30)

    windows = Window("talk"), Window("elsewhere")
    found = [[m.message_id for m in eraser.load_messages(windows).get(window, ())] for window in windows]
    assert found == [["of bob"], ["after the erase"]]


# Locks that are taken in opposite orders.


def race(stores: list[Store], work: Callable[[Store, int, int], None], threads: int = 8, rounds: int = 12) -> None:
    together = threading.Barrier(threads)

    def run(name: int) -> None:
        for n in range(rounds):
            together.wait(60)
            work(stores[name % len(stores)], name, n)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(threads)))


def test_whoever_first_says_and_learns_something_of_the_same_users_meets_no_deadlock(opened):
    stores = [opened(), opened()]
    errors = [translated(store) for store in stores]

    def meet(store: Store, name: int, n: int) -> None:
        users = [f"user {n} {m}" for m in range(3)]
        with written_from(Origin(f"{name} {n}", "writer", 1, erasures=0)):
            if name < 4:
                said = [samples.message(f"talk {name}", "hello", user, message_id=f"{n} {user}") for user in users]
                store.save_messages(said)
            else:
                store.update_strategies([StrategyChange(user, [samples.outcome(0.9)]) for user in users])

    race(stores, meet)

    assert [error for found in errors for error in found if error.startswith("Deadlock")] == []


def test_updates_of_the_same_users_in_any_order_all_count(opened):
    def learn(store: Store, name: int, n: int) -> None:
        users = [f"user {n} {m}" for m in range(6)]
        random.Random(name).shuffle(users)
        store.update_strategies([StrategyChange(user, [samples.outcome(0.9)]) for user in users])
        store.update_statistics([StatisticsChange(user, [MemoryScore(user, f"{name}", 0.5)]) for user in users])
        store.update_patterns([PatternChange(user, "pattern") for user in users])
        store.save_messages([samples.message(f"talk of {user}", user_id=user) for user in users])

    stores = [opened(), opened()]
    race(stores, learn, rounds=6)

    users = [f"user {n} {m}" for n in range(6) for m in range(6)]
    learned, scored = stores[0].load_strategies(users), stores[0].load_statistics(users)
    assert {learned[user].interventions for user in users} == {8}
    assert {scored[user].total_memories_scored for user in users} == {8}
    assert {pattern.frequency for (pattern,) in stores[0].load_patterns(users).values()} == {8}
    windows = [Window(f"talk of {user}") for user in users]
    assert {len(page) for page in stores[0].load_messages(windows).values()} == {8}


def test_the_same_changes_and_messages_at_once_in_any_order_count_once(opened):
    def learn(store: Store, name: int, n: int) -> None:
        order = random.Random(name)
        changes = [
            StrategyChange(f"user {m}", [samples.outcome(0.9, outcome_id=f"{n}")], change_id=f"{n} {m}")
            for m in range(5)
        ]
        messages = [samples.message(f"talk {m}", user_id=f"user {m}", message_id=f"{n}") for m in range(5)]
        order.shuffle(changes)
        order.shuffle(messages)
        store.update_strategies(changes)
        store.save_messages(messages)

    stores = [opened(), opened()]
    race(stores, learn, threads=6, rounds=4)

    users = [f"user {m}" for m in range(5)]
    assert {strategy.interventions for strategy in stores[0].load_strategies(users).values()} == {4}
    pages = stores[0].load_messages([Window(f"talk {m}") for m in range(5)])
    assert [len(page) for page in pages.values()] == [4] * 5


def test_users_who_are_erased_while_they_talk_disturb_nobody(opened):
    def talk(store: Store, name: int, n: int) -> None:
        users = [f"user {m}" for m in range(4)]
        if name % 4 == 0:
            store.erase_users(users if n % 2 else users[::-1])
        else:
            store.save_messages([samples.message(f"talk {m}", user_id=user) for m, user in enumerate(users)])
            store.update_strategies([StrategyChange(user, [samples.outcome(0.9)]) for user in users])

    stores = [opened(), opened()]
    race(stores, talk, rounds=4)

    assert stores[0].save_messages([samples.message("talk 0", user_id="user 0")])


def deadlocked(store: Store, url: str, write: Callable[[], Any], *things: Thing) -> Future[Any]:
    """Write while somebody else locks the second of two things first, and then the first; return once both are done."""
    first, second = keys(store, *things)
    with ThreadPoolExecutor(1) as pool, another(url) as other:
        other.execute(LOCK, [second])
        writing = pool.submit(write)
        wait_until(lambda: blocked(other))
        other.execute(LOCK, [first])
        other.rollback()
        writing.exception(30)
        return writing


def test_a_change_that_a_deadlock_undid_is_made_again(opened, postgres_shared_url):
    store = opened()
    store.update_strategies([StrategyChange(user) for user in ("alice", "bob")])
    errors = translated(store)
    changes = [StrategyChange(user, [samples.outcome(0.9)]) for user in ("alice", "bob")]

    writing = deadlocked(
        store,
        postgres_shared_url,
        lambda: store.update_strategies(changes),
        Thing("user", "alice"),
        Thing("user", "bob"),
    )

    assert len(writing.result()) == 2
    assert set(errors) == {"DeadlockDetected 40P01"}
    assert [strategy.interventions for strategy in store.load_strategies(["alice", "bob"]).values()] == [1, 1]


def test_messages_that_a_deadlock_undid_are_appended_again(opened, postgres_shared_url):
    store = opened()
    store.save_messages([samples.message("one"), samples.message("two")])
    errors = translated(store)
    messages = [samples.message("one", message_id="x"), samples.message("two", message_id="x")]

    writing = deadlocked(
        store,
        postgres_shared_url,
        lambda: store.save_messages(messages),
        Thing("conversation", "one"),
        Thing("conversation", "two"),
    )

    assert [receipt.sequence for receipt in writing.result()] == [2, 2]
    assert set(errors) == {"DeadlockDetected 40P01"}
    pages = store.load_messages([Window("one"), Window("two")])
    assert [len(page) for page in pages.values()] == [2, 2]


class Cancelled(psycopg.errors.SerializationFailure):
    """What a replica says when it replays what a reader still needs."""


@pytest.mark.parametrize("times", [1, 100])
def test_a_read_that_the_server_gave_up_is_asked_again_within_bounds(opened, monkeypatch, times):
    store = opened()
    store.save_messages(samples.talk(3))
    calls: list[int] = []
    driver: Any = store.chain.drivers["postgres"]
    reading = type(driver._database).reading

    @contextmanager
    def disturbed(self: Any) -> Iterator[Any]:
        with reading(self) as connection:
            calls.append(1)
            if len(calls) <= times:
                connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
            yield connection

    monkeypatch.setattr(type(driver._database), "reading", disturbed)
    if times == 1:
        assert len(store.load_messages([Window("talk")])[Window("talk")]) == 3
    else:
        with pytest.raises(StorageUnavailableError, match="too busy"):
            store.load_messages([Window("talk")])
        assert len(calls) < 10


# What several statements see.


def test_statistics_are_read_as_they_are_at_one_moment(opened):
    store, other, stop = opened(), opened(), threading.Event()
    scores = [MemoryScore("alice", f"memory {n}", n / 10) for n in range(5)]
    learned = StatisticsChange("alice", scores)
    store.update_statistics([learned])

    def disturb() -> None:
        while not stop.is_set():
            other.update_statistics([StatisticsChange("alice", forgotten=[score.memory_id for score in scores])])
            other.update_statistics([attrs.evolve(learned, change_id=f"{random.random()}")])

    with ThreadPoolExecutor(1) as pool:
        disturbing = pool.submit(disturb)
        read = [store.load_statistics(["alice"])["alice"] for _ in range(150)]
        stop.set()
        disturbing.result(60)

    seen = {(one.total_memories_scored, one.minimum, one.median, one.maximum) for one in read}
    assert seen <= {(5, 0.0, 0.2, 0.4), (0, None, None, None)}


def test_a_page_of_a_scan_is_of_one_moment(opened, monkeypatch):
    from whisper_persistence_drivers.sql import scanning

    store, other = opened(), opened()
    store.update_statistics([StatisticsChange(user, [MemoryScore(user, "m", 0.5)]) for user in ("alice", "bob")])

    def disturbed(*arguments: Any) -> Any:
        other.erase_users(["alice"])
        return statistics.load_statistics(*arguments)

    monkeypatch.setattr(scanning, "load_statistics", disturbed)
    page = store.scan("statistics", None, 10)

    assert [(record.user_id, record.median) for record in page.records] == [("alice", 0.5), ("bob", 0.5)]


def test_an_erase_raises_the_revision_of_a_conversation_that_somebody_joins_meanwhile(opened, monkeypatch):
    store, other = opened(), opened()
    store.save_messages([samples.message("old talk")])
    mine = samples.message("new talk", message_id="concerns her")
    hers = attrs.evolve(samples.message("third talk", user_id="bob", message_id="written by her"), author_id="alice")
    theirs, counting = Thing("conversation", "new talk"), erasing.Transaction.count
    third = Thing("conversation", "third talk")

    def disturbed(self: Any, kind: Any, raised: Any) -> Any:
        if "alice" in raised:
            other.save_messages([mine, hers])
        return counting(self, kind, raised)

    with monkeypatch.context() as patch:
        patch.setattr(erasing.Transaction, "count", disturbed)
        store.erase_users(["alice"])

    revisions = store.load_revisions([theirs, third])
    windows = [Window("new talk"), Window("third talk")]
    assert store.load_messages(windows) == {}
    assert [revisions[thing].revision for thing in (theirs, third)] == [2, 2]


@pytest.mark.parametrize("known", [True, False])
def test_a_follower_that_registers_while_others_write_is_told_or_finds_what_they_wrote(
    opened, postgres_shared_url, known
):
    store, other = opened(), opened()
    store.save_messages([samples.message(message_id="first")])
    (key,) = keys(store, Thing("conversation", "talk"))
    message = samples.message(message_id="meanwhile", user_id="alice" if known else "newcomer")

    def follow() -> set[str]:
        other.register_follower(Follower("follower", ["messages"]))
        return {record.message_id for record in other.scan("messages", None, 100).records}

    with ThreadPoolExecutor(2) as pool, another(postgres_shared_url) as session:
        session.execute(LOCK, [key])
        writing = pool.submit(store.save_messages, [message])
        wait_until(lambda: blocked(session))
        waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        following = pool.submit(follow)
        wait_until(lambda: following.done() or session.execute(waiting).fetchall()[0][0] > 1)
        session.rollback()
        writing.result(30)
        found = following.result(30)

    assert "meanwhile" in found | {pending.item for pending in other.load_pending("follower", 100)}


# Limits of patience.


@pytest.mark.parametrize("options", [{"lock_timeout": 0.1}, {"statement_timeout": 0.1}])
@pytest.mark.parametrize("known", [True, False])
def test_who_waits_too_long_for_a_lock_is_told_of_an_outage(opened, postgres_shared_url, options, known):
    store = opened(pool_size=1, **options)
    store.save_messages(samples.talk(1))
    (key,) = keys(store, Thing("conversation", "talk"))
    message = samples.message(user_id="alice" if known else "newcomer")
    with another(postgres_shared_url) as other:
        other.execute(LOCK, [key])
        with pytest.raises(StorageUnavailableError, match=r"did not answer \((LockNotAvailable|QueryCanceled) 5"):
            store.save_messages([message])
        with pytest.raises(StorageUnavailableError):
            store.update_messages([MessageEdit("talk", "m0", "other words")])

    assert store.save_messages([message])[0].sequence == 2
