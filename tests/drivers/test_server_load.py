"""An even load on a server's drivers meets no error and leaves nothing behind: a small twin, and the whole of it."""

from __future__ import annotations

import asyncio
import importlib
import statistics
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("seconds", "writes", "reads"), [(1.0, 20, 50), pytest.param(600.0, 200, 500, marks=pytest.mark.long)]
)
def test_an_even_load_meets_no_error_and_leaves_nothing_behind(seconds, writes, reads, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    pytest.importorskip("rich")
    load: Any = importlib.import_module("server_load")
    stretches = asyncio.run(load.run(seconds, writes, reads))
    half = len(stretches) // 2
    first, second = (statistics.median(s.resident for s in some) for some in (stretches[:half], stretches[half:]))

    assert sum(len(s.reads) + len(s.writes) for s in stretches) >= (writes + reads) * seconds - load.STRETCHES
    assert sum(s.errors for s in stretches) == 0
    assert second < first * 1.1
    assert stretches[-1].threads <= max(s.threads for s in stretches[:half])
    assert stretches[-1].files <= max(s.files for s in stretches[:half]) + 2
