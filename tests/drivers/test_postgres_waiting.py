"""While the database takes its time: the event loop goes on, and nobody waits longer than was said."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from whisper_persistence_drivers.postgres import PostgresDriver

from whisper_persistence import AsyncStore, StorageUnavailableError, StrategyChange, Window
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

#: How long the database takes to answer, and by how much the loop may come late meanwhile, in seconds.
SLOW, LAG = 0.5, 0.02
#: How often a wait is tried, at most.
WAITS = 8


@contextmanager
def locked(url: str, seconds: float) -> Iterator[None]:
    """Hold every row that counts revisions for a while, from a session of somebody else's."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT * FROM whisper_persistence.revisions FOR UPDATE")
        release = threading.Timer(seconds, connection.rollback)
        release.start()
        try:
            yield
        finally:
            release.join()


async def lag(work: Callable[[], Any]) -> tuple[float, float]:
    """Return by how much a task that looks at the clock all the time came late, and how long the work took."""
    latest, ended = 0.0, False

    async def watch() -> None:
        nonlocal latest
        while not ended:
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            latest = max(latest, time.perf_counter() - began - 0.002)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    began = time.perf_counter()
    await work()
    took = time.perf_counter() - began
    ended = True
    await watching
    return latest, took


async def lags(url: str) -> list[float]:
    """Return the lags of waits until one was short: what else the machine does can spoil some, but hardly all."""
    found: list[float] = []
    async with AsyncStore(Chain.of({"postgres": PostgresDriver(url)})) as store:
        await store.save_messages([samples.message(f"talk {n}", user_id=f"user {n}") for n in range(8)])
        await store.update_strategies([StrategyChange(f"user {n}") for n in range(8)])

        async def work() -> None:
            messages = [samples.message(f"talk {n}", user_id=f"user {n}") for n in range(8)]
            await asyncio.gather(
                *(store.save_messages([message]) for message in messages),
                *(store.update_strategies([StrategyChange(f"user {n}")]) for n in range(8)),
                *(store.load_messages([Window(f"talk {n}")]) for n in range(8)),
            )

        while len(found) < WAITS and min(found, default=LAG) >= LAG:
            with locked(url, SLOW):
                late, took = await lag(work)
            assert took > SLOW * 0.8
            found.append(late)
    return found


def assert_some_are_short(found: list[float]) -> None:
    """Fail unless the loop was on time once, as far as a loop with nothing to do is."""
    idle = 0.0 if min(found) < LAG else asyncio.run(lag(lambda: asyncio.sleep(1.0)))[0]
    assert min(found) < max(LAG, 2 * idle), found


def test_the_loop_goes_on_while_the_database_takes_half_a_second_to_answer(postgres_url):
    assert_some_are_short(asyncio.run(lags(postgres_url)))


def test_the_loop_goes_on_while_a_store_opens_and_closes(postgres_url):
    async def opens() -> list[float]:
        found = list[float]()
        while len(found) < WAITS and min(found, default=LAG) >= LAG:
            store = AsyncStore(Chain.of({"postgres": PostgresDriver(postgres_url)}))

            async def work(store: AsyncStore = store) -> None:
                await store.open()
                await store.close()

            found.append((await lag(work))[0])
        return found

    assert_some_are_short(asyncio.run(opens()))


def test_a_server_that_falls_silent_in_the_middle_is_an_outage_and_not_for_ever(private_url, opened):
    store = opened(private_url, pool_size=1, statement_timeout=0.3, lock_timeout=0.2)
    store.save_messages(samples.talk(3))
    driver: Any = store.chain.drivers["postgres"]
    asks: list[Callable[[], Any]] = [
        lambda: store.load_messages([Window("talk")]),
        lambda: store.update_strategies([StrategyChange("alice")]),
    ]
    for ask in asks:
        with driver._database.reading() as connection:
            (session,) = connection.execute("SELECT pg_backend_pid()").fetchone()
        os.kill(session, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(StorageUnavailableError, match="did not answer"):
                ask()
            assert time.monotonic() - began < 30  # and not for ever
        finally:
            os.kill(session, signal.SIGCONT)

        assert len(store.load_messages([Window("talk")])[Window("talk")]) == 3
    assert store.load_strategies(["alice"]).keys() <= {"alice"}
