"""What an operation costs, counted and never timed: calls of functions, statements, pages written.

A regression fails here before anybody measures it. The counts are those of this code with a margin; who makes an
operation dearer on purpose raises its budget in the same commit, and says why.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    AsyncStore,
    MemoryScore,
    Message,
    Outcome,
    StatisticsChange,
    Store,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.companion import (
    EmotionalIntelligence,
    MemoryImportanceEngine,
    PersistentStrategies,
    SupportStrategy,
)
from whisper_persistence.companion.support import SupportIntervention
from whisper_persistence.plugins import Chain

#: A count may exceed its budget by this much: interpreters differ in what they call.
MARGIN: Final = 1.15
PAGE: Final = 4_096


@attrs.frozen
class Budget:
    """What one call of an operation may cost, once everything is warm.

    Attributes:
        calls: function calls, Python's own and those of libraries in C.
        statements: statements of SQL.
        pages: pages that its commit adds to the write-ahead log.
    """

    calls: int
    statements: int
    pages: float


def turn(number: int) -> list[Message]:
    question = Message("talk", "alice", "alice", "How are you today? " * 5, message_id=f"q{number}")
    answer = Message("talk", "alice", "bot", "Well. " * 20, "assistant", f"a{number}", in_reply_to=f"q{number}")
    return [question, answer]


def append_a_turn(store: Store, number: int) -> Any:
    return store.save_messages(turn(number))


def last_20(store: Store, number: int) -> Any:
    del number
    return store.load_messages([Window("talk")])


def load_a_strategy(store: Store, number: int) -> Any:
    del number
    return store.load_strategies(["alice"])


def save_a_strategy(store: Store, number: int) -> Any:
    return store.save_strategies([Strategy("alice", "s", user_preferences={"notes": "calm " * 200, "version": number})])


def learn_an_outcome(store: Store, number: int) -> Any:
    return store.update_strategies([StrategyChange("alice", (Outcome(f"i{number}", "gentle_check_in", 0.8),))])


def score_a_memory(store: Store, number: int) -> Any:
    return store.update_statistics([StatisticsChange("alice", (MemoryScore("alice", f"m{number}", 0.6, {}),))])


BUDGETS: Final[dict[Callable[[Store, int], Any], Budget]] = {
    append_a_turn: Budget(calls=193, statements=5, pages=5.9),
    last_20: Budget(calls=102, statements=1, pages=0),
    load_a_strategy: Budget(calls=80, statements=1, pages=0),
    save_a_strategy: Budget(calls=169, statements=5, pages=2),
    learn_an_outcome: Budget(calls=436, statements=8, pages=8.7),
    score_a_memory: Budget(calls=432, statements=8, pages=8),
}


@pytest.fixture
def driver(tmp_path: Path) -> SqliteDriver:
    return SqliteDriver(path=tmp_path / "memory.db")


@pytest.fixture
def store(driver: SqliteDriver) -> Iterator[Store]:
    with Store(Chain.of({"sqlite": driver})) as store:
        for number in range(60):
            append_a_turn(store, -1 - number)
            learn_an_outcome(store, -1 - number)
            score_a_memory(store, -1 - number)
        yield store


@contextmanager
def counting() -> Iterator[list[int]]:
    """Count, in the one number of a list, the functions that are called on this thread."""
    counted = [0]

    def count_call(frame: Any, event: str, argument: Any) -> None:
        counted[0] += event in {"call", "c_call"}

    sys.setprofile(count_call)
    try:
        yield counted
    finally:
        sys.setprofile(None)


def calls_of(operation: Callable[[], Any]) -> int:
    """Return how many functions an operation calls, the least of a few times: now and then something is tidied up."""
    counts: list[int] = []
    for _ in range(5):
        with counting() as counted:
            operation()
            count = counted[0]
        counts.append(count)
    return min(counts)


def statements_of(connections: list[sqlite3.Connection], operation: Callable[[], Any]) -> int:
    """Return how many statements an operation runs."""
    seen: list[str] = []
    for connection in connections:
        connection.set_trace_callback(seen.append)
    try:
        operation()
    finally:
        for connection in connections:
            connection.set_trace_callback(None)
    return len(seen)


@pytest.mark.parametrize("operation", BUDGETS, ids=lambda operation: operation.__name__)
def test_an_operation_costs_no_more_than_its_budget(
    operation: Callable[[Store, int], Any], store: Store, driver: SqliteDriver, tmp_path: Path
) -> None:
    numbers = iter(range(1_000))

    def run() -> Any:
        return operation(store, next(numbers))

    for _ in range(5):
        run()
    database = driver._database
    statements = statements_of([database._only_writer(), *database._idle], run)
    database.scrub()
    log = tmp_path / "memory.db-wal"
    for _ in range(20):
        run()
    pages = log.stat().st_size / (PAGE + 24) / 20
    cost = Budget(calls_of(run), statements, round(pages, 2))
    budget = BUDGETS[operation]

    assert cost.calls <= budget.calls * MARGIN, cost
    assert cost.statements <= budget.statements, cost
    assert cost.pages <= budget.pages * MARGIN, cost


@attrs.frozen
class Companions:
    """A bot's objects on one store."""

    strategies: PersistentStrategies[SupportStrategy]
    mind: EmotionalIntelligence
    engine: MemoryImportanceEngine


