"""A bot with WhisperEngine's interface, written from its description, and real databases that can be switched off.

Tests may be ``async def``: each runs on an event loop of its own.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest

from whisper_persistence import AsyncStore
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import Switch
from whisper_persistence.testing.servers import postgres_server, postgres_shared_url, postgres_url

__all__ = ["postgres_server", "postgres_shared_url", "postgres_url"]

_numbers = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@dataclass
class SupportStrategy:
    strategy_id: str
    user_preferences: dict[str, Any]
    effective_approaches: list[str]
    approaches_to_avoid: list[str]
    optimal_timing: dict[str, str]
    communication_style: str
    support_history: list[dict[str, Any]]
    last_updated: datetime


@dataclass
class Outcome:
    intervention_id: str
    outcome_type: str
    user_response: str
    effectiveness_score: float


class Emotional:
    """The interface of the emotional intelligence: the learning rule of the page, the dict read synchronously."""

    def __init__(self) -> None:
        self.user_strategies: dict[str, SupportStrategy] = {}
        self.active_interventions: dict[str, dict[str, Any]] = {}
        self.user_assessments: dict[str, Any] = defaultdict(lambda: deque(maxlen=20))
        self.counter = 0

    async def comprehensive_emotional_assessment(
        self, user_id: str, current_message: str, conversation_context: dict[str, Any]
    ) -> dict[str, Any]:
        self.user_assessments[user_id].append(current_message)
        await asyncio.sleep(0)
        return {"user_id": user_id, "strategy": self.user_strategies.get(user_id)}

    async def get_user_emotional_dashboard(self, user_id: str) -> dict[str, Any]:
        strategy = self.user_strategies.get(user_id)
        return {
            "user_id": user_id,
            "personalization": {
                "effective_approaches": list(strategy.effective_approaches) if strategy else [],
                "communication_style": strategy.communication_style if strategy else "unknown",
                "support_history_count": len(strategy.support_history) if strategy else 0,
            },
        }

    async def execute_intervention(self, user_id: str, style: str) -> str:
        """Deliver an offer; ids begin again with the process."""
        self.counter += 1
        intervention_id = f"{user_id}_intervention_{self.counter}"
        self.active_interventions[intervention_id] = {
            "intervention": style,
            "delivery_result": {"delivered": True},
            "start_time": datetime.now(UTC),
        }
        return intervention_id

    async def track_intervention_response(
        self, intervention_id: str, user_response: str, response_context: dict[str, Any]
    ) -> Outcome:
        score = {"thank you": 0.8, "leave me alone": 0.2, "hopeless": 0.0}.get(user_response, 0.5)
        kind = "successful" if score >= 0.7 else "ineffective" if score <= 0.3 else "partial"
        outcome = Outcome(intervention_id, kind, user_response, score)
        if intervention_id in self.active_interventions:
            self.active_interventions[intervention_id]["outcome"] = outcome
            await asyncio.sleep(0)
            self._learn(intervention_id, outcome)
        return outcome

    def _learn(self, intervention_id: str, outcome: Outcome) -> None:
        user_id = intervention_id.partition("_intervention_")[0]
        style, score = self.active_interventions[intervention_id]["intervention"], outcome.effectiveness_score
        if user_id not in self.user_strategies:
            blank = SupportStrategy(f"{user_id}_strategy", {}, [], [], {}, "casual", [], datetime.now(UTC))
            self.user_strategies[user_id] = blank
        strategy = self.user_strategies[user_id]
        if score >= 0.7 and style not in strategy.effective_approaches:
            strategy.effective_approaches.append(style)
        elif score <= 0.3 and style not in strategy.approaches_to_avoid:
            strategy.approaches_to_avoid.append(style)
        strategy.support_history.append(
            {
                "intervention_id": intervention_id,
                "intervention_style": style,
                "effectiveness_score": score,
                "outcome_type": outcome.outcome_type,
                "timestamp": datetime.now(UTC).isoformat(),
            }
        )
        strategy.support_history = strategy.support_history[-10:]
        strategy.last_updated = datetime.now(UTC)


class Phase2:
    def __init__(self) -> None:
        self.emotional_intelligence = Emotional()
        self.offers: list[str] = []

    async def process_message_with_emotional_intelligence(
        self, user_id: str, message: str, context: dict[str, Any] | None = None
    ) -> str:
        """Offer support to whoever says that they are sad, as often as a part of the bot hands the message on."""
        await self.emotional_intelligence.comprehensive_emotional_assessment(user_id, message, context or {})
        if "sad" in message:
            self.offers.append(await self.emotional_intelligence.execute_intervention(user_id, "direct_support"))
        return f"processed {message}"

    async def handle_intervention_response(
        self, user_id: str, intervention_id: str, user_response: str, response_context: dict[str, Any]
    ) -> Outcome:
        return await self.emotional_intelligence.track_intervention_response(
            intervention_id, user_response, response_context
        )


class Factor(enum.Enum):
    EMOTIONAL_INTENSITY = "emotional_intensity"
    PERSONAL_RELEVANCE = "personal_relevance"
    RECENCY = "recency"
    ACCESS_FREQUENCY = "access_frequency"
    UNIQUENESS = "uniqueness"
    RELATIONSHIP_MILESTONE = "relationship_milestone"


@dataclass
class Factors:
    emotional_intensity: float
    personal_relevance: float
    recency: float
    access_frequency: float
    uniqueness: float
    relationship_milestone: float

    def to_dict(self) -> dict[str, float]:
        return dict(vars(self))


@dataclass
class Score:
    memory_id: str
    user_id: str
    overall_score: float
    factor_scores: Factors
    calculation_timestamp: datetime
    score_explanation: str = "why"
    decay_rate: float = 0.01
    boost_events: list[str] = field(default_factory=list)


class ImportanceEngine:
    """The interface of the importance engine: one set of weights for all, a cache of joined keys, no awaits between."""

    def __init__(self) -> None:
        weights = (0.30, 0.25, 0.15, 0.15, 0.10, 0.05)
        self.importance_weights = dict(zip(Factor, weights, strict=True))
        self.importance_cache: dict[str, Score] = {}
        self.user_statistics: dict[str, Any] = {}

    async def calculate_memory_importance(
        self,
        memory_id: str,
        user_id: str,
        memory_data: dict[str, Any],
        user_history: Sequence[dict[str, Any]],
        memory_manager: Any = None,
    ) -> Score:
        if "factors" not in memory_data:
            return Score(memory_id, user_id, 0.5, Factors(0.5, 0.5, 0.5, 0.1, 0.5, 0.0), datetime.now(UTC))
        factors = Factors(*memory_data["factors"])
        total = 0.0
        for factor, value in factors.to_dict().items():
            await asyncio.sleep(0)
            total += self.importance_weights[Factor(factor)] * value
        score = Score(memory_id, user_id, min(total, 1.0), factors, datetime.now(UTC))
        self.importance_cache[f"{user_id}_{memory_id}"] = score
        return score

    def get_importance_statistics(self, user_id: str) -> dict[str, Any]:
        found = [s.overall_score for key, s in self.importance_cache.items() if key.startswith(f"{user_id}_")]
        if not found:
            return {}
        return {"total_memories_scored": len(found), "average_importance": sum(found) / len(found)}

    def clear_cache(self, user_id: str | None = None) -> None:
        self.importance_cache = {}


class Phase3:
    def __init__(self) -> None:
        self.importance_engine = ImportanceEngine()


class ShutdownManager:
    def __init__(self) -> None:
        self.registered: list[tuple[int, Callable[[], Any]]] = []

    def register_cleanup(self, func: Callable[[], Any], priority: int = 0) -> None:
        self.registered.append((priority, func))

    async def shutdown(self) -> None:
        for _, func in sorted(self.registered, key=lambda entry: -entry[0]):
            found = func()
            if inspect.iscoroutinefunction(func):
                await found


class Core:
    """What the bot's main program builds."""

    def __init__(self) -> None:
        self.phase2_integration = Phase2()
        self.phase3_memory_networks = Phase3()
        self.shutdown_manager = ShutdownManager()
        self.conversation_cache = {"channel": ["hello"]}
        self.emotion_cache = {"u": "joy"}
        self.sentiment_cache = {"u": 0.5}

    @property
    def emotional(self) -> Emotional:
        return self.phase2_integration.emotional_intelligence

    @property
    def engine(self) -> ImportanceEngine:
        return self.phase3_memory_networks.importance_engine

    async def live(self, user_id: str, style: str, reply: str) -> Outcome:
        """Offer support, and hear the reply."""
        offered = await self.emotional.execute_intervention(user_id, style)
        return await self.emotional.track_intervention_response(offered, reply, {})

    async def score(self, user_id: str, memory_id: str, *values: float) -> Score:
        memory = {"factors": values or (0.9, 0.5, 0.5, 0.1, 0.5, 0.0)}
        return await self.engine.calculate_memory_importance(memory_id, user_id, memory, [])


