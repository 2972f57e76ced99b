"""Killed at random moments of append and indexing: afterwards everything is found, by words and by meaning alike."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.recall import jobs

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain

from .conftest import Memory, wait

#: Opens a store and appends batches, edits and redacts: each line is what was acknowledged, or is about to go.
WRITER = """
import os, random, sys, time
from pathlib import Path
from whisper_persistence import MessageEdit, MessageRedaction, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message
path, first, name, place = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], eval(sys.argv[4])
recall = DriverSpec("chroma-recall", {"path": path / "recall", "index_from": 0, "few": 0})
store = Store(Chain.build([recall, DriverSpec(name, {**place, "search": True})]))
chance = random.Random(first)
def tell(mark, *names):
    os.write(1, "".join(f"{mark}{name}\\n" for name in names).encode())
def message(n):
    return Message(f"talk{n % 3}", "alice", "alice", f"a saying of otter{n}", message_id=f"m{n}")
tell("", "open")
n = first
while True:
    batch = [message(n + k) for k in range(chance.choice((1, 1, 1, 1, 1, 5)))]
    store.save_messages(batch)
    tell("+", *(each.message_id for each in batch))
    n += len(batch)
    if chance.random() < 0.1:
        gone, edited = batch[0], message(n - 1)
        tell("?", gone.message_id)
        store.update_messages([MessageRedaction(gone.conversation_id, gone.message_id)])
        tell("-", gone.message_id)
        if edited.message_id != gone.message_id:
            store.update_messages([MessageEdit(edited.conversation_id, edited.message_id, edited.content + " twice")])
    time.sleep(0.03)
"""


@attrs.define(eq=False)
class Killed:
    """A store whose writers are killed, and what they said was acknowledged."""

    path: Path
    database: DriverSpec
    kept: set[str] = attrs.field(factory=set[str])
    gone: set[str] = attrs.field(factory=set[str])

    def note(self, line: str) -> None:
        """Take notice of a line; one that a kill cut short says nothing."""
        mark, name = line[0], line[1:-1]
        if not line.endswith("\n"):
            return
        self.kept = (self.kept | {name}) if mark == "+" else (self.kept - {name})
        if mark == "-":
            self.gone.add(name)

    def kill_one(self, first: int, moments: random.Random) -> None:
        """Start a writer and kill it, half of the times its child of Chroma's too."""
        place = repr({key: str(value) for key, value in self.database.options.items()})
        command = [sys.executable, "-c", WRITER, str(self.path), str(first), self.database.name, place]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:  # noqa: S603
            assert writer.stdout is not None
            assert writer.stdout.readline() == "open\n"
            for _ in range(moments.randrange(1, 20)):
                self.note(writer.stdout.readline())
            time.sleep(moments.random() * 3.0)  # the moment is what is tested: while a child starts, builds or writes
            others = children(writer.pid)
            for pid in [writer.pid, *(others if moments.random() < 0.5 else [])]:
                os.kill(pid, signal.SIGKILL)
            for line in writer.stdout:
                self.note(line)
        for pid in others:
            wait(lambda pid=pid: is_gone(pid), "a child to end")

    def open(self) -> Memory:
        patient = {"search_timeout": 60.0, "write_timeout": 120.0, "patience": 60.0}
        recall = DriverSpec("chroma-recall", {"path": self.path / "recall", "index_from": 0, "few": 0, **patient})
        searched = attrs.evolve(self.database, options={**self.database.options, "search": True})
        return Memory(Store(Chain.build([recall, searched])), self.path)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def count(memory: Memory, database: str, table: str) -> int:
    """Return how many rows a table has."""
    driver: Any = memory.store.chain.drivers[database]
    name = getattr(driver._database.flavour.tables, table).fullname
    with driver._database.reading() as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]  # noqa: S608
    return found


def check(killed: Killed, asked: int) -> None:
    """All that was acknowledged is found in both ways, the indexes hold what SQL does, and nothing waits."""
    memory = killed.open()
    seen = memory.settle()
    wait(lambda: not memory.health().details["pending"] and not count(memory, killed.database.name, "outbox"), "notes")
    stored = {message.message_id for message in scanned(memory.store) if message.content}
    chosen = random.Random(7).sample(sorted(killed.kept), min(asked, len(killed.kept)))

    assert killed.kept <= stored
    assert not killed.gone & stored
    assert count(memory, killed.database.name, "terms") == len(stored)
    assert seen.details["vectors"] == len(stored)
    assert seen.details["set_aside"] == 0
    for _ in jobs.audit(memory.state.below, "default", memory.state.index, lambda: 0):
        pass  # raises where a vector is missing, different or too much
    for names in batches(chosen):
        result = memory.find(asking(names), limit=400)
        parts = {hit.message.message_id: hit.parts for hit in result.hits}
        assert result.answered == ("text", "meaning")
        assert parts.keys() <= stored
        assert {name for name in names if parts.get(name, {}).get("text", 0.0) <= 0.0} == set()
        assert {name for name in names if "meaning" not in parts[name]} == set()
    gone = sorted(killed.gone)
    for names in batches(random.Random(8).sample(gone, min(asked, len(gone)))):
        assert not set(names) & set(memory.found(asking(names), limit=400))
    memory.store.close()


def batches(names: list[str]) -> Iterator[list[str]]:
    """Yield names in groups, so small that both layers' candidates have room for them and their neighbours."""
    for start in range(0, len(names), 20):
        yield names[start : start + 20]


def asking(names: list[str]) -> str:
    """Return a question that only these messages have words of."""
    return " ".join(f"otter{name[1:]}" for name in names)


def scanned(store: Store) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    while True:
        page = store.scan("messages", cursor, 1_000)
        found += page.records
        if (cursor := page.cursor) is None:
            return found


def check_all(killed: Killed, kills: int) -> None:
    moments = random.Random(20_26)
    for kill in range(1, kills + 1):
        killed.kill_one(kill * 10_000, moments)
        if kill % 50 == 0 or kill == kills:
            check(killed, 1_000_000 if kill == kills == 200 else 50)


@pytest.mark.parametrize("kills", [1, pytest.param(200, marks=pytest.mark.long)])
def test_killed_above_sqlite_everything_is_found_afterwards(tmp_path: Path, kills: int) -> None:
    check_all(Killed(tmp_path, DriverSpec("sqlite", {"path": tmp_path / "memory.db"})), kills)


@pytest.mark.long
@pytest.mark.parametrize("kills", [1, 200])
def test_killed_above_postgres_everything_is_found_afterwards(tmp_path: Path, postgres_url: str, kills: int) -> None:
    patient = dict.fromkeys(("connect_timeout", "pool_timeout", "lock_timeout", "statement_timeout"), 60.0)
    check_all(Killed(tmp_path, DriverSpec("postgres", {"url": postgres_url, **patient})), kills)
