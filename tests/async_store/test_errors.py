"""An error reaches those whom it concerns, and nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

import attrs
import pytest
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    MemoryScore,
    NotSupportedError,
    StatisticsChange,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    ValidationError,
    Window,
)
from whisper_persistence.crew import Crew
from whisper_persistence.errors import BrokenDriverError, PartlyDamagedError
from whisper_persistence.testing import samples

from .layers import PATIENCE, TALK, Layer, caught, ours, over, run


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
            calls = {
                "save_messages": lambda: store.save_messages(samples.talk(1)),
                "scan": lambda: store.scan("messages", None, 10),
            }
            failing = [caught(calls[hook]()) for _ in range(2)]
            answers = await asyncio.gather(*failing, caught(store.load_messages([TALK])))
            threads = {thread.ident for thread in ours()}
            armed = False
            await calls[hook]()
            assert {thread.ident for thread in ours()} == threads
            return answers

    *failed, other = run(main())
    passes = kind in (SystemExit, asyncio.CancelledError)

    assert other == {}
    assert all(isinstance(error, kind if passes else BrokenDriverError) for error in failed)
    assert passes or all(kind.__name__ in str(error) for error in failed)


def test_an_answer_that_nobody_can_take_apart_is_an_error_of_its_callers():
    """Such as that of a driver whose error does not say what is unknown; nobody waits for ever."""

    def first(hook: str, batch: Sequence[Any]) -> None:
        if Window("damaged") in batch:
            raise PartlyDamagedError("some cannot be read", {}, cast("Any", None))

    async def main() -> list[Any]:
        async with over(Layer(first), workers=1) as store:
            return [await caught(store.load_messages([Window(talk)])) for talk in ("damaged", "talk")]

    failed, other = run(main())

    assert isinstance(failed, AttributeError)
    assert other == {}


def test_a_job_that_raises_is_logged_and_leaves_its_thread_for_the_next(caplog):
    crew, done = Crew(1), threading.Event()
    for job in (partial(divmod, 1, 0), done.set):
        crew.submit(cast("Any", job))

    assert done.wait(PATIENCE)
    crew.stop()
    assert [record.message for record in caplog.records] == ["a job failed"]


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
