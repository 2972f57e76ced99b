"""Several processes on one index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .conftest import wait
from .test_recall_killed import children, is_gone

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
    wait(lambda: is_gone(index), "the owner's child to end")
    taken = other.settle()

    assert (taken.details["owner"], taken.details["owned_here"]) == (os.getpid(), True)
    assert other.find("otter").answered == ("meaning",)
