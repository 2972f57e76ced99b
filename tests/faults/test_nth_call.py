"""The n-th call to the storage fails, hangs, half-succeeds or loses its reply, for every n, in the core operations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fault_tools.faulty import WAYS, Faulty
from fault_tools.machine import Machine
from fault_tools.servers import Postgres
from fault_tools.stores import Opener, drained, heal, late, until
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    Durability,
    OutcomeQuery,
    PatternChange,
    Preferences,
    PreferencesChange,
    StatisticsChange,
    StorageUnavailableError,
    Store,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.errors import BrokenDriverError
from whisper_persistence.testing import samples
from whisper_persistence.testing.redis_servers import RedisServer

DEADLINE = 0.4
TALK = Window("talk", 100)
#: The core operations, each once; every one is one call below.
CORE: tuple[tuple[str, Callable[[Store], Any]], ...] = (
    ("save_strategies", lambda s: s.save_strategies([Strategy("alice", "saved")])),
    ("update_strategies", lambda s: s.update_strategies([_learned("alice"), _learned("bob")])),
    ("save_messages", lambda s: s.save_messages([samples.message(message_id=one) for one in "abcd"])),
    ("load_messages", lambda s: s.load_messages([TALK])),
    ("update_statistics", lambda s: s.update_statistics([StatisticsChange("alice", [samples.score("m", 0.5)])])),
    ("update_patterns", lambda s: s.update_patterns([PatternChange("alice", "p"), PatternChange("bob", "p")])),
    ("save_preferences", lambda s: s.save_preferences([Preferences("alice", {"quiet": True})])),
    ("update_preferences", lambda s: s.update_preferences([PreferencesChange("alice", {"loud": False})])),
    ("load_strategies", lambda s: s.load_strategies(["alice", "bob"])),
    ("load_outcomes", lambda s: s.load_outcomes([OutcomeQuery("alice")])),
)


def _learned(user: str) -> StrategyChange:
    return StrategyChange(user, [samples.outcome(0.9, outcome_id=f"of {user}")])


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A server of this module's own."""
    with RedisServer.running() as server:
        yield server


@pytest.fixture
def servers(fault_postgres: Postgres, redis: RedisServer) -> tuple[tuple[str, object], ...]:
    """The drivers of a server, below the net."""
    record = PostgresDriver(fault_postgres.url, connect_timeout=2)
    return ("redis-hybrid", RedisHybridDriver(url=redis.url())), ("postgres", record)


CASES = [(n, way) for n in range(1, len(CORE) + 1) for way in WAYS]


FULL = os.environ.get("TEST_TIER") == "full"


@pytest.mark.parametrize(("n", "way"), CASES if FULL else CASES[::5])
def test_whichever_call_goes_wrong_nothing_is_lost_and_nobody_hangs(
    opened: Opener, tmp_path: Path, n: int, way: str, machine: Machine
) -> None:
    _live(opened, machine, n, way, ("sqlite", SqliteDriver(tmp_path / "memory.db")))


@pytest.mark.parametrize(("n", "way"), CASES if FULL else CASES[2::18])
def test_whichever_call_goes_wrong_over_servers_nothing_is_lost_and_nobody_hangs(
    opened: Opener, servers: tuple[tuple[str, object], ...], n: int, way: str, machine: Machine
) -> None:
    _live(opened, machine, n, way, *servers)


def _live(opened: Opener, machine: Machine, n: int, way: str, *below: tuple[str, object]) -> None:
    """Do each of the core operations, of which the n-th call below goes wrong, and look what came of it."""
    planted = Faulty(plan=lambda number, hook: way if number == n else None)
    store = opened(("faulty", planted), *below, deadline=DEADLINE)
    for hook, act in CORE:
        began = machine.clock()
        with suppress(*(StorageUnavailableError,) if hook.startswith("load_") else ()):
            act(store)  # a write is kept, a read may be unknown, and no other error comes out
        assert machine.clock() - began < DEADLINE + 1.0, hook
    planted.released.set()
    until(lambda: not late(store))
    drained(store)
    heal(store)
    _check(store)


def test_a_plugin_raises_hangs_or_returns_the_wrong_type(opened: Opener, tmp_path: Path) -> None:
    ways = list[str]()
    planted = Faulty(plan=lambda number, hook: ways.pop() if ways else None)
    store = opened(("faulty", planted), ("sqlite", SqliteDriver(tmp_path / "memory.db")), deadline=DEADLINE)

    def say(message_id: str, *way: str) -> Durability:
        ways.extend(way)
        return store.save_messages([samples.message(message_id=message_id)])[0].durability

    for way in ("breaks", "lies"):
        with pytest.raises(BrokenDriverError):
            say(way, way)
        assert say(f"after it {way}") is Durability.DURABLE
        ways.append(way)
        with pytest.raises(BrokenDriverError):
            store.load_messages([TALK])
    with pytest.raises(KeyboardInterrupt):
        say("stopped", "is stopped")
    assert say("hangs", "hangs") is Durability.JOURNALED
    planted.released.set()
    until(lambda: not late(store))
    drained(store)

    found = [message.message_id for message in store.load_messages([TALK])[TALK]]
    assert found == ["after it breaks", "after it lies", "hangs"]


def _check(store: Store) -> None:
    strategies = store.load_strategies(["alice", "bob"])
    assert [message.message_id for message in store.load_messages([TALK])[TALK]] == list("abcd")
    assert (strategies["alice"].strategy_id, strategies["alice"].interventions) == ("saved", 1)
    assert strategies["bob"].interventions == 1
    assert store.load_statistics(["alice"])["alice"].total_memories_scored == 1
    assert [store.load_patterns([user])[user][0].frequency for user in ("alice", "bob")] == [1, 1]
    assert store.load_preferences(["alice"])["alice"].values == {"quiet": True, "loud": False}
    assert len(store.load_outcomes([OutcomeQuery("alice")])[OutcomeQuery("alice")]) == 1
    assert store.check_health()[0].details["dead_letters"] == 0
