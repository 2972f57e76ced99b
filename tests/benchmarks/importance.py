"""What memory importance costs as a user's memories grow: ``python tests/benchmarks/importance.py [SIZE ...]``.

Each row is one SQLite file with one user of that many scored memories; every figure is the median of single calls, in
milliseconds. "score" and "store" take turns: the store's share is one bare ``update_statistics`` of the same change.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter_ns
from typing import Any, Final

from whisper_persistence import AsyncStore, MemoryScore, StatisticsChange
from whisper_persistence.companion import importance_scoring as scoring
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records.memories import BASE_WEIGHTS

SIZES: Final = (10, 1_000, 100_000)
COLUMNS: Final = ("formula", "score", "store", "100 together", "statistics", "core", "feedback")
NOW: Final = datetime.now(UTC)
WORDS: Final = ("sister", "plan", "wedding", "spring", "beach", "walk", "home", "dog", "coffee", "hope", "work", "rain")

_chance = Random(5)


def some_memory(number: int = 0) -> dict[str, Any]:
    """Return a memory of twelve words, some days old."""
    context = {"emotion": "joy", "intensity": _chance.random()}
    text, made = " ".join(_chance.choices(WORDS, k=12)), (NOW - timedelta(days=number)).isoformat()
    return {"content": text, "timestamp": made, "topic": _chance.choice("abc"), "emotional_context": context}


def some_score(memory_id: str) -> MemoryScore:
    """Return a score of a memory that differs from the others'."""
    factors = {name: _chance.random() for name in BASE_WEIGHTS}
    return scoring.score("alice", memory_id, factors, BASE_WEIGHTS, NOW)


async def timed(times: int, *calls: Any) -> list[float]:
    """Await some calls in turns, and return the median milliseconds of each."""
    spent: list[list[float]] = [[] for _ in calls]
    for number in range(times):
        for call, values in zip(calls, spent, strict=True):
            started = perf_counter_ns()
            await call(number)
            values.append((perf_counter_ns() - started) / 1e6)
    return [median(values) for values in spent]


async def measure(store: AsyncStore, size: int) -> list[float]:
    """Return the figures of `COLUMNS` for a user of so many memories."""
    for first in range(0, size, 1_000):
        scores = tuple(some_score(f"m{number}") for number in range(first, min(first + 1_000, size)))
        await store.update_statistics([StatisticsChange("alice", scores=scores)])
    engine = MemoryImportanceEngine(store)
    history = [some_memory(number) for number in range(50)]
    memory = some_memory(25)

    async def formula(_: int) -> None:
        scoring.score("alice", "m1", scoring.measure(memory, history, 0.3, NOW), BASE_WEIGHTS, NOW)

    async def score(number: int) -> None:
        await engine.calculate_memory_importance(f"m{number % size}", "alice", memory, history)

    async def bare(number: int) -> None:
        await store.update_statistics([StatisticsChange("alice", scores=(some_score(f"m{number % size}"),))])

    async def together(number: int) -> None:
        await asyncio.gather(*(score(number + other) for other in range(100)))

    async def feedback(number: int) -> None:
        await engine.record_feedback("alice", "m0", number % 2 == 0, some_score("m0"))

    await score(0)
    figures = await timed(200, formula, score, bare)
    figures += await timed(10, together)
    figures += await timed(50, lambda _: engine.get_importance_statistics("alice"))
    figures += await timed(50, lambda _: engine.identify_core_memories("alice"))
    return figures + await timed(50, feedback)


async def main(sizes: list[int]) -> None:
    """Print one row for each size."""
    print(f"{'memories':>10}", *(f"{column:>13}" for column in COLUMNS))  # noqa: T201
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            chain = Chain.build([DriverSpec("sqlite", {"path": Path(folder) / "memory.db"})])
            async with AsyncStore(chain) as store:
                figures = await measure(store, size)
        print(f"{size:>10,}", *(f"{figure:>13.3f}" for figure in figures), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main([int(argument) for argument in sys.argv[1:]] or list(SIZES)))
