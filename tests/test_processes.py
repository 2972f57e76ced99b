"""Several processes on one SQLite file, and a writer that is killed: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from whisper_persistence import MemoryScore, StatisticsChange, Store, StrategyChange
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

USERS = ("alice", "bob", "carol")
TASKS = 16
ROUNDS = 12
KILLS = 20

BOT = f"""
import asyncio, sys
from whisper_persistence import AsyncStore, MemoryScore, StatisticsChange, StrategyChange
from whisper_persistence.testing import samples

async def live(store, name):
    for n in range({ROUNDS}):
        for user in {USERS}:
            one = f"{{name}} {{n}}"
            said = samples.message(f"talk of {{user}}", "question", user, message_id=one)
            heard = samples.message(f"talk of {{user}}", "answer", user, message_id=one + " re", in_reply_to=one)
            outcome = samples.outcome(0.9, "gentle", outcome_id=one)
            score = MemoryScore(user, f"memory {{one}}", 0.25)
            await asyncio.gather(
                store.save_messages([said, heard]),
                store.update_strategies([StrategyChange(user, [outcome])]),
                store.update_statistics([StatisticsChange(user, [score])]),
            )

async def main():
    async with AsyncStore.from_settings(url="sqlite:///" + sys.argv[1]) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*(live(store, f"{{sys.argv[2]}}.{{task}}") for task in range({TASKS})))

asyncio.run(main())
"""


def opened(path: Path) -> Store:
    return Store(Chain.build([DriverSpec("sqlite", {"path": path})]))


def stored(store: Store, kind: str, key: Callable[[object], tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the keys of every record of a kind."""
    found: list[tuple[str, ...]] = []
    cursor = None
    while True:
        page = store.scan(kind, cursor, 1_000)
        found += [key(record) for record in page.records]
        cursor = page.cursor
        if cursor is None:
            return found


def test_two_processes_of_sixteen_tasks_lose_nothing_and_double_nothing(tmp_path):
    path = tmp_path / "memory.db"
    command = [sys.executable, "-c", textwrap.dedent(BOT), str(path)]
    bots = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        for name in ("one", "two")
    ]
    assert [bot.stdout.readline() for bot in bots if bot.stdout] == ["ready\n"] * 2
    for bot in bots:
        assert bot.stdin
        bot.stdin.write("go\n")
        bot.stdin.flush()
    for bot in bots:
        bot.communicate(timeout=100)

    assert [bot.returncode for bot in bots] == [0, 0]
    names = {f"{bot}.{task} {n}" for bot in ("one", "two") for task in range(TASKS) for n in range(ROUNDS)}
    with opened(path) as store:
        said = stored(store, "messages", lambda message: (message.user_id, message.message_id, message.sequence))
        assert {(user, one) for user, one, _ in said} == {
            (user, one + part) for user in USERS for one in names for part in ("", " re")
        }
        for user in USERS:
            assert [number for name, _, number in said if name == user] == list(range(1, 2 * len(names) + 1))
            strategy = store.load_strategies([user])[user]
            assert (strategy.interventions, strategy.successes) == (len(names), len(names))
            statistics = store.load_statistics([user])[user]
            assert statistics.total_memories_scored == len(names)
            assert (statistics.minimum, statistics.median, statistics.maximum) == (0.25, 0.25, 0.25)
            assert statistics.average_importance() == 0.25
        learned = stored(store, "outcomes", lambda outcome: (outcome.user_id, outcome.outcome_id))
        assert sorted(learned) == sorted((user, one) for user in USERS for one in names)
        scored = stored(store, "scores", lambda score: (score.user_id, score.memory_id))
        assert sorted(scored) == sorted((user, f"memory {one}") for user in USERS for one in names)


def write_until_killed(path: Path, run: int, pipe: int) -> None:
    """Append, learn and score, and report each number when its three writes were acknowledged."""
    with opened(path) as store:
        for n in range(1_000_000):
            one = f"{run} {n}"
            store.save_messages([samples.message(message_id=one, content="word " * 50)])
            store.update_strategies([StrategyChange("alice", [samples.outcome(0.9, outcome_id=one)])])
            store.update_statistics([StatisticsChange("alice", [MemoryScore("alice", one, 0.5)])])
            os.write(pipe, f"{one}\n".encode())


def killed_writer(path: Path, run: int, chance: random.Random) -> list[str]:
    """Let a process of its own write, kill it at a moment that nobody foresees, and return what it reported."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(here)
            write_until_killed(path, run, there)
        finally:
            os._exit(1)
    os.close(there)
    with os.fdopen(here, "rb") as reports:
        lines = [reports.readline() for _ in range(chance.randint(1, 10))]
        # Between two acknowledgements, as far as the clock allows: a write takes about a millisecond.
        time.sleep(chance.uniform(0.000_1, 0.003))
        os.kill(child, signal.SIGKILL)
        lines += reports.readlines()
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    return [line.decode().removesuffix("\n") for line in lines]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_a_killed_writer_was_told_is_stored_is_there_once(tmp_path):
    path = tmp_path / "memory.db"
    chance = random.Random(20_240_229)
    reported: list[str] = []
    for run in range(KILLS):
        reported += killed_writer(path, run, chance)

    with opened(path) as store:
        said = [one for (one,) in stored(store, "messages", lambda message: (message.message_id,))]
        learned = [one for (one,) in stored(store, "outcomes", lambda outcome: (outcome.outcome_id,))]
        scored = [one for (one,) in stored(store, "scores", lambda score: (score.memory_id,))]
        for found in (said, learned, scored):
            assert len(found) == len(set(found)) <= len(reported) + KILLS
            assert set(reported) <= set(found)
        assert store.load_strategies(["alice"])["alice"].interventions == len(learned)
        assert store.load_statistics(["alice"])["alice"].total_memories_scored == len(scored)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
