"""Several processes on one Chroma server: one follows by a lease, others search; one that wakes late harms nobody."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from whisper_persistence_drivers.recall import jobs
from whisper_persistence_drivers.recall.folder import Manifest
from whisper_persistence_drivers.recall.following import Outbox
from whisper_persistence_drivers.recall.leased import LeasedFolder

from whisper_persistence import MessageEdit, MessageRedaction, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.plugins import Chain

from .chroma_server import ChromaServer
from .conftest import Memories, Memory, wait
from .test_recall_killed import scanned

#: Opens a store and appends messages one by one, telling which were acknowledged.
WRITER = """
import os, sys, time
from pathlib import Path
from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message
recall = {**eval(sys.argv[1]), "path": Path(sys.argv[2])}
store = Store(Chain.build([DriverSpec("chroma-recall", recall), DriverSpec(sys.argv[3], eval(sys.argv[4]))]))
os.write(1, b"open\\n")
for n in range(100_000):
    store.save_messages([Message("talk", "alice", "alice", f"saying number {n} of otter{n}", message_id=f"m{n}")])
    os.write(1, b"m%d\\n" % n)
    time.sleep(0.05)
"""
COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
PATIENT = {"index_from": 0, "few": 0, "search_timeout": 60.0, "write_timeout": 120.0, "patience": 120.0}


@pytest.fixture(scope="module")
def running() -> Iterator[ChromaServer]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ChromaServer.running(Path(folder)) as found:
        yield found


@pytest.fixture
def server(running: ChromaServer) -> ChromaServer:
    """Return a server without anything in it."""
    for name in collections(running):
        httpx.delete(f"{running.url}{COLLECTIONS}/{name}", timeout=60.0).raise_for_status()
    return running


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> DriverSpec:
    if request.param == "sqlite":
        return DriverSpec("sqlite", {"path": str(tmp_path / "memory.db"), "search": False})
    patient = dict.fromkeys(("connect_timeout", "pool_timeout", "lock_timeout", "statement_timeout"), 60.0)
    return DriverSpec("postgres", {"url": request.getfixturevalue("postgres_url"), "search": False, **patient})


def collections(server: ChromaServer) -> set[str]:
    """Return what is at the server."""
    found = httpx.get(
        f"{server.url}/api/v2/tenants/default_tenant/databases/default_database/collections", timeout=60.0
    )
    return {collection["name"] for collection in found.raise_for_status().json()}


def check(memory: Memory, server: ChromaServer) -> set[str]:
    """The index holds what SQL does, nothing waits, and no other index is left at the server; return what SQL has."""
    seen, stored = memory.settle(), {message.message_id for message in scanned(memory.store) if message.content}
    for _ in jobs.audit(memory.state.below, "default", memory.state.index, lambda: 0):
        pass  # raises where a vector is missing, different or too much
    wait(lambda: len(collections(server)) == 1, "the other indexes to be removed")

    assert collections(server) == {f"whisper-{memory.state.index.build}"}
    assert memory.store.load_pending("chroma-recall", 10) == ()
    assert seen.details["vectors"] == len(stored)
    return stored


def start(path: Path, database: DriverSpec, server: ChromaServer, lease: float) -> subprocess.Popen[bytes]:
    recall = repr({**PATIENT, "url": server.url, "lease": lease})
    command = [sys.executable, "-c", WRITER, recall, str(path), database.name, repr(database.options)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"open\n"
    return writer


def is_free(database: DriverSpec) -> bool:
    """Say whether nobody is in the middle of a transaction: a frozen one would keep its locks, whatever we do."""
    if database.name == "sqlite":
        with closing(sqlite3.connect(database.options["path"], timeout=1.0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            return True
    time.sleep(1.0)
    long = "SELECT count(*) FROM pg_stat_activity WHERE xact_start < now() - interval '0.5 s' AND datname = %s"
    with psycopg.connect(database.options["url"]) as connection:
        return connection.execute(long, (connection.info.dbname,)).fetchall() == [(0,)]


def strike(writer: subprocess.Popen[bytes], blow: signal.Signals, database: DriverSpec) -> None:
    """Kill it, or freeze it between two transactions."""
    writer.send_signal(blow)
    while blow is signal.SIGSTOP and not is_free(database):
        writer.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        writer.send_signal(blow)


@pytest.mark.long
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_of_two_processes_one_follows_and_the_other_searches_and_takes_over(
    memories: Memories, database: DriverSpec, server: ChromaServer, blow: signal.Signals
) -> None:
    writer, woken = start(memories.path / "first", database, server, lease=60.0), list[bytes]()
    assert writer.stdout is not None
    try:
        wait(lambda: len(collections(server)) == 1, "the index of the first")
        other = memories.open(database=database, folder="second", url=server.url, lease=60.0)
        wait(lambda: other.find("otter").answered == ("meaning",), "the index of the first to be searched")
        wait(lambda: len(other.found("otter")) == 10, "what was said to be found")
        seen = other.health().details

        assert (seen["owned_here"], seen["followed"], seen["away"]) == (False, "by another process", "")
        assert f" {writer.pid} " in seen["owner"]
        assert (other.state.outbox.worked, other.state.pushed) == (0, 0)

        strike(writer, blow, database)
        wait(lambda: other.health().details["owned_here"], "the other to take over")
        other.settle()
        other.store.update_messages([MessageRedaction("talk", "m0"), MessageEdit("talk", "m1", "a violin")])
        other.settle()
        writer.send_signal(signal.SIGCONT)
        woken = [writer.stdout.readline() for _ in range(100)] if blow is signal.SIGSTOP else []
    finally:
        writer.kill()
        acknowledged = [line.decode().strip() for line in (*woken, *writer.communicate()[0].splitlines(keepends=True))]
    stored = check(other, server)

    assert other.health().details["rebuilds"] >= 1
    assert {name for name in acknowledged if name.startswith("m")} - {"m0"} <= stored
    assert "m0" not in {*stored, *other.found("otter0", limit=400)}
    assert other.found("a violin")[0] == "m1"


class Held:
    """What is below, with one hook that waits until it is let go."""

    def __init__(self, below: Any, hook: str) -> None:
        self._below, self._hook = below, hook
        self.reached, self.free = threading.Event(), threading.Event()

    def __getattr__(self, hook: str) -> Any:
        if hook == self._hook:
            self.reached.set()
            assert self.free.wait(300.0)
        return getattr(self._below, hook)


@pytest.mark.long
@pytest.mark.parametrize("frozen_before", ["load_messages", "save_vectors", "clear_pending"])
def test_what_a_holder_does_after_its_lease_ran_out_reaches_nobody(
    memories: Memories,
    database: DriverSpec,
    server: ChromaServer,
    monkeypatch: pytest.MonkeyPatch,
    frozen_before: str,
) -> None:
    """It is held before it reads what is pending, before it keeps a vector, and before it acknowledges its push."""
    late = memories.open(database=database, folder="late", url=server.url, lease=5.0)
    late.say(5)
    late.settle()
    held = late.state.outbox.below = Held(late.state.outbox.below, frozen_before)
    late.say(3, start=5)
    assert held.reached.wait(300.0)
    work, free = Outbox.work, threading.Event()
    monkeypatch.setattr(Outbox, "work", lambda *given: work(*given) if free.is_set() else 0)
    other = memories.open(database=database, folder="other", url=server.url, lease=60.0)
    wait(lambda: other.state.owned, "the other to take over")
    other.store.update_messages([MessageRedaction("talk", "m5"), MessageEdit("talk", "m6", "a violin")])
    pending = other.store.load_pending("chroma-recall", 10)
    assert {work.item for work in pending} >= {"m5", "m6", "m7"}

    held.free.set()
    wait(lambda: not late.state.owned, "the late one to stand aside")
    assert other.store.load_pending("chroma-recall", 10) == pending

    free.set()
    check(other, server)
    assert "m5" not in other.found(other.saying(5))
    assert other.found("a violin")[0] == late.found("a violin")[0] == "m6"
    assert "m7" in other.found(other.saying(7))


@pytest.fixture
def hook(tmp_path: Path, migrated_file: None) -> Iterator[Any]:
    """Return the hooks of a database that gives leases."""
    with Store(Chain.build([DriverSpec("sqlite", {"path": tmp_path / "memory.db"})])) as store:
        yield store.chain.hook


@pytest.fixture
def folder(hook: Any, tmp_path: Path) -> Callable[..., LeasedFolder]:
    """Return what makes the place of an index, with a list of what it removed from the server."""

    def make(dropped: list[str], seconds: float = 600.0) -> LeasedFolder:
        return LeasedFolder(tmp_path / "recall", below=hook, follower="f", seconds=seconds, drop=dropped.extend)

    return make


def claim(folder: LeasedFolder) -> None:
    """Have it asked for at once, until it is given."""

    def asked() -> bool:
        folder._ask_at = 0.0
        return folder.claim()

    wait(asked, "the lease to run out")


def test_an_index_that_was_left_in_order_is_the_next_holders(folder: Any) -> None:
    dropped: list[str] = []
    one, two = folder(dropped), folder(dropped)
    claim(one)
    build, failed = one.new_build(), one.new_build()
    one.write(Manifest(build, "model", "embedder", filled=True))
    assert not two.claim()
    assert two.owner() == one.holder
    one.write(Manifest(build, "model", "embedder", 7, clean=True, filled=True))
    one.release()
    claim(two)

    assert two.manifest() == Manifest(build, "model", "embedder", 7, clean=True, filled=True)
    assert (two.sweep(build), dropped) == (1, [failed])
    two.release()
    claim(one)
    assert one.manifest() == Manifest(build, "model", "embedder", 7, clean=True, filled=True)  # two left it as it was


def test_an_index_whose_holder_did_not_renew_is_given_up_and_the_holder_can_change_nothing(folder: Any) -> None:
    dropped: list[str] = []
    frozen, other = folder(dropped, seconds=0.1), folder(dropped)
    claim(frozen)
    build = frozen.new_build()
    frozen.write(Manifest(build, "model", "embedder", clean=True, filled=True))
    frozen.write(Manifest(build, "model", "embedder", filled=True))
    claim(other)
    mine = other.new_build()

    assert (other.manifest(), other.fence()) == (Manifest("", "model", "embedder", filled=True), frozen.fence() + 1)
    assert (other.sweep(mine), dropped) == (1, [build])
    assert frozen.owned()  # it cannot know
    for change in (frozen.new_build, lambda: frozen.write(Manifest("late", "model", "embedder", filled=True))):
        with pytest.raises(StorageUnavailableError, match="another process keeps the index"):
            change()
        assert not frozen.owned()
        frozen._lease = None
    other.write(Manifest(mine, "model", "embedder", filled=True))
    frozen._ask_at = time.monotonic()
    assert not frozen.claim()
    assert frozen.manifest() == other.manifest()


def test_an_index_that_is_not_trusted_any_more_is_nobodys(folder: Any) -> None:
    dropped: list[str] = []
    one, two = folder(dropped), folder(dropped)
    claim(one)
    build = one.new_build()
    one.write(Manifest(build, "model", "embedder", clean=True))
    one.forget()
    one.release()
    claim(two)

    assert (two.manifest(), two.has_builds()) == (Manifest("", "model", "embedder"), True)
    assert (two.sweep(), dropped, two.has_builds()) == (1, [build], False)
