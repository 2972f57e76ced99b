"""The journal: what it survives, what it refuses, and who takes over whose."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_tools.faulty import Faulty
from fault_tools.stores import Opener, crash, drained, net_of, until, waits
from whisper_persistence_drivers.net import relay
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Durability, Message, StorageRefusedError, StorageUnavailableError, Store, Window
from whisper_persistence.records import State
from whisper_persistence.testing import samples

CANARY = "the words of somebody, private"


class Down:
    """A way down that can be switched, and stores over it."""

    def __init__(self, opener: Opener, folder: Path) -> None:
        self.opener, self.folder, self.way = opener, folder, Faulty(down=True)

    def open(self, **options: Any) -> Store:
        self.way = Faulty(down=self.way.down)
        record = SqliteDriver(self.folder / "memory.db")
        return self.opener(("faulty", self.way), ("sqlite", record), **options)

    def heal(self, store: Store) -> None:
        self.way.down = False
        drained(store)
        until(lambda: net_of(store)._prober.is_open)


@pytest.fixture
def down(opened: Opener, tmp_path: Path) -> Down:
    return Down(opened, tmp_path)


def say(store: Store, *ids: str) -> Durability:
    return store.save_messages([samples.message(message_id=one, content=CANARY) for one in ids])[0].durability


def said(store: Store) -> list[str]:
    window = Window("talk", 100_000)
    return [message.message_id for message in store.load_messages([window]).get(window, ())]


def files(down: Down, pattern: str = "*.journal") -> list[Path]:
    return sorted(down.opener.journals.glob(pattern))


def details(store: Store) -> dict[str, Any]:
    return store.check_health()[0].details


def test_a_journal_is_private_and_goes_when_it_is_empty(down: Down) -> None:
    store = down.open()
    assert files(down) == []
    say(store, "a")
    (file,) = files(down)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    down.heal(store)
    store.close()
    assert files(down, "*") == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "header", "words"])
def test_journal_file_damaged(down: Down, damage: str) -> None:
    store = down.open()
    for n in range(40):
        say(store, f"m{n}")
    crash(store)
    (file,) = files(down)
    for part in files(down, f"{file.name}-*"):
        if not part.name.endswith(".lock"):
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = bytearray(file.read_bytes())
    if damage == "flip":
        for place in range(6_000, len(content) - 4_096, 9_973):
            content[place : place + 40] = bytes(byte ^ 0xFF for byte in content[place : place + 40])
    elif damage == "words":
        place = content.index(CANARY.encode())
        content[place : place + 3] = b"THE"
    elif damage == "header":
        content[:100] = bytes(100)
    file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"" if damage == "empty" else content)
    again = down.open()
    down.heal(again)
    found = said(again)

    assert found == sorted(found, key=lambda one: int(one[1:]))
    assert {"flip": 1, "words": 39, "cut": 0, "empty": 0, "header": 0}[damage] <= len(found) < 40
    window = Window("talk", 100)
    assert {message.content for message in again.load_messages([window]).get(window, ())} <= {CANARY}
    assert say(again, "later") is Durability.DURABLE


def test_journal_disk_full(down: Down, monkeypatch: pytest.MonkeyPatch) -> None:
    store = down.open()
    say(store, "a")
    journal = net_of(store)._backlog._journal
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    told = [say(store, f"m{n}") for n in range(60)]
    assert told[-1] is Durability.VOLATILE
    assert details(store)["volatile"] == told.count(Durability.VOLATILE)
    assert store.check_health()[0].state is State.DEGRADED
    journal._connection.execute("PRAGMA max_page_count = 100000").fetchall()
    assert say(store, "with room again") is Durability.JOURNALED
    assert details(store)["volatile"] == 0
    down.heal(store)
    assert said(store) == ["a", *(f"m{n}" for n in range(60)), "with room again"]


def test_where_no_disk_can_be_written_every_answer_says_so(down: Down) -> None:
    down.opener.journals = Path("/proc/nowhere")
    store = down.open()

    assert [say(store, "a"), say(store, "b")] == [Durability.VOLATILE] * 2
    down.heal(store)
    assert said(store) == ["a", "b"]
    assert say(store, "c") is Durability.DURABLE


@pytest.mark.parametrize("options", [{"journal_entries": 10}, {"journal_mb": 1}])
def test_what_is_too_much_is_refused_and_nothing_is_dropped(down: Down, options: dict[str, int]) -> None:
    store = down.open(**options)
    words = "x" * 200_000 if "journal_mb" in options else "x"
    messages = [samples.message(message_id=f"m{n}", content=words) for n in range(10)]
    room = 10 if "journal_entries" in options else 5
    for message in messages[:room]:
        store.save_messages([message])
    with pytest.raises(StorageUnavailableError, match="as many as may"):
        store.save_messages([samples.message(content=words)])

    assert details(store)["refused"] == 1
    down.heal(store)
    assert said(store) == [message.message_id for message in messages[:room]]


def test_strict_refuses_instead_of_keeping(down: Down) -> None:
    store = down.open(strict=True)
    with pytest.raises(StorageUnavailableError, match="strict"):
        say(store, "a")
    with pytest.raises(StorageUnavailableError):
        said(store)

    assert waits(store) == 0


def test_sql_refuses_for_good(down: Down) -> None:
    store = down.open()
    for one in ("a", "bad", "b"):
        say(store, one)
    store.save_messages([samples.message(message_id=one) for one in ("c", "worse", "d")])
    bad = {"bad", "worse"}
    passed = down.way.pass_on

    def refuse(hook: str, name: str, items: Any) -> Any:
        if hook == "save_messages" and bad & {item.message_id for item in items}:
            raise StorageRefusedError("planted")
        return passed(hook, name, items)

    down.way.pass_on = refuse  # type: ignore[method-assign]
    down.heal(store)

    assert said(store) == ["a", "b", "c", "d"]
    assert details(store)["dead_letters"] == 2
    assert store.check_health()[0].state is State.DEGRADED


def test_what_is_older_than_thirty_days_is_set_aside(down: Down, monkeypatch: pytest.MonkeyPatch) -> None:
    store = down.open()
    say(store, "old")
    month = timedelta(days=30, minutes=1).total_seconds()
    monkeypatch.setattr(relay.time, "time", lambda now=time.time: now() + month)
    down.heal(store)

    assert said(store) == []
    assert details(store)["dead_letters"] == 1


@pytest.mark.parametrize("years", [-10, 10])
def test_clock_jumps_change_neither_order_nor_count(down: Down, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    store = down.open()
    say(store, "a")
    entry = type(net_of(store))._entry
    jump = years * 365 * 86_400 * 1_000_000

    def jumped(self: Any, hook: str, items: Any) -> Any:
        import attrs

        made = entry(self, hook, items)
        return attrs.evolve(made, written_at=max(0, made.written_at + jump) if years > 0 else made.written_at - 10**9)

    monkeypatch.setattr(type(net_of(store)), "_entry", jumped)
    say(store, "b")
    monkeypatch.undo()
    say(store, "c")
    down.heal(store)

    assert said(store) == ["a", "b", "c"]


def test_what_was_written_for_another_database_is_not_brought_in(down: Down, tmp_path: Path) -> None:
    store = down.open()
    say(store, "a")
    net_of(store)._backlog.belongs_to("another installation")
    crash(store)
    again = down.open()
    down.way.down = False
    until(lambda: net_of(again)._prober._stranger)

    assert waits(again) == 1
    assert again.check_health()[0].state is State.DEGRADED


def test_each_process_has_a_journal_and_that_of_a_dead_one_is_taken_over(down: Down) -> None:
    first, second = down.open(), down.open()
    say(first, "a")
    say(second, "b")
    assert len(files(down)) == 2
    crash(first)
    third = down.open()

    assert waits(third) == 1
    down.heal(third)
    down.way.down = False
    assert said(third) == ["a"]
    assert waits(second) == 1


def test_erasing_takes_the_words_out_of_every_file(down: Down) -> None:
    store = down.open()
    say(store, *(f"m{n}" for n in range(50)))
    store.save_messages([Message("talk", "bob", "bob", "kept", message_id="of bob")])
    store.erase_users(["alice"])

    for file in files(down, "*"):
        assert CANARY.encode() not in file.read_bytes(), file.name
    with pytest.raises(StorageUnavailableError):
        said(store)
    down.heal(store)
    assert said(store) == ["of bob"]


def test_fork_after_start(down: Down) -> None:
    store = down.open()
    say(store, "of the parent")
    child = os.fork()
    if child == 0:
        try:
            good = waits(store) == 0 and say(store, "of the child") is Durability.JOURNALED
        finally:
            os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert say(store, "later") is Durability.JOURNALED
    down.heal(store)
    store.check_health()
    drained(store)
    assert sorted(said(store)) == ["later", "of the child", "of the parent"]
    assert said(store).index("of the parent") < said(store).index("later")


def test_no_thread_and_no_file_is_left_behind(down: Down) -> None:
    import threading

    down.way.down = False
    down.open().close()
    threads, descriptors = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        store = down.open()
        down.way.down = True
        say(store, "a")
        down.heal(store)
        store.close()

    until(lambda: threading.active_count() <= threads)
    until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= descriptors)
