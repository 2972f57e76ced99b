"""An even load on a server's drivers meets no error and leaves nothing behind: a small twin, and the whole of it."""

from __future__ import annotations

import asyncio
import importlib
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch) -> Any:
    pytest.importorskip("rich")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("server_load")


def test_a_short_even_load_meets_no_error_and_leaves_nothing_behind(load):
    """Pools grow with whoever waits at once, so that how many threads a second of load needs is left to chance."""
    threads, files = load.held()
    stretches = asyncio.run(load.run(1.0, writes=20, reads=50, deadline=30))
    threads_after, files_after = load.held()

    assert sum(len(s.reads) + len(s.writes) for s in stretches) >= 70 - load.STRETCHES
    assert sum((s.errors for s in stretches), Counter()) == Counter()
    assert threads_after <= threads
    assert files_after <= files


@pytest.mark.long
def test_ten_minutes_of_an_even_load_meet_no_error_and_grow_nothing(load):
    stretches = asyncio.run(load.run(600.0, writes=200, reads=500))
    half = len(stretches) // 2
    first, second = (statistics.median(s.resident for s in some) for some in (stretches[:half], stretches[half:]))

    assert sum(len(s.reads) + len(s.writes) for s in stretches) >= 700 * 600 - load.STRETCHES
    assert sum((s.errors for s in stretches), Counter()) == Counter()
    assert second < first * 1.1
    assert stretches[-1].threads <= max(s.threads for s in stretches[:half])
    assert stretches[-1].files <= max(s.files for s in stretches[:half]) + 2
