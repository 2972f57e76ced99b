"""Under a long load, Redis stays within its bound and the process does not grow: a small twin, and the whole of it."""

from __future__ import annotations

import asyncio
import importlib
import statistics
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("messages", "conversations", "seconds", "bound"),
    [(6_000, 300, 2.0, 3_000_000), pytest.param(1_000_000, 50_000, 600.0, 64_000_000, marks=pytest.mark.long)],
)
def test_redis_stays_within_its_bound_and_the_process_does_not_grow(
    messages, conversations, seconds, bound, monkeypatch
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    pytest.importorskip("rich")
    load: Any = importlib.import_module("redis_load")
    samples, worst = asyncio.run(load.run(messages, conversations, seconds, bound))
    half = len(samples) // 2
    first, second = (statistics.median(s.resident for s in some) for some in (samples[1:half], samples[half:]))

    assert worst < bound * 1.1
    assert samples[-1].operations > 0
    assert second < first * 1.1
