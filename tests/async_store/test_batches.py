"""Calls that wait together travel together, and each gets what is its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Window
from whisper_persistence.testing import samples

from .layers import PATIENCE, TALK, Gate, Layer, over, reached, run


def test_calls_of_one_turn_of_the_loop_share_one_batch(tmp_path):
    layer = Layer()

    async def main() -> list[Any]:
        async with over(layer, SqliteDriver(tmp_path / "memory.db")) as store:
            return await asyncio.gather(*(store.save_messages([message]) for message in samples.talk(100)))

    receipts = run(main())

    assert [len(batch) for batch in layer.batches("save_messages")] == [100]
    assert [receipt.sequence for (receipt,) in receipts] == list(range(1, 101))


def test_calls_that_come_while_a_batch_is_on_its_way_share_the_next_one():
    layer = Layer(Gate("save_messages", lambda batch: batch[0].message_id == "m0"))

    async def main() -> None:
        async with over(layer, workers=1) as store:
            tasks = [asyncio.create_task(store.save_messages([message])) for message in samples.talk(1)]
            await reached(layer.first.reached)
            for message in samples.talk(50)[1:]:
                tasks.append(asyncio.create_task(store.save_messages([message])))
                await asyncio.sleep(0)
            layer.first.opened.set()
            await asyncio.gather(*tasks)

    run(main())

    assert [len(batch) for batch in layer.batches("save_messages")] == [1, 49]


def test_a_batch_holds_a_thousand_items_at_most():
    layer = Layer()

    async def main() -> int:
        async with over(layer, workers=1) as store:
            parts = [samples.talk(700, f"talk {n}") for n in range(3)]
            answers = await asyncio.gather(*(store.save_messages(part) for part in parts))
            return [len(answer) for answer in answers]

    assert run(main()) == [700, 700, 700]
    assert [len(batch) for batch in layer.batches("save_messages")] == [700, 700, 700]


def test_readers_get_what_they_asked_for_and_nothing_of_others(tmp_path):
    async def main() -> list[Any]:
        async with over(Layer(), SqliteDriver(tmp_path / "memory.db")) as store:
            await store.save_messages([message for n in range(30) for message in samples.talk(2, f"talk {n}")])
            asked = [[Window(f"talk {n}"), Window(f"talk {n + 1}")] for n in range(30)]
            return list(zip(asked, await asyncio.gather(*map(store.load_messages, asked)), strict=True))

    for asked, answer in run(main()):
        there = [window for window in asked if window.conversation_id != "talk 30"]

        assert list(answer) == there
        assert all(message.conversation_id == window.conversation_id for window in there for message in answer[window])


def test_what_nobody_waits_for_any_more_is_not_read():
    """After a storm of timeouts, the database works for those who still wait."""
    layer = Layer(Gate("load_messages", lambda batch: batch[0].conversation_id == "held"))

    async def main() -> None:
        store = over(layer, workers=1)
        await store.open()
        held = asyncio.create_task(store.load_messages([Window("held")]))
        await reached(layer.first.reached)
        storm = [asyncio.create_task(store.load_messages([Window(f"talk {n}")])) for n in range(3)]
        asked = asyncio.create_task(store.load_messages([TALK]))
        await asyncio.sleep(0)
        for task in storm:
            task.cancel()
        await asyncio.wait(storm)
        layer.first.opened.set()
        await asyncio.gather(held, asked)
        await store.close()

    run(main())

    assert layer.batches("load_messages") == [[Window("held")], [TALK]]


def test_a_store_closes_at_once_where_nobody_waits_for_what_it_has_left_to_read(caplog):
    layer = Layer(Gate("load_messages"))

    async def main() -> None:
        store = over(layer, workers=1)
        await store.open()
        tasks = [asyncio.create_task(store.load_messages([Window("held")]))]
        await reached(layer.first.reached)
        tasks.append(asyncio.create_task(store.load_messages([TALK])))
        await asyncio.sleep(0)
        tasks[1].cancel()
        closing = asyncio.create_task(store.close(deadline=5.0))
        await asyncio.wait(tasks[1:])
        layer.first.opened.set()
        await closing

    run(main())

    assert layer.batches("load_messages") == [[Window("held")]]
    assert not caplog.records


@pytest.mark.parametrize("workers", [1, 4])
def test_awaited_in_sequence_is_applied_in_sequence(workers):
    async def main() -> Any:
        async with over(Layer(), workers=workers) as store:
            for message in samples.talk(50):
                await store.save_messages([message])
                assert (await store.load_messages([TALK]))[TALK][-1].message_id == message.message_id
            return (await store.load_messages([TALK]))[TALK]

    assert [message.message_id for message in run(main())] == [f"m{n}" for n in range(50)]


def test_writes_to_one_conversation_keep_their_order_while_others_pass_them():
    layer = Layer(Gate("save_messages", lambda batch: batch[0].message_id == "a1"))

    async def main() -> Any:
        async with over(layer) as store:
            first = asyncio.create_task(store.save_messages([samples.message("a", message_id="a1")]))
            await reached(layer.first.reached)
            both = [samples.message("a", message_id="a2"), samples.message("c", message_id="c1")]
            behind = [asyncio.create_task(store.save_messages(both))]
            behind += [asyncio.create_task(store.save_messages([samples.message("c", message_id="c2")]))]
            other = await store.save_messages([samples.message("b", message_id="b1")])
            assert not any(task.done() for task in (first, *behind))
            layer.first.opened.set()
            await asyncio.gather(first, *behind)
            assert len(other) == 1
            return await store.load_messages([Window("a"), Window("c")])

    answer = run(main())

    assert [message.message_id for message in answer[Window("a")]] == ["a1", "a2"]
    assert [message.message_id for message in answer[Window("c")]] == ["c1", "c2"]


def test_a_batch_is_what_was_handed_in_even_if_the_caller_goes_on_to_use_its_list():
    layer = Layer()

    async def main() -> list[Any]:
        async with over(layer) as store:
            buffer = samples.talk(3)
            first = asyncio.create_task(store.save_messages(buffer))
            second = asyncio.create_task(store.save_messages(samples.talk(2, "other")))
            asyncio.get_running_loop().call_soon(buffer.clear)
            return await asyncio.gather(first, second)

    first, second = run(main())

    assert [receipt.sequence for receipt in first] == [1, 2, 3]
    assert [receipt.sequence for receipt in second] == [1, 2]


def test_health_answers_while_every_thread_for_the_rest_is_busy():
    layer = Layer(Gate("scan"))

    async def main() -> Any:
        async with over(layer) as store:
            scans = [asyncio.create_task(store.scan("messages", None, 10)) for _ in range(4)]
            while len(layer.batches("scan")) < len(scans):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            health = await asyncio.wait_for(store.check_health(), PATIENCE / 2)
            layer.first.opened.set()
            await asyncio.gather(*scans)
            return health

    assert run(main())


@pytest.mark.parametrize("wanted", [True, False], ids=["awaited", "given up"])
def test_an_erase_goes_after_every_write_that_was_called_before_it(wanted):
    layer = Layer(Gate("save_messages", lambda batch: batch[0].message_id == "m0"))

    async def main() -> Any:
        async with over(layer, workers=1) as store:
            first, second = samples.talk(2)
            held = asyncio.create_task(store.save_messages([first]))
            await reached(layer.first.reached)
            given_up = asyncio.create_task(store.save_messages([second]))
            await asyncio.sleep(0)
            given_up.cancel()
            erasing = asyncio.create_task(store.erase_users(["alice"]))
            await asyncio.sleep(0)
            if not wanted:
                erasing.cancel()
            await store.scan("messages", None, 1)  # by the one thread that would have erased before
            begun = layer.batches("erase_users")
            layer.first.opened.set()
            await asyncio.gather(held, erasing, return_exceptions=True)
        return begun

    assert run(main()) == []
    hooks = [hook for hook, _ in layer.calls if hook in ("save_messages", "erase_users")]
    assert hooks == ["save_messages", "save_messages", "erase_users"]
