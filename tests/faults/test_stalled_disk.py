"""A disk that stalls keeps commits waiting and reads not: reads are answered, and show each own write once."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_tools.faulty import Faulty
from fault_tools.history import History
from fault_tools.machine import Machine
from fault_tools.servers import Postgres
from fault_tools.stores import Opener, breakers, drained, late, leave_alone, net_of, until
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Durability, MessageEdit, PreferencesChange, Store, Window
from whisper_persistence.testing import samples

DEADLINE = 0.6
TALKS = [f"talk {n}" for n in range(12)]


@contextmanager
def stalled(server: Postgres) -> Generator[None]:
    """Let no commit end until the block does."""
    server.stall()
    try:
        yield
    finally:
        server.flow()


def shown(store: Store, talk: str, limit: int = 100) -> list[str]:
    """Return the ids that a window shows; raises where they are not known."""
    window = Window(talk, limit)
    return [message.message_id for message in store.load_messages([window]).get(window, ())]


def say(store: Store, message_id: str, talk: str = "talk") -> Durability:
    message = samples.message(message_id=message_id, conversation_id=talk, user_id=talk, author_id=talk)
    return store.save_messages([message])[0].durability


def test_what_nobody_has_read_yet_is_read(
    opened: Opener, fault_postgres: Postgres, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(DEADLINE, machine)
    other = opened.postgres(fault_postgres.url)
    store = opened.postgres(fault_postgres.url, deadline=DEADLINE)
    for talk in TALKS:
        history.say(other, 1, talk, "bob", 2)

    caplog.clear()
    with stalled(fault_postgres):
        leave_alone(store)
        with ThreadPoolExecutor(12) as threads:  # as many as could take every connection to the database
            durabilities = list(threads.map(lambda n: say(store, f"m{n}", f"other {n}"), range(12)))
        assert durabilities == [Durability.JOURNALED] * 12
        assert [breaker.is_open() for breaker in breakers(store)] == [True, False]
        for talk in TALKS:
            theirs = history.said[1, talk]
            assert shown(store, talk) == theirs
            history.say(store, 0, talk, "alice", 2)
            assert shown(store, talk) == theirs + history.said[0, talk]
            history.learn(store, 0, f"of {talk}")
        details = store.check_health()[0].details
        assert (details["breaker_writes"], details["breaker_reads"]) == ("open", "closed")
        assert details["backlog"] == 12 + 2 * len(TALKS)
    drained(store)

    until(lambda: "what waited is brought in" in caplog.messages)
    assert not breakers(store)[0].is_open()
    assert caplog.messages == [
        "postgres: writing: does not answer and is left alone",
        "postgres: writing: answers again",
        "what waited is brought in",
    ]
    assert [shown(store, f"other {n}") for n in range(12)] == [[f"m{n}"] for n in range(12)]
    history.check(store)


def test_a_write_that_lands_late_is_shown_once_and_in_its_place(opened: Opener, fault_postgres: Postgres) -> None:
    other = opened.postgres(fault_postgres.url)
    store = opened.postgres(fault_postgres.url, deadline=DEADLINE)
    until(lambda: say(store, "a") is Durability.DURABLE)
    relay = net_of(store)._relay
    ready, relay.ready = relay.ready, lambda: False
    with stalled(fault_postgres):
        with ThreadPoolExecutor(2) as threads:
            said = threads.submit(say, store, "late")
            wished = threads.submit(store.update_preferences, [PreferencesChange("bob", {"music": True})])
        assert [said.result(), wished.result()[0].durability] == [Durability.JOURNALED] * 2
        assert store.load_preferences(["bob"])["bob"].values == {"music": True}
        store.update_messages([MessageEdit("talk", "late", "mended")])
        assert say(store, "b") is Durability.JOURNALED
        assert shown(store, "talk") == ["a", "late", "b"]
    until(lambda: not late(store))
    assert shown(other, "talk") == ["a", "late"]
    for message_id in ("theirs 1", "theirs 2"):
        until(lambda message_id=message_id: say(other, message_id) is Durability.DURABLE)

    assert store.load_preferences(["bob"])["bob"].values == {"music": True}
    assert shown(store, "talk") == ["a", "late", "theirs 1", "theirs 2", "b"]
    assert shown(store, "talk", 2) == ["theirs 2", "b"]
    assert shown(store, "talk", 1) == ["b"]
    sequences = {m.message_id: m.sequence for m in store.load_messages([Window("talk", 2)])[Window("talk", 2)]}
    older, newer = Window("talk", 2, before=sequences["theirs 2"]), Window("talk", after=sequences["theirs 2"])
    found = store.load_messages([older, newer])
    assert [m.message_id for m in found[older]] == ["late", "theirs 1"]
    assert found[older][0].content == "mended"
    assert [m.message_id for m in found[newer]] == ["b"]
    relay.ready = ready
    drained(store)
    assert shown(store, "talk") == ["a", "late", "theirs 1", "theirs 2", "b"]
    (found,) = [m for m in store.load_messages([Window("talk")])[Window("talk")] if m.message_id == "late"]
    assert found.content == "mended"


def test_writes_that_do_not_end_leave_room_for_reads(opened: Opener, tmp_path: Path) -> None:
    writing = threading.Event()

    def plan(_: int, hook: str) -> str | None:
        writing.set() if hook.startswith("save") else None
        return "hangs" if hook.startswith("save") else None

    planted = Faulty(plan=plan)
    below = ("faulty", planted), ("sqlite", SqliteDriver(tmp_path / "memory.db"))
    store = opened(*below, deadline=DEADLINE, in_flight=4)
    with ThreadPoolExecutor(16) as threads:
        writes = [threads.submit(say, store, f"m{n}", f"talk {n}") for n in range(12)]
        assert writing.wait(30)
        reads = [threads.submit(shown, store, f"unseen {n}") for n in range(4)]
        found = [read.result() for read in reads]
        durabilities = {write.result() for write in writes}
    planted.released.set()
    drained(store)

    assert found == [[]] * 4
    assert durabilities == {Durability.JOURNALED}
    assert [shown(store, f"talk {n}") for n in range(12)] == [[f"m{n}"] for n in range(12)]
