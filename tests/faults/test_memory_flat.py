"""Memory stays flat through outages and recoveries, however much is written."""

from __future__ import annotations

import tracemalloc
from operator import attrgetter
from pathlib import Path

import pytest
from fault_tools.lifetime import live
from fault_tools.stores import Opener


def check(opened: Opener, folder: Path, rounds: int, calls: int) -> None:
    tracemalloc.start()
    try:
        curve = list(live(opened, folder, rounds, calls))
    finally:
        tracemalloc.stop()

    settled = curve[len(curve) // 3 :]
    early, late = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    for moment in ("recovered", "outage"):
        # The most of each half: outages leave more or less behind, and some of it comes once, when it is first needed.
        for kind, spare in (("traced", 0.5), ("resident", 8.0)):
            taken = attrgetter(f"{moment}.{kind}")
            assert max(map(taken, late)) < max(map(taken, early)) * 1.05 + spare


def test_memory_is_flat(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 6, 1)


@pytest.mark.long
def test_memory_is_flat_over_a_million_operations(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 20, 250)
