"""Memory stays flat through outages and recoveries, however much is written."""

from __future__ import annotations

import tracemalloc
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
    for first, last in ((settled[0].recovered, settled[-1].recovered), (settled[0].outage, settled[-1].outage)):
        assert last.traced < first.traced * 1.1 + 1.0
        assert last.resident < first.resident * 1.1 + 16.0


def test_memory_is_flat(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 6, 1)


@pytest.mark.long
def test_memory_is_flat_over_a_million_operations(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 20, 250)
