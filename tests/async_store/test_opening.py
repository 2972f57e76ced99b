"""Opening, and opening again."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import AsyncStore, ConfigurationError, StorageUnavailableError, StoreClosedError, dispatch
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

from .layers import PATIENCE, TALK, Gate, Layer, caught, over, reached, run


def test_use_before_opening_and_after_closing_is_refused():
    async def main() -> None:
        store = over(Layer())
        for _ in range(2):
            for call in (
                lambda: store.save_messages(samples.talk(1)),
                lambda: store.load_messages([TALK]),
                lambda: store.scan("messages", None, 10),
                store.check_health,
            ):
                with pytest.raises(StoreClosedError, match="not open"):
                    await call()
            await store.open()
            await store.close()

    run(main())


def test_a_store_opens_again_after_it_was_closed(tmp_path):
    async def main() -> Any:
        store = over(Layer(), SqliteDriver(tmp_path / "memory.db"))
        for message in samples.talk(3):
            async with store:
                await asyncio.gather(store.save_messages([message]), store.load_messages([TALK]))
        async with store:
            return (await store.load_messages([TALK]))[TALK]

    assert len(run(main())) == 3


def test_a_store_that_cannot_open_says_why_and_leaves_nothing(tmp_path):
    async def main() -> None:
        layer = Layer()
        store = over(layer, SqliteDriver(tmp_path))
        with pytest.raises(ConfigurationError, match="cannot write"):
            await store.open()
        with pytest.raises(StoreClosedError):
            await store.load_messages([TALK])
        await store.close()

    run(main())


def test_opening_that_is_cancelled_closes_what_it_opened():
    layer = Layer(Gate("open"))

    async def main() -> None:
        opening = asyncio.create_task(over(layer).open())
        await reached(layer.first.reached)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        layer.first.opened.set()

    run(main())

    assert layer.closed.wait(PATIENCE)


async def give_up(store: AsyncStore) -> None:
    """Begin to open a store whose driver is held up, and wait for it in vain."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.open(), 0.05)


async def open_again(store: AsyncStore, gate: Gate) -> None:
    """Open a store that waits for what stands before a gate, let that pass, and use the store."""
    opening = asyncio.create_task(store.open())
    opened, _ = await asyncio.wait([opening], timeout=0.05)
    gate.opened.set()
    assert not opened
    await opening
    await store.save_messages(samples.talk(1))
    await store.close()


def test_a_store_whose_opening_was_given_up_opens_again_after_that_is_over():
    layer = Layer(Gate("open"))

    async def main() -> None:
        store = over(layer)
        for _ in range(3):
            await give_up(store)
        await open_again(store, layer.first)

    run(main())

    assert [name for name, _ in layer.calls] == ["open", "close", "open", "save_messages", "close"]


def test_a_store_whose_opening_was_given_up_opens_again_in_another_loop():
    layer = Layer(Gate("open"))
    store = over(layer)

    run(give_up(store))
    run(open_again(store, layer.first))

    assert [name for name, _ in layer.calls] == ["open", "close", "open", "save_messages", "close"]


def test_a_store_that_could_not_open_opens_again_and_stays_open():
    errors = [StorageUnavailableError("the database did not answer")]

    def first(hook: str, batch: Sequence[Any]) -> None:
        if hook == "open" and errors:
            raise errors.pop()

    layer = Layer(first)

    async def main() -> None:
        store = over(layer)
        with pytest.raises(StorageUnavailableError):
            await store.open()
        async with store:
            await store.save_messages(samples.talk(1))

    run(main())

    assert [name for name, _ in layer.calls] == ["open", "close", "open", "save_messages", "close"]


def test_opening_waits_for_a_close_that_passed_its_deadline(monkeypatch):
    monkeypatch.setattr(dispatch, "CLOSING_SECONDS", 0.05)
    layer = Layer(Gate("close"))

    async def main() -> None:
        store = over(layer)
        await store.open()
        await store.close(deadline=0.05)
        await open_again(store, layer.first)

    run(main())

    assert [name for name, _ in layer.calls] == ["open", "close", "open", "save_messages", "close"]


def test_opening_and_closing_leaves_nothing_behind(tmp_path):
    async def again(times: int) -> None:
        for _ in range(times):
            async with AsyncStore(Chain.of({"sqlite": SqliteDriver(tmp_path / "memory.db")})) as store:
                await asyncio.gather(store.save_messages(samples.talk(1)), store.load_messages([TALK]))

    async def main() -> tuple[set[threading.Thread], int, int]:
        await again(10)
        gc.collect()
        threads, files, memory = set(threading.enumerate()), _files(), _traced()
        await again(30)
        gc.collect()
        return set(threading.enumerate()) - threads, _files() - files, _traced() - memory

    tracemalloc.start()
    try:
        threads, files, memory = run(main())
    finally:
        tracemalloc.stop()

    assert not threads
    assert files <= 0  # what others left behind may have gone meanwhile
    assert memory < 64_000


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_opening_at_once_from_several_tasks_is_opening_once():
    layer = Layer()

    async def main() -> None:
        store = over(layer)
        await asyncio.gather(*(store.open() for _ in range(3)))
        await store.save_messages(samples.talk(1))
        await store.close()

    run(main())

    assert [name for name, _ in layer.calls] == ["open", "save_messages", "close"]


def test_opening_waits_for_a_close_that_is_on_its_way():
    layer = Layer(Gate("close"))

    async def main() -> None:
        store = over(layer)
        await store.open()
        closing = asyncio.create_task(store.close())
        await reached(layer.first.reached)
        opening = asyncio.create_task(store.open())
        opened, _ = await asyncio.wait([opening], timeout=0.05)
        assert not opened
        layer.first.opened.set()
        await asyncio.gather(closing, opening)
        await store.save_messages(samples.talk(1))
        await store.close()

    run(main())

    assert [name for name, _ in layer.calls] == ["open", "close", "open", "save_messages", "close"]


def test_a_close_that_failed_keeps_nobody_from_opening_again():
    errors = [StorageUnavailableError("the database did not answer")]

    def first(hook: str, batch: Sequence[Any]) -> None:
        if hook == "close" and errors:
            raise errors.pop()

    async def main() -> list[Any]:
        store = over(Layer(first))
        await store.open()
        found = await asyncio.gather(store.close(), caught(store.open()), return_exceptions=True)
        await store.open()
        await store.save_messages(samples.talk(1))
        await store.close()
        return found

    failed, opened = run(main())

    assert (type(failed), opened) == (StorageUnavailableError, None)