@attrs.define
class Backend:
    """A database of its own for one test, which stores can be opened on again and again."""

    name: str
    options: dict[str, Any]
    namespace: str = "default"

    def store(self, *above: object) -> AsyncStore:
        drivers: dict[str, object] = {f"above-{number}": driver for number, driver in enumerate(above)}
        chain = Chain.of({**drivers, self.name: build_driver(DriverSpec(self.name, self.options))})
        return AsyncStore(chain, self.namespace)


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A new database of each driver: a file of SQLite's, a namespace of PostgreSQL's."""
    if request.param == "sqlite":
        return Backend("sqlite", {"path": str(tmp_path / "memory.db")})
    return Backend("postgres", {"url": request.getfixturevalue("postgres_shared_url")}, f"attached {next(_numbers)}")


@pytest.fixture
def switch() -> Switch:
    """A driver that can be switched off."""
    return Switch(refuses_to_open=True)


@pytest.fixture
def new_core() -> type[Core]:
    """The bot's core as its main program builds it."""
    return Core


@pytest.fixture
def old() -> Callable[[Core, str, timedelta], None]:
    """A function that makes an offer older."""

    def age(core: Core, intervention_id: str, by: timedelta) -> None:
        core.emotional.active_interventions[intervention_id]["start_time"] -= by

    return age
