"""Measure what the net of the preset ``desktop`` costs over the sqlite driver alone: four operations, as ratios.

``python tests/benchmarks/desktop_net.py`` lets the two take turns in one process, call by call, and prints the ratio of
the medians, by processor time and by the clock, and the same of sqlite against itself, which is the noise.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store, Strategy, Window
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

#: What is done, with a number that no other call has.
OPERATIONS: dict[str, Callable[[Store, int], Any]] = {
    "append": lambda store, number: store.save_messages([samples.message(message_id=f"{number}")]),
    "last 20": lambda store, number: store.load_messages([Window("talk", 20)]),
    "load": lambda store, number: store.load_strategies(["alice"]),
    "save": lambda store, number: store.save_strategies([Strategy("alice", f"{number}")]),
}


def ratios(
    folder: Path, rounds: int, synchronous: str = "normal", *, net: bool = True
) -> dict[str, tuple[float, float]]:
    """Return how much the net costs over the driver alone, for each operation.

    Args:
        folder: where the files go.
        rounds: how often each of the two does each operation.
        synchronous: as the sqlite driver has it; less than ``full`` leaves the disk's own noise out.
        net: whether there is a net at all; without one it is the noise that is measured.

    Returns:
        By operation the ratio of the medians of processor time, and of time by the clock.
    """
    alone = {"sqlite": SqliteDriver(folder / "alone.db", synchronous=synchronous)}
    below = {"sqlite": SqliteDriver(folder / "below.db", synchronous=synchronous)}
    above = {"memory-fallback": MemoryFallbackDriver(journal_directory=folder / "journals")} if net else {}
    with Store(Chain.of(alone)) as first, Store(Chain.of({**above, **below})) as second:
        for number in range(-10, 0):
            for act in OPERATIONS.values():
                act(first, number)
                act(second, number)
        return {name: _race(act, (first, second), rounds) for name, act in OPERATIONS.items()}


def _race(act: Callable[[Store, int], Any], stores: tuple[Store, Store], rounds: int) -> tuple[float, float]:
    used: tuple[list[int], list[int]] = [], []
    passed: tuple[list[int], list[int]] = [], []
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for which in (0, 1) if number % 2 else (1, 0):
                began, at = time.thread_time_ns(), time.perf_counter_ns()
                act(stores[which], number)
                passed[which].append(time.perf_counter_ns() - at)
                used[which].append(time.thread_time_ns() - began)
    finally:
        gc.enable()
    return median(used[1]) / median(used[0]), median(passed[1]) / median(passed[0])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2_000, help="how often each of the two does each operation")
    parser.add_argument("--synchronous", default="full", help="as the sqlite driver has it")
    asked = parser.parse_args()
    show = Console(width=120, highlight=False).print
    show("| operation | processor time | by the clock | noise: processor time | by the clock |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        noise = ratios(Path(first), asked.rounds, asked.synchronous, net=False)
        for name, (used, passed) in ratios(Path(second), asked.rounds, asked.synchronous).items():
            show(f"| {name} | {used:.2f} | {passed:.2f} | {noise[name][0]:.2f} | {noise[name][1]:.2f} |")


if __name__ == "__main__":
    main()
