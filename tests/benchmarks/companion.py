"""What a companion's classes add to a round trip of the store: ``companion.py [ROUNDS [processor]]``.

On SQLite at full durability, in one run, in turns and rotating order: each operation as a bot awaits it, beside one
bare call of the store with the same change, and the bare operation in memory. "adds" is what the operation takes less
what it takes in memory, as so many times the round trip; the bar is 1.10. "100" are a hundred operations awaited
together, beside one call of the store with a hundred changes. With ``processor`` it counts the processor time of all
threads, which says something on a busy machine too; it leaves out the waiting for the disk, so its ratios are larger.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter_ns, process_time_ns
from typing import Any, Final

from importance import NOW, some_memory

from whisper_persistence import AsyncStore, Outcome, StatisticsChange, StrategyChange
from whisper_persistence.companion import (
    EmotionalIntelligence,
    MemoryImportanceEngine,
    PersistentStrategies,
    SupportStrategy,
)
from whisper_persistence.companion import importance_scoring as scoring
from whisper_persistence.companion.support import SupportIntervention
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records.memories import BASE_WEIGHTS

CLOCK: Final = process_time_ns if sys.argv[2:] == ["processor"] else perf_counter_ns
STYLE: Final = "gentle_check_in"
TOGETHER: Final = 100
MEMORY: Final = some_memory(25)
HISTORY: Final = [some_memory(number) for number in range(50)]


def learn_in_place(held: SupportStrategy, number: int) -> None:
    """Do what a bot does with an outcome, in memory."""
    if STYLE not in held.effective_approaches:
        held.effective_approaches.append(STYLE)
    now = datetime.now(UTC)
    entry = {
        "intervention_id": f"alice_intervention_{number}",
        "intervention_style": STYLE,
        "effectiveness_score": 0.8,
        "outcome_type": "successful",
        "timestamp": now.isoformat(),
    }
    held.support_history.append(entry)
    held.support_history = held.support_history[-10:]
    held.last_updated = now


def some_score(user_id: str, number: int) -> Any:
    """Return a score, as the engine makes it."""
    return scoring.score(user_id, f"m{number}", scoring.measure(MEMORY, HISTORY, 0.3, NOW), BASE_WEIGHTS, NOW)


class Bot:
    """A bot's objects on one store; every operation takes the number of the round and whose it is."""

    def __init__(self, store: AsyncStore) -> None:
        self.store = store
        self.strategies = PersistentStrategies(store)
        self.mind = EmotionalIntelligence(store)
        self.engine = MemoryImportanceEngine(store)
        self.bare = SupportStrategy("bare")

    async def through_a_dict(self, number: int, user_id: str) -> None:
        await self.strategies.ensure(user_id)
        if user_id not in self.strategies:
            self.strategies[user_id] = SupportStrategy(f"{user_id}_strategy")
        learn_in_place(self.strategies[user_id], number)
        await self.strategies.flush(user_id)

    async def from_a_reply(self, number: int, user_id: str) -> None:
        await self.mind.track_intervention_response(f"{user_id}_intervention_{number}", "thank you")

    async def a_score(self, number: int, user_id: str) -> None:
        await self.engine.calculate_memory_importance(f"m{number}", user_id, MEMORY, HISTORY)

    async def offer(self, number: int, user_id: str) -> None:
        """Deliver what `from_a_reply` tells the reply to."""
        key = f"{user_id}_intervention_{number}"
        offer = SupportIntervention(key, "reactive", STYLE, "immediate", "How are you?", "", "", [], [], 5)
        await self.mind.execute_intervention(offer)


def learned(user_id: str, number: int) -> StrategyChange:
    """Return what an outcome teaches."""
    return StrategyChange(user_id, (Outcome(f"{user_id}_intervention_{number}", STYLE, 0.8, "successful"),))


async def spent(work: Callable[[], Awaitable[object]]) -> float:
    """Return how many microseconds something takes."""
    started = CLOCK()
    await work()
    return (CLOCK() - started) / 1e3


async def measure(store: AsyncStore, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of each operation and round trip, by name, round by round."""
    bot, found = Bot(store), dict[str, list[float]]()
    strategies, statistics = store.update_strategies, store.update_statistics
    await bot.mind.load_user_strategy("alice")
    for number in range(rounds):
        await bot.offer(number, "alice")
        change, scored = learned("bob", number), StatisticsChange("bob", scores=(some_score("bob", number),))
        turns: dict[str, Callable[[], Awaitable[object]]] = {
            "an outcome: in memory": lambda n=number: _done(learn_in_place, bot.bare, n),
            "an outcome: round trip": lambda c=change: strategies([c]),
            "an outcome: through a dict": lambda n=number: bot.through_a_dict(n, "carol"),
            "an outcome: from a reply": lambda n=number: bot.from_a_reply(n, "alice"),
            "a score: in memory": lambda n=number: _done(some_score, "bare", n),
            "a score: round trip": lambda c=scored: statistics([c]),
            "a score: with the engine": lambda n=number: bot.a_score(n, "alice"),
        }
        names = list(turns)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found.setdefault(name, []).append(await spent(turns[name]))
    return found


async def _done(work: Callable[..., object], *arguments: Any) -> None:
    work(*arguments)


async def measure_together(store: AsyncStore, rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of a hundred operations awaited together, by name."""
    bot, found = Bot(store), dict[str, list[float]]()
    users = [f"user {number}" for number in range(TOGETHER)]
    for number in range(rounds):
        for user in users:
            await bot.offer(number, user)
        changes = [learned(f"other {user}", number) for user in users]
        scores = [StatisticsChange(f"other {u}", scores=(some_score(f"other {u}", number),)) for u in users]
        turns: dict[str, Callable[[], Awaitable[object]]] = {
            "an outcome: round trip": lambda c=changes: store.update_strategies(c),
            "a score: round trip": lambda c=scores: store.update_statistics(c),
        }
        for work in (bot.through_a_dict, bot.from_a_reply, bot.a_score):
            turns[work.__name__] = lambda n=number, work=work: asyncio.gather(*(work(n, user) for user in users))
        for name, work in turns.items():
            found.setdefault(name, []).append(await spent(work))
    return found


async def main(rounds: int) -> None:
    """Print what each operation adds."""
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain.build([DriverSpec("sqlite", {"path": Path(folder) / "memory.db"})])
        async with AsyncStore(chain) as store:
            await measure(store, 50)
            gc.collect()
            gc.freeze()
            alone = {name: median(values) for name, values in (await measure(store, rounds)).items()}
            await measure_together(store, 1)
            many = {name: median(values) for name, values in (await measure_together(store, 10)).items()}
    for name, value in alone.items():
        kind = name.partition(":")[0]
        bare, trip = alone[f"{kind}: in memory"], alone[f"{kind}: round trip"]
        ratio = "" if value in (bare, trip) else f"adds {(value - bare) / trip:.2f} round trips"
        print(f"{name:28} {value:8.1f} us  {ratio}")  # noqa: T201
    for name, value in many.items():
        print(f"100 together: {name:24} {value / 1e3:8.2f} ms")  # noqa: T201
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000))
