"""Kills an erase at one step after another, and says for each what the next store finds.

It runs as a process of its own, with one thread, so that it may fork: every child opens a copy of one store, erases a
user and is killed where it calls its n-th function. What is found afterwards is printed as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from whisper_persistence import Message, Store
from whisper_persistence.operations.erasure_check import check_tiers
from whisper_persistence.operations.reading import read_pages
from whisper_persistence.records import RECORD_KINDS, Follower, MemoryScore, Outcome, StatisticsChange, StrategyChange

#: The functions of these files, and what they call of libraries, are the steps.
WATCHED = ("erasures.py", "erasing.py", "erasure_hooks.py", "sqlite_database.py", "sqlite_tombstones.py")
WATCHED += ("sqlite_scrubbing.py", "whisper_persistence_jsonl")
USERS = ("alice", "bob")


def open_store(folder: Path) -> Store:
    """Open the store of a folder: with conversations in files of their own, where that driver is installed."""
    drivers = ["jsonl", "sqlite"] if "jsonl" in sys.argv else ["sqlite"]
    options = {"sqlite": {"path": str(folder / "memory.db")}, "jsonl": {"directory": str(folder / "talks")}}
    return Store.from_settings(drivers=drivers, options={name: options[name] for name in drivers}, namespace="bot")


def fill(store: Store) -> None:
    """Let two users talk and learn, with a follower who is told of it."""
    store.register_follower(Follower("index", ("strategies", "scores")))
    for user in USERS:
        store.save_messages([Message("talk", user, user, f"{user} {n}", message_id=f"{user}{n}") for n in range(5)])
        store.update_strategies([StrategyChange(user, [Outcome(f"{n}", "gentle", 0.9) for n in range(3)])])
        store.update_statistics([StatisticsChange(user, [MemoryScore(user, f"m{n}", 0.5) for n in range(3)])])


def erase(folder: Path, step: int) -> None:
    """Erase alice, and be killed at a step, unless there are not so many."""
    store = open_store(folder)
    steps = 0

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal steps
        if event in ("call", "c_call") and any(name in frame.f_code.co_filename for name in WATCHED):
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    store.erase_users(["alice"])
    sys.setprofile(None)


def found(folder: Path) -> dict[str, Any]:
    """Say what a store shows that is opened now."""
    with open_store(folder) as store:
        left = [check.found for check in check_tiers(store, ["alice"], ["talk"], lambda *_: None) if check.found]
        others = {kind: len([r for p in read_pages(store, kind) for r in p.records]) for kind in RECORD_KINDS}
        again = store.load_strategies(["alice"])
    return {"left": left, "others": others, "again": len(again)}


def run_step(original: Path, step: int) -> dict[str, Any]:
    """Return how the process ended that was to be killed at a step, and what was found then."""
    folder = original.with_name(f"step {step}")
    shutil.copytree(original, folder)
    child = os.fork()
    if not child:
        erase(folder, step)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told = {"step": step, "ended": ended, **found(folder)}
    shutil.rmtree(folder)
    return told


def main() -> None:
    """Prepare a store in a folder, and kill erases there at a first step and every so many after it, until one ends."""
    original, step, stride = Path(sys.argv[1], "original"), int(sys.argv[2]), int(sys.argv[3])
    original.mkdir()
    with open_store(original) as store:
        fill(store)
    while True:
        told = run_step(original, step)
        sys.stdout.write(f"{json.dumps(told)}\n")
        sys.stdout.flush()
        if told["ended"] == 0:
            return
        step += stride


if __name__ == "__main__":
    main()
