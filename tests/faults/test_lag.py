"""In an outage the event loop does not lag, and an append costs little more than in fair weather."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import pytest
from fault_tools.faulty import Faulty
from fault_tools.servers import Place
from fault_tools.stores import chain, net_of, over_postgres
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import AsyncStore, Durability, Preferences, StrategyChange
from whisper_persistence.testing import samples

_log = logging.getLogger(__name__)
#: Measures, in a process of its own that does nothing else, how late the machine comes back to a loop.
CONTROL = """
    import asyncio, time

    async def watch():
        found = [0.0]
        print(flush=True)
        while time.monotonic() < end:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            found.append(time.monotonic() - began - 0.005)
        print(max(found))

    end = time.monotonic() + {seconds}
    asyncio.run(watch())
"""
#: What waits for a disk, a network or another thread, by the module it comes from.
WAITING = ("sqlite3", "posix", "_io", "psycopg", "_thread", "time.sleep", "_queue.SimpleQueue.get")


@attrs.define
class Watched:
    """What the loop's thread did.

    Attributes:
        longest: the processor time of the longest callback, in seconds.
        called: the functions of C that were called, each with who called it.
    """

    longest: float = 0.0
    called: set[str] = attrs.field(factory=set[str])

    @contextmanager
    def working(self) -> Iterator[None]:
        """Measure how long each callback works."""
        run = asyncio.Handle._run

        def timed(handle: Any) -> None:
            began = time.thread_time()
            run(handle)
            self.longest = max(self.longest, time.thread_time() - began)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(asyncio.Handle, "_run", timed)
            yield

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Note what is called."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: Any, event: str, argument: Any) -> None:
        if event == "c_call":
            module = argument.__module__ or type(argument.__self__).__module__
            self.called.add(f"{module}.{argument.__qualname__} by {frame.f_code.co_qualname}")


@asynccontextmanager
async def silent(folder: Path) -> AsyncIterator[AsyncStore]:
    """A store whose storage does not answer any more, and is left alone."""
    way = Faulty(plan=lambda number, hook: "hangs")
    below = ("faulty", way), ("sqlite", SqliteDriver(folder / "memory.db"))
    async with AsyncStore(chain(folder, *below, deadline=0.1)) as store:
        await live(store, 5)
        yield store
        way.released.set()


async def staff(store: AsyncStore) -> None:
    """Have every thread started that a store may have: it starts one where the others have not come to rest yet."""
    crews = store._crews
    await crews.watching.run(int)
    for crew in (crews.loading, crews.writing, crews.rest):
        together = threading.Barrier(store._workers)
        await asyncio.gather(*(crew.run(together.wait, 60.0) for _ in range(store._workers)))


async def live(store: AsyncStore, count: int, callers: int = 4) -> None:
    """Talk and learn, several at a time, in an outage."""
    for _ in range(count):
        said = [store.save_messages([samples.message(f"talk {n}")]) for n in range(callers)]
        learned = [store.update_strategies([StrategyChange(f"user {n}", [samples.outcome()])]) for n in range(callers)]
        answers: list[Any] = await asyncio.gather(*said, *learned)
        assert {receipt.durability for receipts in answers for receipt in receipts} == {Durability.JOURNALED}


def test_in_an_outage_nothing_on_the_loop_waits_or_works_long(tmp_path: Path) -> None:
    watched = Watched()

    async def watch() -> None:
        async with silent(tmp_path) as store:
            with watched.working():
                await live(store, 50)
            await staff(store)
            with watched.calling():
                await live(store, 50, callers=1)

    asyncio.run(watch())

    # A crew's lock is held by others for as long as it takes to append to a list.
    assert {one for one in watched.called if one.startswith(WAITING) and "by Crew.submit" not in one} == set()
    assert watched.longest < 0.02


async def lags(seconds: float) -> float:
    """Return how late the loop comes back at most to a task that sleeps, in seconds."""
    most, end = 0.0, time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        await asyncio.sleep(0.005)
        most = max(most, time.monotonic() - began - 0.005)
    return most


@pytest.mark.parametrize("seconds", [0.4, pytest.param(20.0, marks=pytest.mark.long)])
def test_in_an_outage_the_loop_never_lags_20_ms(tmp_path: Path, seconds: float) -> None:
    rounds = list[float]()
    program = [sys.executable, "-c", textwrap.dedent(CONTROL).format(seconds=3 * seconds)]

    async def watch() -> float:
        async with silent(tmp_path) as store:
            with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as control:  # noqa: ASYNC220, S603
                assert control.stdout
                control.stdout.readline()
                for _ in range(3):
                    watching = asyncio.create_task(lags(seconds))
                    while not watching.done():
                        await live(store, 1)
                    rounds.append(await watching)
                return float(control.stdout.read())

    machine = asyncio.run(watch())

    _log.info(
        "it lagged %s ms, a loop with nothing to do %.1f", [f"{1_000 * lag:.1f}" for lag in rounds], 1_000 * machine
    )
    assert min(rounds) < 0.02 + machine  # what delays a loop that has nothing to do is the machine


async def append_times(store: AsyncStore, count: int, expected: Durability) -> list[float]:
    times: list[float] = []
    for _ in range(count):
        message = samples.message()
        began = time.perf_counter()
        (receipt,) = await store.save_messages([message])
        times.append(time.perf_counter() - began)
        assert receipt.durability is expected
    return times


def test_an_outage_costs_an_append_less_than_three_times_its_normal_time(tmp_path: Path, postgres_place: Place) -> None:
    namespace = f"times {time.time_ns()}"
    normal = chain(tmp_path / "normal", ("postgres", PostgresDriver(postgres_place.straight)))
    durable: list[float] = []
    journaled: list[float] = []

    async def live() -> None:
        outage = over_postgres(tmp_path / "outage", postgres_place)
        async with AsyncStore(normal, namespace) as straight, AsyncStore(outage, namespace) as store:
            breaker = net_of(store._store)._calls.writes.breaker  # type: ignore[arg-type]
            breaker.shortest = breaker.longest = 1000.0
            postgres_place.proxy.refuse()
            for n in range(3):
                await store.save_preferences([Preferences(f"user {n}")])
            assert breaker.is_open()
            for _ in range(5):  # in turns, so that a busy machine is busy for both
                durable.extend(await append_times(straight, 20, Durability.DURABLE))
                journaled.extend(await append_times(store, 20, Durability.JOURNALED))

    asyncio.run(live())

    assert median(journaled) < 3.0 * median(durable)
