"""A process that is killed between any two steps: nothing acknowledged is lost, nothing is applied twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_tools.faulty import Faulty
from fault_tools.stores import Opener, drained, waits
from whisper_persistence_drivers.net import steps
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store, StrategyChange, Window
from whisper_persistence.testing import samples

STEPS = (
    "write: committed, not acknowledged",
    "journal: not written",
    "journal: written, not synced",
    "journal: synced, not acknowledged",
    "replay: not asked yet",
    "replay: committed, not cleared",
    "replay: cleared",
)


def open_store(opener: Opener, folder: Path) -> tuple[Store, Faulty]:
    way = Faulty()
    return opener(("faulty", way), ("sqlite", SqliteDriver(folder / "memory.db")), deadline=20), way


def live(opener: Opener, folder: Path, told: int, at: Callable[[str], None]) -> None:
    """Talk and learn, in fair weather and foul, and tell what was acknowledged as one byte each."""
    store, way = open_store(opener, folder)
    steps.at = at
    number = os.getpid() * 1_000
    for down in (False, True, False, True, False):
        way.down = down
        for _ in range(4):
            number += 1
            store.save_messages([samples.message(message_id=f"{number}")])
            os.write(told, f"m{number}\n".encode())
            store.update_strategies([StrategyChange("alice", [samples.outcome(0.9)], change_id=f"{number}")])
            os.write(told, b"s\n")
        while not down and waits(store):
            time.sleep(0.001)


def killed(opener: Opener, folder: Path, at: Callable[[str], None]) -> list[str]:
    """Let a process live until it is killed, and return what it was acknowledged."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            live(opener, folder, writing, at)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    with os.fdopen(reading) as told:
        acknowledged = told.read().split()
    os.waitpid(child, 0)
    return acknowledged


def check(opener: Opener, folder: Path, acknowledged: list[str], deaths: int) -> None:
    store, _ = open_store(opener, folder)
    drained(store)
    window = Window("talk", 100_000)
    found = [message.message_id for message in store.load_messages([window]).get(window, ())]
    strategy = store.load_strategies(["alice"]).get("alice")
    said = [one[1:] for one in acknowledged if one != "s"]
    store.close()

    assert len(found) == len(set(found))
    assert [one for one in found if one in said] == said
    assert len(found) <= len(said) + deaths
    assert acknowledged.count("s") <= (strategy.interventions if strategy else 0) <= acknowledged.count("s") + deaths


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [2, pytest.param(6, marks=pytest.mark.long)])
def test_process_killed_between_any_two_steps(opened: Opener, tmp_path: Path, step: str, times: int) -> None:
    seen = 0

    def at(reached: str) -> None:
        nonlocal seen
        seen += reached == step
        if seen == times:
            os.kill(os.getpid(), signal.SIGKILL)

    open_store(opened, tmp_path)[0].close()
    acknowledged = killed(opened, tmp_path, at)

    assert 0 < len(acknowledged) < 40, "the step was never reached"
    check(opened, tmp_path, acknowledged, 1)


def _die_at_random(chance: float, seed: int) -> Callable[[str], None]:
    dice = random.Random(seed)

    def at(_: str) -> None:
        if dice.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def die_again_and_again(opener: Opener, folder: Path, deaths: int) -> None:
    open_store(opener, folder)[0].close()
    acknowledged: list[str] = []
    for seed in range(deaths):
        acknowledged += killed(opener, folder, _die_at_random(0.02, seed))
    check(opener, folder, acknowledged, deaths)


def test_a_process_that_dies_again_and_again(opened: Opener, tmp_path: Path) -> None:
    die_again_and_again(opened, tmp_path, 5)


@pytest.mark.long
def test_a_process_that_dies_three_hundred_times(opened: Opener, tmp_path: Path) -> None:
    die_again_and_again(opened, tmp_path, 300)
