"""Memory stays flat through outages and recoveries, however much is written."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path

import pytest
from fault_tools.lifetime import Memory, Round, live
from fault_tools.stores import Opener


def check(opened: Opener, folder: Path, rounds: int, calls: int) -> None:
    tracemalloc.start()
    try:
        curve = list(live(opened, folder, rounds, calls))
    finally:
        tracemalloc.stop()

    settled = curve[len(curve) // 3 :]
    early, late = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    for moment in (attrgetter("recovered"), attrgetter("outage")):
        # The most of each half: what is remembered of a storage that was slow for a while is less, and then more again.
        assert most(late, moment, "traced") < most(early, moment, "traced") * 1.1 + 1.0
        assert most(late, moment, "resident") < most(early, moment, "resident") * 1.1 + 16.0


def most(rounds: Sequence[Round], moment: Callable[[Round], Memory], kind: str) -> float:
    return max(getattr(moment(one), kind) for one in rounds)


def test_memory_is_flat(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 6, 1)


@pytest.mark.long
def test_memory_is_flat_over_a_million_operations(opened: Opener, tmp_path: Path) -> None:
    check(opened, tmp_path, 20, 250)