async def learn_through_a_dict(bot: Companions, number: int) -> None:
    await bot.strategies.ensure("alice")
    held = bot.strategies["alice"]
    outcome = Outcome(f"i{number}", "gentle_check_in", 0.8)
    held.effective_approaches[:] = ["gentle_check_in"]
    held.support_history[:] = [*held.support_history, outcome.history_entry()][-10:]
    held.last_updated = outcome.timestamp
    await bot.strategies.flush("alice")


async def learn_from_a_reply(bot: Companions, number: int) -> None:
    offer = SupportIntervention(
        f"alice_intervention_{number}", "reactive", "gentle_check_in", "immediate", "How are you?", "", "", [], [], 5
    )
    await bot.mind.execute_intervention(offer)
    await bot.mind.track_intervention_response(offer.intervention_id, "thank you")


async def score_with_the_engine(bot: Companions, number: int) -> None:
    memory = {"content": "I love the sea", "timestamp": "2026-01-01T00:00:00+00:00"}
    await bot.engine.calculate_memory_importance(f"m{number}", "alice", memory, [])


#: Calls on the event loop's thread of one operation of a bot, awaited alone; the store's own part runs on another.
LOOP_CALLS: Final[dict[Callable[[Companions, int], Awaitable[None]], int]] = {
    learn_through_a_dict: 303,
    learn_from_a_reply: 346,
    score_with_the_engine: 537,
}


@pytest.mark.parametrize("operation", LOOP_CALLS, ids=lambda operation: operation.__name__)
def test_what_a_bot_awaits_adds_little_to_the_store(
    operation: Callable[[Companions, int], Awaitable[None]], driver: SqliteDriver
) -> None:
    async def count() -> int:
        async with AsyncStore(Chain.of({"sqlite": driver})) as store:
            strategies = PersistentStrategies(store, adopt={"alice": SupportStrategy("alice_strategy")})
            bot = Companions(strategies, EmotionalIntelligence(store), MemoryImportanceEngine(store))
            for number in range(30):
                await operation(bot, number)
            return min([await loop_calls(operation(bot, 100 + number)) for number in range(10)])

    calls = asyncio.run(count())

    assert calls <= LOOP_CALLS[operation] * MARGIN


@pytest.mark.long
@pytest.mark.parametrize(("script", "said"), [("companion.py", "from a reply"), ("importance.py", "100 together")])
def test_what_a_companion_costs_can_be_measured(script: str, said: str) -> None:
    command = [sys.executable, str(Path(__file__).parent / "benchmarks" / script), "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stderr
    assert said in done.stdout


async def loop_calls(work: Awaitable[None]) -> int:
    """Return how many functions are called on the event loop's thread until some work is done."""
    with counting() as counted:
        await work
        return counted[0]
