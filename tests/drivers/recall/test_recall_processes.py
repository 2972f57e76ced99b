"""Several processes on one index, and processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from whisper_persistence.records import VectorQuery

#: Opens a store and appends messages one by one, telling which were acknowledged; waits to be killed.
WRITER = """
import os, sys, time
from pathlib import Path
from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message
path, first = Path(sys.argv[1]), int(sys.argv[2])
recall = {"path": path / "recall", "index_from": 0, "few": 0}
store = Store(Chain.build([DriverSpec("chroma-recall", recall), DriverSpec("sqlite", {"path": path / "memory.db"})]))
os.write(1, b"open\\n")
for n in range(first, first + 100_000):
    store.save_messages([Message("talk", "alice", "alice", f"saying number {n} of otter{n}", message_id=f"m{n}")])
    os.write(1, b"m%d\\n" % n)
    time.sleep(0.002)
"""


def start(path: Path, first: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first)], stdout=subprocess.PIPE)  # noqa: S603


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def wait(condition: Any, what: str) -> Any:
    deadline = time.monotonic() + 120
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.02)
    return answer


def test_another_process_scans_and_says_so_and_takes_over_when_the_owner_dies(memories: Any) -> None:
    owner = start(memories.path)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        wait(lambda: children(owner.pid), "the owner's index")
        index = children(owner.pid)[0]
        other = memories.open()
        wait(lambda: len(other.found("otter")) == 10, "the owner's vectors")
        seen, result = other.health(), other.find("saying of otter")

        assert (seen.details["owner"], seen.details["owned_here"]) == (owner.pid, False)
        assert (result.answered, result.silent) == (("meaning by scan",), ("meaning by index",))
        assert other.store.erase_users(["nobody"])[0].remaining
    finally:
        owner.kill()
        owner.communicate()
    wait(lambda: gone(index), "the owner's child to end")
    taken = other.settle()

    assert (taken.details["owner"], taken.details["owned_here"]) == (os.getpid(), True)
    assert other.find("otter").answered == ("meaning",)


def check_after_kills(memories: Any, acknowledged: set[str]) -> None:
    """Everything acknowledged is in SQL, has its vector and is in the index; nothing else is."""
    memory = memories.open()
    seen = memory.settle()
    query = VectorQuery(memory.state.current.identity, limit=100_000)
    kept = {vector.message_id for vector in memory.store.load_vectors([query])[query].records}

    assert acknowledged <= kept
    assert (seen.details["pending"], seen.details["vectors"]) == (0, len(kept))
    for name in random.Random(7).sample(sorted(acknowledged), min(20, len(acknowledged))):
        hits = memory.find(f"otter{name[1:]}", limit=50).hits
        assert name in [hit.message.message_id for hit in hits]
    memory.store.close()


@pytest.mark.parametrize("kills", [1, pytest.param(200, marks=pytest.mark.long)])
def test_killed_at_random_moments_everything_is_found_afterwards(memories: Any, kills: int) -> None:
    moments = random.Random(20_26)
    acknowledged: set[str] = set()
    for kill in range(kills):
        writer = start(memories.path, kill * 1_000)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        for _ in range(moments.randrange(1, 120)):
            acknowledged.add(writer.stdout.readline().decode().strip())
        time.sleep(moments.random() * 3.0)  # the moment is what is tested: while a child starts, builds or writes
        others = children(writer.pid)
        for pid in [writer.pid, *(others if moments.random() < 0.5 else [])]:
            os.kill(pid, signal.SIGKILL)
        said = writer.communicate()[0].decode().split()
        acknowledged.update(said)
        for pid in others:
            wait(lambda pid=pid: gone(pid), "a child to end")
        if (kill + 1) % 20 == 0 or kill + 1 == kills:
            check_after_kills(memories, acknowledged)
