"""SQLite's locks belong to the process, and are lost with any descriptor of the file."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from whisper_persistence import StorageUnavailableError, Store
from whisper_persistence.testing import samples

from .stores import TALK, ids, ids_of_all, opened, python, told


def test_two_stores_of_one_process_lose_nothing_when_another_process_comes_and_goes(path):
    with opened(path, "one") as one, opened(path, "two") as two:
        one.save_messages(samples.talk(3))
        with opened(path, "three"):
            told("opened().close()", path)
        one.save_messages(samples.talk(10))
        two.save_messages(samples.talk(5))

        assert told("print(len(samples.__name__), end=''); opened().close()", path)
    with opened(path, "one") as one, opened(path, "two") as two:
        assert (len(ids(one)), len(ids(two))) == (10, 5)


@contextmanager
def forked() -> Iterator[tuple[int, socket.socket]]:
    """Fork; the child gets 0, and ends with the block; the parent the child's id; each gets its end of a line."""
    here, there = socket.socketpair()
    child = os.fork()
    if child:
        there.close()
        with here:
            yield child, here
        return
    status = 1
    try:
        here.close()
        yield child, there
        status = 0
    finally:
        os._exit(status)


forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@forks
def test_what_a_forked_child_writes_after_its_parent_closed_is_kept(path):
    store = opened(path)
    store.save_messages(samples.talk(3))
    with forked() as (child, line):
        if not child:
            store.save_messages(samples.talk(5))
            line.sendall(b"open")
            assert line.recv(6) == b"closed"
            store.save_messages(samples.talk(10))
            return
        assert line.recv(4) == b"open"
        store.close()
        line.sendall(b"closed")

    assert os.waitpid(child, 0)[1] == 0
    with opened(path) as store:
        assert len(ids(store)) == 10


@forks
def test_a_fork_while_other_threads_write_loses_nothing_on_either_side(path):
    enough = threading.Event()
    written: list[str] = []

    def write(store: Store, name: int) -> None:
        while not enough.is_set():
            message_id = f"{name} {len(written)}"
            store.save_messages([samples.message(message_id=message_id)])
            written.append(message_id)

    with opened(path) as store, ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, store, name) for name in range(3)]
        for n in range(5):
            with forked() as (child, _):
                if not child:
                    assert ids(store) is not None
                    store.save_messages([samples.message(message_id=f"child {n}")])
            assert os.waitpid(child, 0)[1] == 0
        enough.set()
        assert all(future.result() is None for future in writing)

        assert set(ids_of_all(store)) == {*written, *(f"child {n}" for n in range(5))}


HOLDING = """
import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def test_a_write_waits_for_another_process(path):
    with opened(path, busy_timeout=60) as store, ThreadPoolExecutor(1) as pool:
        other = python(HOLDING, path)
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        writing = pool.submit(store.save_messages, samples.talk(1))
        assert not store.load_messages([TALK])
        assert not writing.done()
        other.communicate("go on\n", timeout=60)

        assert [receipt.sequence for receipt in writing.result(60)] == [1]


def test_a_write_that_waits_too_long_for_another_process_is_an_outage(path):
    with opened(path, busy_timeout=0.05) as store:
        other = python(HOLDING, path)
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StorageUnavailableError, match="did not answer") as caught:
            store.save_messages(samples.talk(1))
        other.communicate("go on\n", timeout=60)

        assert "locked" not in str(caught.value)
        assert len(store.save_messages(samples.talk(1))) == 1


OPENING = """
import logging
class Told(logging.Handler):
    def emit(self, record):
        if "upgraded" in record.getMessage():
            print("upgraded", flush=True)
logging.getLogger("whisper_persistence_drivers.sql.schema").addHandler(Told())
logging.getLogger("whisper_persistence_drivers.sql.schema").setLevel("INFO")
import alembic.command
print("ready", flush=True)
sys.stdin.readline()
with opened() as store:
    store.save_messages([samples.message(message_id=sys.argv[2])])
"""


def test_of_many_processes_that_open_an_empty_path_one_installs_and_all_work(path):
    processes = [python(OPENING, path, n) for n in range(4)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 4
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(answers) == [""] * 3 + ["upgraded\n"]
    with opened(path) as store:
        assert sorted(ids(store)) == [str(n) for n in range(4)]
