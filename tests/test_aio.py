"""AsyncStore: calls that wait together travel together, each gets what is its own, and the loop is never blocked."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    AsyncStore,
    ConfigurationError,
    MemoryScore,
    Message,
    NotSupportedError,
    StatisticsChange,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    Store,
    StoreClosedError,
    ValidationError,
    Window,
    hookimpl,
)
from whisper_persistence.hookspecs import ConversationSpecs, LifecycleSpecs, MaintenanceSpecs
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

#: Longer than anything here takes; a test that needs it has failed.
PATIENCE = 20.0
TALK = Window("talk", 1_000)


def nothing(hook: str, batch: Sequence[Any]) -> None:
    """What a layer does before it passes a call on, unless a test says otherwise."""


@attrs.define(eq=False)
class Layer(LifecycleSpecs, ConversationSpecs, MaintenanceSpecs):
    """A driver above another, which notes each call, does something first, and passes the call on."""

    first: Callable[[str, Sequence[Any]], None] = nothing
    calls: list[tuple[str, list[Any]]] = attrs.field(factory=list[tuple[str, list[Any]]])
    closed: threading.Event = attrs.field(factory=threading.Event)
    below: Any = None

    def batches(self, hook: str) -> list[list[Any]]:
        return [batch for name, batch in self.calls if name == hook]

    def note(self, hook: str, batch: Sequence[Any] = ()) -> None:
        self.calls.append((hook, list(batch)))
        self.first(hook, batch)

    @hookimpl
    def open(self, below: Any, namespace: str) -> None:
        self.below = below
        self.note("open")

    @hookimpl
    def close(self) -> None:
        self.note("close")
        self.closed.set()

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Any:
        self.note("save_messages", messages)
        return self.below.save_messages(messages=messages)

    @hookimpl
    def load_messages(self, windows: Sequence[Window]) -> Any:
        self.note("load_messages", windows)
        return self.below.load_messages(windows=windows)

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Any:
        self.note("scan")
        return self.below.scan(kind=kind, cursor=cursor, limit=limit)

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> Any:
        self.note("erase_users", user_ids)
        return self.below.erase_users(user_ids=user_ids)

    @hookimpl
    def check_health(self) -> Any:
        self.note("check_health")
        return self.below.check_health()


@attrs.define(eq=False)
class Gate:
    """Holds the calls of one hook until it is opened; ``reached`` is set when one stands before it."""

    hook: str
    holds: Callable[[Sequence[Any]], bool] = lambda batch: True
    reached: threading.Event = attrs.field(factory=threading.Event)
    opened: threading.Event = attrs.field(factory=threading.Event)

    def __call__(self, hook: str, batch: Sequence[Any]) -> None:
        if hook == self.hook and self.holds(batch):
            self.reached.set()
            assert self.opened.wait(PATIENCE), f"nobody could open the gate of {hook}: the loop was blocked"


def over(layer: Layer, bottom: object | None = None, workers: int = 4) -> AsyncStore:
    return AsyncStore(Chain.of({"layer": layer, "bottom": bottom or MemoryFallbackDriver()}), workers=workers)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


async def reached(event: threading.Event) -> None:
    """Wait for a thread, leaving the loop free."""
    while not event.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def caught(call: Coroutine[Any, Any, Any]) -> Any:
    """Return what a call returned, or the error that left it, of whatever kind."""
    try:
        return await call
    except BaseException as error:
        return error


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("whisper-persistence")]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """After each test every thread of a store has ended, or is ending."""
    yield
    for thread in ours():
        thread.join(PATIENCE)

    assert not ours()


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


BAD_MESSAGES = {
    "Message.content": [{"content": "zero \0 byte"}, {"content": "x" * 10_000_000}],
    "Message.timestamp": [{"timestamp": datetime(2024, 1, 1)}],
    "Message.message_id": [{"message_id": ""}],
}


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        pytest.param("content", "zero \0 byte", id="NUL"),
        pytest.param("content", "x" * 10_000_000, id="10 MB"),
        pytest.param("timestamp", datetime(2024, 1, 1), id="naive"),
        pytest.param("message_id", "", id="empty"),
    ],
)
def test_a_bad_message_fails_alone(tmp_path, field, bad):
    layer = Layer()
    messages = samples.talk(100)
    messages[42] = attrs.evolve(messages[42], **{field: bad})

    async def main() -> tuple[list[Any], Any]:
        async with over(layer, SqliteDriver(tmp_path / "memory.db")) as store:
            calls = (store.save_messages([message]) for message in messages)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            return answers, (await store.load_messages([TALK]))[TALK]

    answers, stored = run(main())
    refused = answers.pop(42)

    assert isinstance(refused, ValidationError)
    assert refused.field == f"Message.{field}"
    assert all(len(answer) == 1 for answer in answers)
    assert [message.message_id for message in stored] == [f"m{n}" for n in range(100) if n != 42]
    assert [len(batch) for batch in layer.batches("save_messages")] == [99]


@pytest.mark.parametrize("value", [1.5, float("nan"), -1e-9])
def test_a_bad_score_fails_alone(tmp_path, value):
    changes = [StatisticsChange("alice", [MemoryScore("alice", f"memory {n}", 0.5)]) for n in range(100)]
    changes[7] = StatisticsChange("alice", [MemoryScore("alice", "memory 7", value)])

    async def main() -> tuple[list[Any], Any]:
        async with over(Layer(), SqliteDriver(tmp_path / "memory.db")) as store:
            calls = (store.update_statistics([change]) for change in changes)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            return answers, (await store.load_statistics(["alice"]))["alice"]

    answers, statistics = run(main())
    refused = answers.pop(7)

    assert isinstance(refused, ValidationError)
    assert refused.field == "StatisticsChange.scores[0].overall_score"
    assert all(len(answer) == 1 for answer in answers)
    assert statistics.total_memories_scored == 99


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


def refusing(hook: str, batch: Sequence[Any]) -> None:
    if hook == "save_messages" and any(message.content == "guilty" for message in batch):
        raise StorageRefusedError("the database refuses what is written")


def test_refused_content_fails_its_own_caller_alone():
    layer = Layer(refusing)
    messages = [samples.message(content="guilty" if n == 3 else "fine", message_id=f"m{n}") for n in range(10)]

    async def main() -> tuple[list[Any], Any]:
        async with over(layer) as store:
            calls = (store.save_messages([message]) for message in messages)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            return answers, (await store.load_messages([TALK]))[TALK]

    answers, stored = run(main())

    assert [n for n, answer in enumerate(answers) if isinstance(answer, StorageRefusedError)] == [3]
    assert [message.message_id for message in stored] == [f"m{n}" for n in range(10) if n != 3]
    assert [len(batch) for batch in layer.batches("save_messages")] == [10, *[1] * 10]


@pytest.mark.parametrize(
    "error",
    [
        StorageDamagedError("a record is damaged"),
        ValidationError("field", "is too long below"),
        NotSupportedError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_one_reader_asks_for_fails_that_reader_alone(error):
    def damaged(hook: str, batch: Sequence[Any]) -> None:
        if hook == "load_messages" and Window("damaged") in batch:
            raise error

    async def main() -> list[Any]:
        async with over(Layer(damaged)) as store:
            calls = (store.load_messages([Window("damaged" if n == 3 else f"talk {n}")]) for n in range(10))
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = run(main())

    assert [n for n, answer in enumerate(answers) if answer is error] == [3]
    assert [n for n, answer in enumerate(answers) if answer == {}] == [n for n in range(10) if n != 3]


def test_an_outage_fails_the_whole_batch_at_once():
    def down(hook: str, batch: Sequence[Any]) -> None:
        if hook == "save_messages":
            raise StorageUnavailableError("the database did not answer")

    layer = Layer(down)

    async def main() -> list[Any]:
        async with over(layer) as store:
            calls = (store.save_messages([message]) for message in samples.talk(50))
            return await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(answer, StorageUnavailableError) for answer in run(main()))
    assert [len(batch) for batch in layer.batches("save_messages")] == [50]


def test_an_outage_among_refusals_is_not_met_once_for_each_caller():
    def first(hook: str, batch: Sequence[Any]) -> None:
        if hook == "save_messages" and batch[0].message_id == "m4":
            raise StorageUnavailableError("the database did not answer")
        refusing(hook, batch)

    layer = Layer(first)
    messages = [samples.message(content="guilty" if n == 0 else "fine", message_id=f"m{n}") for n in range(20)]

    async def main() -> list[Any]:
        async with over(layer) as store:
            calls = (store.save_messages([message]) for message in messages)
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = run(main())

    assert isinstance(answers[0], StorageRefusedError)
    assert all(len(answer) == 1 for answer in answers[1:4])
    assert all(isinstance(answer, StorageUnavailableError) for answer in answers[4:])
    assert [len(batch) for batch in layer.batches("save_messages")] == [20, *[1] * 5]


@pytest.mark.parametrize("kind", [KeyError, StopIteration, MemoryError, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("hook", ["save_messages", "scan"])
def test_an_error_that_is_not_ours_reaches_its_callers_and_nobody_else(kind, hook):
    armed = True

    def first(asked: str, batch: Sequence[Any]) -> None:
        if armed and asked == hook:
            raise kind("broken driver")

    async def main() -> list[Any]:
        nonlocal armed
        async with over(Layer(first), workers=1) as store:
            await store.load_messages([TALK])
            threads = {thread.ident for thread in ours()}
            calls = {
                "save_messages": lambda: store.save_messages(samples.talk(1)),
                "scan": lambda: store.scan("messages", None, 10),
            }
            failing = [caught(calls[hook]()) for _ in range(3)]
            answers = await asyncio.gather(*failing, caught(store.load_messages([TALK])))
            armed = False
            await calls[hook]()
            assert {thread.ident for thread in ours()} == threads
            return answers

    *failed, other = run(main())

    assert other == {}
    assert all(isinstance(error, RuntimeError if kind is StopIteration else kind) for error in failed)


async def _caught(call: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await call
    except BaseException as error:
        return error


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


def test_a_driver_that_never_closes_is_not_waited_for_for_ever(caplog):
    gate = Gate("close")

    async def main() -> None:
        store = over(Layer(gate))
        await store.open()
        await store.close(deadline=0.05)

    run(main())
    gate.opened.set()

    assert "a driver did not close in time" in caplog.text


def test_closing_that_is_cancelled_goes_on():
    layer = Layer(Gate("save_messages"))

    async def main() -> Any:
        store = over(layer)
        await store.open()
        saving = asyncio.create_task(store.save_messages(samples.talk(1)))
        await reached(layer.first.reached)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
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
        store = over(layer)
        await store.open()
        saving = asyncio.create_task(store.save_messages(samples.talk(1)))
        await reached(layer.first.reached)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        saving.cancel()
        closing.cancel()

    run(main())
    layer.first.opened.set()

    assert layer.closed.wait(PATIENCE)


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


def test_opening_and_closing_leaves_nothing_behind(tmp_path):
    async def again(times: int) -> None:
        for _ in range(times):
            async with AsyncStore(Chain.of({"sqlite": SqliteDriver(tmp_path / "memory.db")})) as store:
                await asyncio.gather(store.save_messages(samples.talk(1)), store.load_messages([TALK]))

    async def main() -> tuple[int, int, int]:
        await again(30)
        gc.collect()
        threads, files, memory = threading.active_count(), _files(), _traced()
        await again(100)
        gc.collect()
        return threading.active_count() - threads, _files() - files, _traced() - memory

    tracemalloc.start()
    try:
        threads, files, memory = run(main())
    finally:
        tracemalloc.stop()

    assert (threads, files) == (0, 0)
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


def test_a_crew_that_gets_no_thread_says_so_and_goes_on_later(monkeypatch):
    starting = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> Any:
        store = over(Layer())
        await store.open()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        refused = await caught(store.save_messages(samples.talk(1)))
        monkeypatch.setattr(threading.Thread, "start", starting)
        await store.save_messages(samples.talk(2)[1:])
        found = (await store.load_messages([TALK]))[TALK]
        await store.close()
        return refused, [message.message_id for message in found]

    refused, found = run(main())

    assert isinstance(refused, StorageUnavailableError)
    assert found == ["m1"]
