"""Memory stays flat through outages and recoveries, however much is written."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from pathlib import Path

import pytest
from fault_tools.faulty import Faulty
from fault_tools.stores import Opener, drained
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Window
from whisper_persistence.testing import samples

BATCH = 100


def resident() -> float:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def live(opened: Opener, folder: Path, rounds: int, calls: int) -> list[tuple[float, float]]:
    """Write through outage and recovery, and return traced and resident memory in MiB after each round."""
    way = Faulty()
    record = SqliteDriver(folder / "memory.db", synchronous="normal")
    store = opened(("faulty", way), ("sqlite", record), deadline=20.0, remembered=200)
    curve: list[tuple[float, float]] = []
    number = 0
    for _ in range(rounds):
        for down in (False, True):
            way.down = down
            for _ in range(calls):
                number += BATCH
                talk = f"talk {number % 1_000}"
                store.save_messages([samples.message(talk, message_id=f"{number + n}") for n in range(BATCH)])
        way.down = False
        drained(store)
        store.load_messages([Window(f"talk {n * 100}", 20) for n in range(10)])
        gc.collect()
        curve.append((tracemalloc.get_traced_memory()[0] / 2**20, resident()))
    return curve


def check(opened: Opener, folder: Path, rounds: int, calls: int) -> None:
    tracemalloc.start()
    try:
        curve = live(opened, folder, rounds, calls)
    finally:
        tracemalloc.stop()
    sys.stdout.write(f"traced and resident MiB: {[(round(traced, 1), round(kept)) for traced, kept in curve]}\n")
    settled = curve[len(curve) // 3 :]

    assert settled[-1][0] < settled[0][0] * 1.1 + 1.0
    assert settled[-1][1] < settled[0][1] * 1.1 + 16.0


def test_memory_is_flat(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 6, 1)


@pytest.mark.long
def test_memory_is_flat_over_a_million_operations(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 20, 250)
