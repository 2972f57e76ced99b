"""Stores on real databases for the companion's tests, and a driver above them that can be switched off.

Tests here may be ``async def``: each runs on an event loop of its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest

from whisper_persistence import AsyncStore, Message
from whisper_persistence.companion import MemoryImportanceEngine, StrategyPersistenceMixin
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import Switch

from .importance import Time

_numbers = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@attrs.define
class Backend:
    """A database of its own for one test, which stores can be opened on again and again.

    Attributes:
        name: the driver.
        options: the driver's options.
        namespace: the namespace that stores on it are opened in.
        layers: drivers between it and what a test puts above, with their options.
    """

    name: str
    options: dict[str, Any]
    namespace: str = "default"
    layers: dict[str, dict[str, Any]] = attrs.field(factory=dict)

    def store(self, *above: object, workers: int = 4) -> AsyncStore:
        """Return a store on this database, not yet open, with these drivers above it."""
        drivers: dict[str, object] = {f"above-{number}": driver for number, driver in enumerate(above)}
        for name, options in {**self.layers, self.name: self.options}.items():
            drivers[name] = build_driver(DriverSpec(name, options))
        chain = Chain.of(drivers)
        return AsyncStore(chain, self.namespace, workers=workers)


@pytest.fixture
def backend_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Backend]:
    """A function from the names of a chain to a new database: a file of SQLite's, or a namespace of PostgreSQL's.

    A chain with ``redis-hybrid`` uses the Redis server of the test run, unless it is told the URL of another.
    """

    def make(chain: str, redis: str | None = None) -> Backend:
        *above, name = chain.split(", ")
        url = {"url": redis or request.getfixturevalue("redis_url"), "read_timeout": 5} if above else {}
        layers = {"redis-hybrid": url} if above else {}
        if name == "sqlite":
            request.getfixturevalue("migrated_file")
            return Backend(name, {"path": str(tmp_path / "memory.db")}, layers=layers)
        options = {"url": request.getfixturevalue("postgres_shared_url")}
        return Backend(name, options, f"test {next(_numbers)}", layers)

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def backend(backend_of: Callable[..., Backend], request: pytest.FixtureRequest) -> Backend:
    """A new database of each driver."""
    return backend_of(request.param)


@pytest.fixture
def switch() -> Switch:
    """The driver that can be switched off; `store` has it on top."""
    return Switch()


@pytest.fixture
def store(backend: Backend, switch: Switch) -> Iterator[AsyncStore]:
    """An open store on each driver in turn."""
    opened = backend.store(switch)
    asyncio.run(opened.open())
    yield opened
    asyncio.run(opened.close())


@pytest.fixture
def time() -> Time:
    """A clock that goes where a test sets it."""
    return Time()


@pytest.fixture
def engine(store: AsyncStore, time: Time) -> MemoryImportanceEngine:
    """An engine of memory importance on each driver in turn."""
    return MemoryImportanceEngine(store, time.options())


@dataclasses.dataclass
class BotStrategy:
    """The bot's own class: the names and types of its page, no field with a default."""

    strategy_id: str
    user_preferences: dict[str, Any]
    effective_approaches: list[str]
    approaches_to_avoid: list[str]
    optimal_timing: dict[str, str]
    communication_style: str
    support_history: list[dict[str, Any]]
    last_updated: datetime


class Bot:
    """A stand-in for the bot's class, written from its interface: a plain dict, changed in place by its rule."""

    def __init__(self, cache: object = None) -> None:
        self.cache = cache
        self.user_strategies: dict[str, BotStrategy] = {}
        self.active_interventions: dict[str, dict[str, Any]] = {}
        self.counter = 0

    async def comprehensive_emotional_assessment(self, user_id: str, message: str, context: dict[str, Any]) -> Any:
        """Return the strategy that would be handed to the creation of an intervention."""
        return {"user_id": user_id, "strategy": self.user_strategies.get(user_id)}

    async def get_user_emotional_dashboard(self, user_id: str) -> dict[str, Any]:
        strategy = self.user_strategies.get(user_id)
        return {
            "style": strategy.communication_style if strategy else "unknown",
            "effective_approaches": list(strategy.effective_approaches) if strategy else [],
            "support_history_count": len(strategy.support_history) if strategy else 0,
        }

    def offer(self, user_id: str, style: str) -> str:
        """Deliver an intervention, and return its id; ids begin again with the process."""
        self.counter += 1
        intervention_id = f"{user_id}_intervention_{self.counter}"
        self.active_interventions[intervention_id] = {"style": style}
        return intervention_id

    async def track_intervention_response(self, intervention_id: str, score: float) -> float:
        self.learn(intervention_id, score)
        return score

    def learn(self, intervention_id: str, score: float) -> None:
        if intervention_id not in self.active_interventions:
            return
        user_id, style = (
            intervention_id.partition("_intervention_")[0],
            self.active_interventions[intervention_id]["style"],
        )
        if user_id not in self.user_strategies:
            blank = BotStrategy(f"{user_id}_strategy", {}, [], [], {}, "casual", [], datetime.now(UTC))
            self.user_strategies[user_id] = blank
        strategy = self.user_strategies[user_id]
        learned = (
            strategy.effective_approaches if score >= 0.7 else strategy.approaches_to_avoid if score <= 0.3 else None
        )
        if learned is not None and style not in learned:
            learned.append(style)
        entry = {
            "intervention_id": intervention_id,
            "intervention_style": style,
            "effectiveness_score": score,
            "outcome_type": "successful" if score >= 0.7 else "partial",
            "timestamp": datetime.now(UTC).isoformat(),
        }
        strategy.support_history.append(entry)
        strategy.support_history = strategy.support_history[-10:]
        strategy.last_updated = datetime.now(UTC)


class PersistentBot(StrategyPersistenceMixin, Bot):
    """The bot's class, adopted by subclassing."""


@pytest.fixture
def bot_without() -> type[Bot]:
    """The bot's class as it is."""
    return Bot


@pytest.fixture
def bot_strategy() -> type[BotStrategy]:
    """The bot's class of strategies."""
    return BotStrategy


@pytest.fixture
def new_bot() -> Callable[[AsyncStore], PersistentBot]:
    """A function that starts the bot, adopted by subclassing, on a store."""
    return lambda store: PersistentBot("cache", strategy_store=store, strategy_class=BotStrategy)


@pytest.fixture(scope="session")
def turns() -> dict[str, list[Message]]:
    """Three real conversations of two people each, turn by turn, by their id; some hundred turns of each."""
    source = Path(__file__).parents[3] / "shared" / "data" / "locomo-dev.json"
    if not source.exists():
        pytest.skip(f"the LoCoMo conversations are not at {source}")
    whole = os.environ.get("TEST_TIER") == "full"
    return {
        talk["conversation"]: _turns(talk)[: None if whole else 120]
        for talk in json.loads(source.read_text(encoding="utf-8"))
    }


def _turns(talk: dict[str, Any]) -> list[Message]:
    said = [turn for session in talk["sessions"] for turn in session["turns"]]
    return [
        Message(
            talk["conversation"],
            talk["speakers"][0],
            turn["speaker"],
            turn["text"],
            message_id=turn["id"],
            timestamp=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        )
        for number, turn in enumerate(said)
    ]
