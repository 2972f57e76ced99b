"""The loop is never blocked, and one store serves several loops and both sides of a fork."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

from .layers import TALK, Gate, Layer, over, reached, run


def test_the_write_of_a_cancelled_caller_completes(tmp_path):
    layer = Layer(Gate("save_messages"))
    on_its_way, waiting = samples.talk(2)

    async def main() -> None:
        async with over(layer, SqliteDriver(tmp_path / "memory.db")) as store:
            tasks = [asyncio.create_task(store.save_messages([on_its_way]))]
            await reached(layer.first.reached)
            tasks.append(asyncio.create_task(store.save_messages([waiting])))
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            assert all(
                isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*tasks, return_exceptions=True)
            )
            layer.first.opened.set()

    run(main())

    with Store(Chain.of({"sqlite": SqliteDriver(tmp_path / "memory.db")})) as store:
        assert [message.message_id for message in store.load_messages([TALK])[TALK]] == ["m0", "m1"]


@pytest.mark.parametrize(
    "hook", ["open", "save_messages", "load_messages", "scan", "erase_users", "check_health", "close"]
)
def test_the_loop_is_free_while_a_driver_is_at_work(hook):
    gate = Gate(hook)
    layer = Layer(gate)

    async def use() -> None:
        async with over(layer) as store:
            await store.save_messages(samples.talk(1))
            await store.load_messages([TALK])
            await store.scan("messages", None, 10)
            await store.check_health()
            await store.erase_users(["alice"])

    async def main() -> None:
        using = asyncio.create_task(use())
        await reached(gate.reached)
        assert not using.done()
        gate.opened.set()
        await using

    run(main())

    assert [name for name, _ in layer.calls][-1] == "close"


@pytest.mark.parametrize("stalled", ["save_messages", "load_messages", "scan"])
def test_what_stalls_one_sort_of_work_leaves_the_others_alone(stalled):
    """A disk that takes no commits is no reason not to read, nor is a scan of a million records."""
    gate = Gate(stalled)

    async def main() -> None:
        async with over(Layer(gate), workers=1) as store:
            calls: dict[str, Callable[[], Any]] = {
                "save_messages": lambda: store.save_messages(samples.talk(1)),
                "load_messages": lambda: store.load_messages([TALK]),
                "scan": lambda: store.scan("messages", None, 10),
            }
            held = asyncio.ensure_future(calls.pop(stalled)())
            await reached(gate.reached)
            for call in calls.values():
                await call()
            assert not held.done()
            gate.opened.set()
            await held

    run(main())


def test_one_store_serves_one_event_loop_after_another(tmp_path):
    store = over(Layer(), SqliteDriver(tmp_path / "memory.db"))

    async def some(first: int) -> list[Any]:
        batch = samples.talk(first + 20)[first:]
        return await asyncio.gather(*(store.save_messages([message]) for message in batch))

    async def rest() -> Any:
        await some(20)
        found = (await store.load_messages([TALK]))[TALK]
        await store.close()
        return found

    run(store.open())
    run(some(0))

    assert [message.message_id for message in run(rest())] == [f"m{n}" for n in range(40)]


def test_a_loop_that_ended_with_calls_on_their_way_does_not_hold_up_the_next_one():
    layer = Layer(Gate("save_messages", lambda batch: batch[0].message_id == "m0"))
    store = over(layer, workers=1)

    async def leave() -> None:
        await store.open()
        lost = [asyncio.create_task(store.save_messages([message])) for message in samples.talk(1)]
        await reached(layer.first.reached)
        assert not lost[0].done()

    async def come() -> Any:
        layer.first.opened.set()
        await store.save_messages(samples.talk(2)[1:])
        found = (await store.load_messages([TALK]))[TALK]
        await store.close()
        return found

    run(leave())

    assert [message.message_id for message in run(come())] == ["m0", "m1"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_and_its_parent_both_go_on(tmp_path):
    store = over(Layer(), SqliteDriver(tmp_path / "memory.db"))

    async def append(author: str) -> None:
        messages = (samples.message(message_id=f"{author} {n}") for n in range(30))
        await asyncio.gather(*(store.save_messages([message]) for message in messages))

    async def rest() -> Any:
        found = (await store.load_messages([TALK]))[TALK]
        await store.close()
        return found

    run(store.open())
    run(append("before"))
    child = os.fork()
    if child == 0:
        _end_child(lambda: run(append("child")))
    run(append("parent"))

    assert os.waitpid(child, 0)[1] == 0
    assert len(run(rest())) == 90


def _end_child(work: Callable[[], None]) -> None:
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


@pytest.mark.parametrize("hook", ["save_messages", "check_health"])
def test_a_store_closes_in_another_loop_than_the_one_that_left_a_call_on_its_way(hook):
    layer = Layer(Gate(hook))
    store = over(layer)
    loop = asyncio.new_event_loop()

    async def leave() -> Any:
        await store.open()
        call = store.save_messages(samples.talk(1)) if hook == "save_messages" else store.check_health()
        task = asyncio.ensure_future(call)
        await reached(layer.first.reached)
        return task

    left = loop.run_until_complete(leave())
    loop.close()
    layer.first.opened.set()
    run(store.close())

    assert layer.closed.is_set()
    assert not left.done()
    left._log_destroy_pending = False
