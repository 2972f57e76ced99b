"""Closing waits for what is on its way, within bounds, and closes every driver."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import AsyncStore, StorageUnavailableError, StoreClosedError, crew, dispatch
from whisper_persistence.testing import samples

from .layers import PATIENCE, TALK, Gate, Layer, caught, ours, over, reached, run


def test_closing_waits_for_what_is_on_its_way_and_for_what_waits(tmp_path):
    layer = Layer(Gate("save_messages"))

    async def main() -> list[Any]:
        store = over(layer, SqliteDriver(tmp_path / "memory.db"))
        await store.open()
        tasks = [asyncio.create_task(store.save_messages([message])) for message in samples.talk(1)]
        await reached(layer.first.reached)
        tasks += [asyncio.create_task(store.save_messages([message])) for message in samples.talk(5)[1:]]
        tasks.append(asyncio.create_task(store.check_health()))
        await asyncio.sleep(0)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreClosedError):
            await store.save_messages(samples.talk(9))
        assert not closing.done()
        layer.first.opened.set()
        await closing
        return await asyncio.gather(*tasks)

    *receipts, health = run(main())

    assert [receipt.sequence for (receipt,) in receipts] == [1, 2, 3, 4, 5]
    assert len(health) == 1


@pytest.mark.parametrize("hook", ["save_messages", "load_messages", "scan"])
def test_what_is_late_when_a_store_closes_is_told_so(hook, caplog):
    gate = Gate(hook)

    async def main() -> list[Any]:
        store = over(Layer(gate), workers=1)
        await store.open()
        calls = {
            "save_messages": lambda: store.save_messages(samples.talk(1)),
            "load_messages": lambda: store.load_messages([TALK]),
            "scan": lambda: store.scan("messages", None, 10),
        }
        late = [asyncio.create_task(calls[hook]())]
        await reached(gate.reached)
        late.append(asyncio.create_task(calls[hook]()))
        await asyncio.sleep(0)
        await store.close(deadline=0.05)
        with pytest.raises(StoreClosedError):
            await calls[hook]()
        return await asyncio.gather(*late, return_exceptions=True)

    answers = run(main())
    gate.opened.set()

    assert all(isinstance(answer, StoreClosedError) for answer in answers)
    assert "closed before all was done" in caplog.text


def test_an_erase_that_waits_for_a_write_when_a_store_closes_is_told_so_and_never_begun():
    layer = Layer(Gate("save_messages"))

    async def main() -> Any:
        store = over(layer)
        await store.open()
        saving = asyncio.create_task(store.save_messages(samples.talk(1)))
        await reached(layer.first.reached)
        erasing = asyncio.create_task(store.erase_users(["alice"]))
        await asyncio.sleep(0)
        await store.close(deadline=0.05)
        answers = await asyncio.wait_for(asyncio.gather(saving, erasing, return_exceptions=True), 5)
        layer.first.opened.set()
        return answers

    assert [type(answer) for answer in run(main())] == [StoreClosedError] * 2
    assert layer.batches("erase_users") == []


def test_a_driver_that_never_closes_is_not_waited_for_for_ever(caplog):
    gate = Gate("close")

    async def main() -> None:
        store = over(Layer(gate))
        await store.open()
        await store.close(deadline=0.05)

    run(main())
    gate.opened.set()

    assert "a driver did not close in time" in caplog.text


async def closing_while_saving(layer: Layer) -> tuple[AsyncStore, asyncio.Task[Any], asyncio.Task[None]]:
    """Return a store whose closing has begun, and waits for a write that its driver holds up."""
    store = over(layer)
    await store.open()
    saving = asyncio.create_task(store.save_messages(samples.talk(1)))
    await reached(layer.first.reached)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    return store, saving, closing


def test_closing_that_is_cancelled_goes_on():
    layer = Layer(Gate("save_messages"))

    async def main() -> Any:
        store, saving, closing = await closing_while_saving(layer)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not layer.closed.is_set()
        layer.first.opened.set()
        await store.close()
        assert layer.closed.is_set()
        return await saving

    assert len(run(main())) == 1


def test_closing_in_a_loop_that_ends_still_closes_every_driver():
    layer = Layer(Gate("save_messages"))

    async def main() -> None:
        _, saving, closing = await closing_while_saving(layer)
        saving.cancel()
        closing.cancel()

    run(main())
    layer.first.opened.set()

    assert layer.closed.wait(PATIENCE)


def test_closing_in_another_loop_tells_the_callers_of_one_that_runs_on(monkeypatch):
    layer = Layer(Gate("check_health"))

    def hand_back(loop: asyncio.AbstractEventLoop, *call: Any) -> None:
        """Wait until the loop has done all that follows from the call."""
        done = threading.Event()
        crew.hand_back(loop, *call)
        loop.call_soon_threadsafe(loop.call_soon, done.set)
        assert done.wait(PATIENCE)

    async def main() -> Any:
        store = over(layer)
        await store.open()
        asking = asyncio.create_task(caught(store.check_health()))
        await reached(layer.first.reached)
        monkeypatch.setattr(dispatch, "hand_back", hand_back)
        closing = asyncio.create_task(asyncio.to_thread(asyncio.run, store.close()))
        await asyncio.wait([asking, closing], return_when=asyncio.FIRST_COMPLETED)
        layer.first.opened.set()
        await closing
        return await asking

    assert isinstance(run(main()), StoreClosedError)


def test_closing_twice_is_closing_once():
    layer = Layer()

    async def main() -> None:
        store = over(layer)
        await store.close()
        await store.open()
        await store.open()
        await asyncio.gather(store.close(), store.close())
        await store.close()

    run(main())

    assert [name for name, _ in layer.calls] == ["open", "close"]


def test_an_error_of_a_closing_driver_is_raised_once_and_leaves_no_thread():
    def first(hook: str, batch: Sequence[Any]) -> None:
        if hook == "close":
            raise StorageUnavailableError("the database did not answer")

    async def main() -> None:
        store = over(Layer(first))
        await store.open()
        await store.save_messages(samples.talk(1))
        with pytest.raises(StorageUnavailableError):
            await store.close()
        await store.close()

    run(main())

    assert not ours()
