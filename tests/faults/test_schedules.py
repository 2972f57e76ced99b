"""Random fault schedules: nothing acknowledged is lost or doubled, no read is older than an own write, nobody hangs.

Fifty run always, five of them over PostgreSQL behind Redis and the others over a file; a thousand where TEST_TIER is
full, two hundred of them over servers.
A failing one is named by its seed and runs again with ``pytest tests/faults/test_schedules.py -k SEED``.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_tools.history import History
from fault_tools.machine import Machine
from fault_tools.servers import Postgres
from fault_tools.stores import Opener, crash, drained, hurried, net_of, until
from fault_tools.ways import Desktop, Server
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.redis_servers import RedisServer

FULL = os.environ.get("TEST_TIER") == "full"
SEEDS = range(1_000 if FULL else 50)
OVER_SERVERS = SEEDS[4 :: 5 if FULL else 10]
OVER_A_FILE = [seed for seed in SEEDS if seed not in OVER_SERVERS]
PROCESSES = 2
STEPS = 40


class World:
    """Two processes over one database, each with a way down that fails as its dice say."""

    def __init__(self, folder: Path, rng: random.Random, ways: list[Desktop] | list[Server]) -> None:
        self.rng, self.ways = rng, ways
        self.opener = Opener(folder / "journals")
        self.stores: list[Store] = [self.open(n) for n in range(PROCESSES)]
        self.machine = Machine()
        self.history = History(ways[0].deadline, self.machine)

    def open(self, process: int) -> Store:
        way = self.ways[process]
        return hurried(self.opener(*way.drivers(), deadline=way.deadline), 0.01)

    def step(self) -> None:
        process = self.rng.randrange(PROCESSES)
        store, talk = self.stores[process], f"talk {self.rng.randrange(2)}"
        user = f"user {self.rng.randrange(3)}"
        acts: list[tuple[int, Callable[[], None]]] = [
            (10, lambda: self.history.say(store, process, talk, user, self.rng.choice((1, 1, 3)))),
            (6, lambda: self.history.learn(store, process, user)),
            (4, lambda: self.history.look(store, process, talk, recent=self.rng.random() < 0.5)),
            (2, lambda: self.history.recall(store, process, user)),
            (5, self.ways[process].toggle),
            (2, lambda: self.restart(process)),
            (1, lambda: self.forget(process, talk)),
        ]
        weights, choices = zip(*acts, strict=True)
        self.rng.choices(choices, weights)[0]()

    def restart(self, process: int) -> None:
        if self.rng.random() < 0.5:
            crash(self.stores[process])
        else:
            self.stores[process].close()
        self.stores[process] = self.open(process)

    def forget(self, process: int, talk: str) -> None:
        """Say something of somebody new, and have them erased, by this process or another."""
        user = f"passing {self.history.number}"
        self.history.say(self.stores[process], process, talk, user)
        eraser = self.rng.randrange(PROCESSES)
        self.ways[eraser].before_erase()
        self.history.erase(self.stores[eraser], user)

    def finish(self) -> None:
        for way in self.ways:
            way.heal()
        for store in self.stores:
            store.check_health()  # takes over what a crashed process left
            drained(store)
            until(lambda store=store: net_of(store)._prober.is_open and not net_of(store)._calls.are_shut())
        for store in self.stores:
            self.history.check(store)

    def live(self) -> None:
        try:
            for _ in range(STEPS):
                self.step()
            self.finish()
        finally:
            for way in self.ways:
                way.heal()
            self.opener.close()
            self.machine.close()
            for way in self.ways:
                way.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, made once."""
    path = tmp_path_factory.mktemp("template") / "memory.db"
    Store(Chain.of({"sqlite": SqliteDriver(path)})).close()
    return path


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A server of this module's own, which is emptied again and again."""
    with RedisServer.running() as server:
        yield server


@pytest.mark.parametrize("seed", OVER_A_FILE)
def test_nothing_acknowledged_is_lost_or_doubled_over_sqlite(folder: Path, seed: int, template: Path) -> None:
    shutil.copyfile(template, folder / "memory.db")
    rng = random.Random(seed)
    World(folder, rng, [Desktop(folder / "memory.db", rng) for _ in range(PROCESSES)]).live()


@pytest.mark.parametrize("seed", OVER_SERVERS)
def test_nothing_acknowledged_is_lost_or_doubled_over_redis_and_postgres(
    folder: Path, seed: int, fault_postgres: Postgres, redis: RedisServer
) -> None:
    rng = random.Random(seed)
    World(folder, rng, [Server(fault_postgres, redis, rng) for _ in range(PROCESSES)]).live()
