"""What the tests of memory importance share: memories, a clock, and an engine's most frequent calls."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import attrs

from whisper_persistence import MemoryScore
from whisper_persistence.companion.importance_options import ImportanceOptions
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.records.memories import BASE_WEIGHTS

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOY = {
    "content": "I trust you, I love you, you know me, you understand me. My secret dream: a home, a family, a wedding, "
    "my mother and my sister there, and every friend",
    "emotional_context": {"emotion": "joy", "intensity": 0.9},
    "timestamp": START.isoformat(),
}
TEA = {"content": "tea at four", "emotional_context": {"intensity": 0.1}, "timestamp": "2020-01-01T00:00:00"}
DRAB = {**dict.fromkeys(BASE_WEIGHTS, 0.1), "emotional_intensity": 1.0}


@attrs.define
class Time:
    """A clock that goes where a test sets it."""

    moment: datetime = START
    seconds: float = 1_000.0

    def options(self, **more: Any) -> ImportanceOptions:
        return ImportanceOptions(now=lambda: self.moment, clock=lambda: self.seconds, random=Random(7), **more)


async def score(engine: MemoryImportanceEngine, user_id: str, memory_id: str = "m", memory: Any = TEA) -> MemoryScore:
    return await engine.calculate_memory_importance(memory_id, user_id, memory, [])


async def teach(engine: MemoryImportanceEngine, user_id: str, helpful: bool = True) -> None:
    lesson = MemoryScore(user_id, "m", 0.5, DRAB)
    await engine.record_feedback(user_id, "m", helpful, lesson)
