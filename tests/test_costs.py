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
    pages: float = 0


def turn(number: int) -> list[Message]:
    question = Message("talk", "alice", "alice", "How are you today? " * 5, message_id=f"q{number}")
    answer = Message("talk", "alice", "bot", "Well. " * 20, "assistant", f"a{number}", in_reply_to=f"q{number}")
    return [question, answer]


def append_a_turn(store: Store, number: int) -> Any:
    return store.save_messages(turn(number))


def import_a_batch(store: Store, number: int) -> Any:
    return store.save_messages([message for each in range(100) for message in turn(1_000 + 100 * number + each)])


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
    import_a_batch: Budget(calls=2_692, statements=203, pages=46.4),
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


@contextmanager
def tracing(connections: list[sqlite3.Connection]) -> Iterator[list[str]]:
    """Collect the statements that are run on connections, in a list."""
    seen: list[str] = []
    for connection in connections:
        connection.set_trace_callback(seen.append)
    try:
        yield seen
    finally:
        for connection in connections:
            connection.set_trace_callback(None)


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
    with tracing([database._only_writer(), *database._idle]) as seen:
        run()
    database.scrub()
    log = tmp_path / "memory.db-wal"
    for _ in range(20):
        run()
    pages = log.stat().st_size / (PAGE + 24) / 20
    cost = Budget(calls_of(run), len(seen), round(pages, 2))
    budget = BUDGETS[operation]

    assert cost.calls <= budget.calls * MARGIN, cost
    assert cost.statements <= budget.statements, cost
    assert cost.pages <= budget.pages * MARGIN, cost


async def append_alone(store: AsyncStore, number: int) -> None:
    await store.save_messages(turn(number))


async def append_together(store: AsyncStore, number: int) -> None:
    await asyncio.gather(*(store.save_messages(turn(100 * number + task)) for task in range(32)))


async def last_20_alone(store: AsyncStore, number: int) -> None:
    del number
    await store.load_messages([Window("talk")])


async def last_20_together(store: AsyncStore, number: int) -> None:
    del number
    await asyncio.gather(*(store.load_messages([Window("talk", limit)]) for limit in range(1, 33)))


#: What is awaited: calls on the event loop's thread, and statements on the others.
AWAITED: Final[dict[Callable[[AsyncStore, int], Awaitable[None]], Budget]] = {
    append_alone: Budget(calls=175, statements=5),
    append_together: Budget(calls=4_903, statements=67),
    last_20_alone: Budget(calls=113, statements=1),
    last_20_together: Budget(calls=2_950, statements=34),
}


@pytest.mark.parametrize("operation", AWAITED, ids=lambda operation: operation.__name__)
def test_what_is_awaited_costs_no_more_than_its_budget(
    operation: Callable[[AsyncStore, int], Awaitable[None]], driver: SqliteDriver
) -> None:
    async def count() -> tuple[int, int]:
        async with AsyncStore(Chain.of({"sqlite": driver})) as store:
            for number in range(12):
                await operation(store, number)
            calls = min([await loop_calls(operation(store, 100 + number)) for number in range(10)])
            database = driver._database
            with tracing([database._only_writer(), *database._idle]) as seen:
                await operation(store, 200)
            return calls, len(seen)

    calls, statements = asyncio.run(count())

    assert calls <= AWAITED[operation].calls * MARGIN, (calls, statements)
    assert statements <= AWAITED[operation].statements, (calls, statements)


#: What importing the package, and opening a file that is up to date, bring beside the libraries that they need:
#: modules, and classes that attrs makes anew in every process.
BROUGHT: Final = {
    ("asyncio, attrs, msgspec, pluggy", "import whisper_persistence"): (37, 15),
    (
        "asyncio, attrs, msgspec, platformdirs, pluggy, sqlalchemy.dialects.sqlite, uuid_utils",
        "import whisper_persistence; whisper_persistence.Store.from_settings(url=f'sqlite:///{path}')",
    ): (86, 39),
}
_COUNT_BROUGHT: Final = """
import {}, sys
path = sys.argv[1]
before = set(sys.modules)
{}
new = [sys.modules[name] for name in set(sys.modules) - before if name.startswith("whisper_persistence")]
made = {{value for module in new for value in vars(module).values() if isinstance(value, type) and attrs.has(value)}}
print(len(new), len(made))
"""


@pytest.mark.parametrize(("libraries", "done"), BROUGHT, ids=["import", "open"])
def test_importing_and_opening_bring_little(libraries: str, done: str, driver: SqliteDriver) -> None:
    Store(Chain.of({"sqlite": driver})).close()
    command = [sys.executable, "-c", _COUNT_BROUGHT.format(libraries, done), str(driver.path)]
    counted = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    modules, classes = map(int, counted.stdout.split())

    assert modules <= BROUGHT[libraries, done][0], modules
    assert classes <= BROUGHT[libraries, done][1], classes


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
