"""Random fault schedules: nothing acknowledged is lost or doubled, no read is older than an own write, nobody hangs.

Fifty run always, a thousand where TEST_TIER is full. A failing one is named by its seed and runs again with
``pytest tests/faults/test_schedules.py -k SEED``.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_tools.faulty import Faulty
from fault_tools.history import History
from fault_tools.stores import Opener, crash, drained, hurried, net_of, until
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store
from whisper_persistence.plugins import Chain

SEEDS = range(1_000 if os.environ.get("TEST_TIER") == "full" else 50)
PROCESSES = 2
STEPS = 40
DEADLINE = 5.0


class World:
    """Two processes over one database, each with a way down that fails as its dice say."""

    def __init__(self, folder: Path, seed: int, template: Path) -> None:
        shutil.copyfile(template, folder / "memory.db")
        self.rng = random.Random(seed)
        self.folder = folder
        self.opener = Opener(folder / "journals")
        self.ways: list[Faulty] = [Faulty() for _ in range(PROCESSES)]
        self.stores: list[Store] = [self.open(n) for n in range(PROCESSES)]
        self.history = History(DEADLINE)

    def open(self, process: int) -> Store:
        way = self.ways[process] = Faulty(self.ways[process].down, self.ways[process].chance, self.rng)
        record = SqliteDriver(self.folder / "memory.db", synchronous="normal")
        return hurried(self.opener(("faulty", way), ("sqlite", record), deadline=DEADLINE), 0.01)

    def step(self) -> None:
        process = self.rng.randrange(PROCESSES)
        store, talk = self.stores[process], f"talk {self.rng.randrange(2)}"
        user = f"user {self.rng.randrange(3)}"
        acts: list[tuple[int, Callable[[], None]]] = [
            (10, lambda: self.history.say(store, process, talk, user, self.rng.choice((1, 1, 3)))),
            (6, lambda: self.history.learn(store, user)),
            (6, lambda: self.history.look(store, process, talk)),
            (5, lambda: self.toggle(process)),
            (2, lambda: self.restart(process)),
            (1, lambda: self.forget(store, talk)),
        ]
        weights, choices = zip(*acts, strict=True)
        self.rng.choices(choices, weights)[0]()

    def toggle(self, process: int) -> None:
        way = self.ways[process]
        way.down = self.rng.random() < 0.5
        way.chance = self.rng.choice((0.0, 0.0, 0.3))

    def restart(self, process: int) -> None:
        if self.rng.random() < 0.5:
            crash(self.stores[process])
        else:
            self.stores[process].close()
        self.stores[process] = self.open(process)

    def forget(self, store: Store, talk: str) -> None:
        """Say something of somebody new, and have them erased by the same process."""
        user = f"passing {self.history.number}"
        self.history.say(store, self.stores.index(store), talk, user)
        self.history.erase(store, user)

    def finish(self) -> None:
        for way in self.ways:
            way.down, way.chance = False, 0.0
        for store in self.stores:
            store.check_health()  # takes over what a crashed process left
            drained(store)
            until(lambda store=store: net_of(store)._prober.is_open)
        self.history.check(self.stores[0])
        self.opener.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, made once."""
    path = tmp_path_factory.mktemp("template") / "memory.db"
    Store(Chain.of({"sqlite": SqliteDriver(path)})).close()
    return path


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_or_doubled_over_sqlite(tmp_path: Path, seed: int, template: Path) -> None:
    world = World(tmp_path, seed, template)
    for _ in range(STEPS):
        world.step()
    world.finish()
