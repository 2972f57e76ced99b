"""Leases by a clock of the test's own, and leases that many ask for at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from whisper_persistence_drivers.memory import following
from whisper_persistence_drivers.memory.state import State
from whisper_persistence_drivers.sql import leasing

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Lease

#: Asks for a lease at a moment, in seconds.
Ask = Callable[[Lease, float], Lease]


pytestmark = pytest.mark.usefixtures("migrated_file")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ask]:
    if request.param == "memory":
        state = State()

        def of_memory(lease: Lease, now: float) -> Lease:
            state.clock = lambda: now
            return following.lease_follower(state, lease)

        yield of_memory
        return
    place = (
        {"path": tmp_path / "memory.db"}
        if request.param == "sqlite"
        else {"url": request.getfixturevalue("postgres_shared_url")}
    )
    with Store(Chain.build([DriverSpec(request.param, place)]), f"leases {tmp_path}") as store:
        driver: Any = store.chain.drivers[request.param]
        yield lambda lease, now: driver._write(leasing.lease_follower, lease, round(now * 1_000_000))


def test_a_lease_lasts_to_the_second_and_is_renewed_from_the_moment_it_is_asked_for(ask: Ask) -> None:
    assert ask(Lease("f", "one", seconds=10), 1_000.0) == Lease("f", "one", 1, 10)
    assert ask(Lease("f", "two", seconds=10), 1_009.5) == Lease("f", "one", 1, 0.5)
    assert ask(Lease("f", "one", 1, 10, "note"), 1_009.75) == Lease("f", "one", 1, 10, "note")
    assert ask(Lease("f", "two", seconds=10), 1_019.5) == Lease("f", "one", 1, 0.25, "note")
    assert ask(Lease("f", "one", 1, 10, "late, but nobody else asked"), 1_030.0).fence == 1
    assert ask(Lease("f", "two", seconds=5), 1_040.0) == Lease("f", "two", 2, 5, "late, but nobody else asked")
    assert ask(Lease("g", "one", seconds=10), 1_040.0) == Lease("g", "one", 1, 10)


def test_no_lease_lasts_longer_than_an_hour_however_the_clock_is_set(ask: Ask) -> None:
    year = 365 * 86_400.0

    assert ask(Lease("f", "one", seconds=year), 10 * year).seconds == 3_600.0
    assert ask(Lease("f", "two", seconds=10), 9 * year).holder == "two"
    assert ask(Lease("f", "three", seconds=10), 20 * year).holder == "three"


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_of_many_who_ask_at_once_one_has_it(tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    place = (
        {"path": tmp_path / "memory.db"}
        if name == "sqlite"
        else {"url": request.getfixturevalue("postgres_shared_url")}
    )
    with (
        Store(Chain.build([DriverSpec(name, place)]), f"race {tmp_path}") as store,
        ThreadPoolExecutor(max_workers=8) as threads,
    ):
        asked = [Lease("f", f"holder {n}", seconds=600) for n in range(32)]
        answers = list(threads.map(lambda lease: store.chain.hook.lease_follower(lease=lease), asked))

    assert {(lease.holder, lease.fence) for lease in answers} == {(answers[0].holder, 1)}
