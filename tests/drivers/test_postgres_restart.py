"""A server that is restarted under load: errors are outages, nobody hangs, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.postgres import PostgresDriver

from whisper_persistence import AsyncStore, StorageUnavailableError, StrategyChange, Window
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

TASKS = 32
#: A call may wait for a connection, connect, and run into its statement's timeout; the rest is for a busy machine.
LONGEST = 3 * 2.0 + 9.0
OPTIONS = {"connect_timeout": 2, "statement_timeout": 2, "lock_timeout": 2, "pool_timeout": 2}


@attrs.define
class Load:
    """What tasks do to a store until they are stopped, and how it went."""

    store: AsyncStore
    stopped: bool = False
    restarted: bool = False
    acknowledged: list[tuple[str, int | None]] = attrs.field(factory=list[tuple[str, int | None]])
    learned: int = 0
    errors: list[BaseException] = attrs.field(factory=list[BaseException])
    longest: float = 0.0
    recovered: set[int] = attrs.field(factory=set[int])

    async def run(self, task: int) -> None:
        n = 0
        while not self.stopped:
            message_id, began_after = f"{task} {n}", self.restarted
            change = StrategyChange(f"user {task}", [samples.outcome(0.9)])
            message = samples.message(f"talk {task % 4}", user_id=f"user {task}", message_id=message_id)
            receipts = await self._insist(self.store.save_messages, [message])
            self.acknowledged.append((message_id, receipts[0].sequence))
            await self._insist(self.store.update_strategies, [change])
            self.learned += 1
            if await self._call(self.store.load_messages, [Window(f"talk {task % 4}")]) and began_after:
                self.recovered.add(task)
            n += 1

    async def _insist(self, method: Callable[[Any], Awaitable[Any]], items: Any) -> Any:
        while (answer := await self._call(method, items)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return answer

    async def _call(self, method: Callable[[Any], Awaitable[Any]], items: Any) -> Any:
        began = time.monotonic()
        try:
            return await method(items)
        except Exception as error:
            self.errors.append(error)
            return None
        finally:
            self.longest = max(self.longest, time.monotonic() - began)


async def until(ready: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not ready():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def restart_under_load(url: str, restart: Callable[[], None]) -> tuple[Load, list[tuple[str, int | None]], int]:
    """Return how the tasks fared, and what is stored in the end."""
    chain = Chain.of({"postgres": PostgresDriver(url, **OPTIONS)})
    async with AsyncStore(chain) as store:
        load = Load(store)
        async with asyncio.TaskGroup() as group:
            for task in range(TASKS):
                group.create_task(load.run(task))
            await until(lambda: load.learned > 3 * TASKS)
            await asyncio.to_thread(restart)
            load.restarted = True
            await until(lambda: len(load.recovered) == TASKS)
            load.stopped = True
        windows = [Window(f"talk {n}", 100_000, after=0) for n in range(4)]
        pages = await store.load_messages(windows)
        strategies = await store.load_strategies([f"user {task}" for task in range(TASKS)])
    stored = [(message.message_id, message.sequence) for page in pages.values() for message in page]
    return load, stored, sum(strategy.interventions for strategy in strategies.values())


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_under_load_loses_nothing_doubles_nothing_and_hangs_nobody(private_server, private_url, mode):
    load, stored, learned = asyncio.run(restart_under_load(private_url, lambda: private_server.restart(mode)))

    assert {type(error) for error in load.errors} == {StorageUnavailableError}
    assert load.longest < LONGEST
    assert load.recovered == set(range(TASKS))
    assert len({message_id for message_id, _ in stored}) == len(stored)
    assert sorted(load.acknowledged) == sorted(stored)
    assert learned == load.learned


def test_opening_while_the_server_is_down_is_an_outage_and_works_once_it_is_up(private_server, private_url, opened):
    store = opened(private_url, **OPTIONS)
    store.save_messages(samples.talk(3))
    private_server.stop()
    try:
        for ask in (lambda: opened(private_url, **OPTIONS), lambda: store.load_messages([Window("talk")])):
            began = time.monotonic()
            with pytest.raises(StorageUnavailableError):
                ask()
            assert time.monotonic() - began < LONGEST
        (health,) = store.check_health()
        assert health.state.value == "down"
    finally:
        private_server.start()

    assert len(store.load_messages([Window("talk")])[Window("talk")]) == 3
    assert len(opened(private_url).load_messages([Window("talk")])[Window("talk")]) == 3
