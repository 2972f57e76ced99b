"""Above a net whatever a bot writes in an outage is journaled, also of those whom it could not read a moment ago."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import AsyncStore, Durability
from whisper_persistence.companion import HybridConversationStorage, MemoryImportanceEngine
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import Switch, samples

from .importance import JOY


@asynccontextmanager
async def outage(folder: Path) -> AsyncIterator[AsyncStore]:
    """Open a store over a net and a database that does not answer any more."""
    switch = Switch()
    net = MemoryFallbackDriver(journal_directory=folder / "journals")
    chain = Chain.of({"memory-fallback": net, "switch": switch, "sqlite": SqliteDriver(folder / "memory.db")})
    async with AsyncStore(chain) as store:
        switch.down = True
        yield store


async def test_what_memories_are_worth_is_journaled(tmp_path):
    async with outage(tmp_path) as store:
        engine = MemoryImportanceEngine(store)
        score = await engine.calculate_memory_importance("m", "alice", JOY, [])
        told = await engine.record_feedback("alice", "m", helpful=True)

        assert await engine.record_score(score) is Durability.JOURNALED
        assert told.durability is Durability.JOURNALED
        assert (await store.check_health())[0].details["backlog"] == 3


async def test_what_is_said_is_journaled(tmp_path):
    async with outage(tmp_path) as store:
        talk = HybridConversationStorage(store)
        assert not await talk.recent("talk")
        (receipt,) = await talk.append(samples.message())

        assert receipt.durability is Durability.JOURNALED
        assert talk.pending == 0
