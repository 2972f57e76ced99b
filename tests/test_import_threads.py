"""Importing with several threads: order, what is left of a failure, how far ahead is read, and how threads end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import BinaryIO

import attrs
import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver

from whisper_persistence.codec import encode_utf8
from whisper_persistence.errors import StorageUnavailableError, ValidationError
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.operations import Batch, import_file, import_messages
from whisper_persistence.operations import importing as importing_module
from whisper_persistence.operations import transfer as transfer_module
from whisper_persistence.operations.saving import SavingThreads
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message, Receipt, Window
from whisper_persistence.store import Store

PATIENCE = 60.0
TALKS = 40


@attrs.define(eq=False)
class Watched(MemoryFallbackDriver):
    """Takes several writers, and does something before each batch of messages."""

    first: Callable[[Sequence[Message]], None] = lambda messages: None
    threads: set[str] = attrs.field(factory=set[str])

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        self.threads.add(threading.current_thread().name)
        self.first(messages)
        return super().save_messages(messages)


def over(driver: Watched) -> Store:
    return Store(Chain.of({"memory-fallback": driver}))


def everybody(size: int, first: int = 0) -> list[Message]:
    return [Message(f"c{n % TALKS}", "u", "u", str(n), message_id=str(n)) for n in range(first, first + size)]


def texts_of(store: Store) -> dict[str, list[str]]:
    found = store.load_messages([Window(f"c{n}", 10_000) for n in range(TALKS)])
    return {window.conversation_id: [message.content for message in messages] for window, messages in found.items()}


def importers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("whisper-persistence-import")]


def until(done: Callable[[], bool]) -> None:
    """Wait for other threads."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_after_a_failure_every_conversation_has_a_first_part_and_importing_again_adds_the_rest() -> None:
    talk = everybody(12_000)
    whole = {f"c{n}": [str(m) for m in range(n, 12_000, TALKS)] for n in range(TALKS)}
    failing = {"4321"}

    def fail_once(messages: Sequence[Message]) -> None:
        if any(message.content in failing for message in messages):
            failing.clear()
            raise StorageUnavailableError("gone")

    driver = Watched(first=fail_once)
    with over(driver) as store:
        with pytest.raises(StorageUnavailableError, match="gone"):
            import_messages(store, talk)
        parts = texts_of(store)

        assert all(whole[key][: len(part)] == part for key, part in parts.items())
        assert "4321" not in parts["c1"]
        assert import_messages(store, talk) == len(talk)
        assert texts_of(store) == whole
    assert len(driver.threads) == 3
    assert not importers()


@pytest.mark.parametrize(("room", "ahead"), [(1_000_000_000, 7_000), (1, 1_000)])
def test_reading_goes_ahead_only_so_far(monkeypatch: pytest.MonkeyPatch, room: int, ahead: int) -> None:
    monkeypatch.setattr(importing_module, "_ROOM", room)
    taken, beyond = count(1), threading.Event()

    def source() -> Iterator[Message]:
        for message in everybody(20_000):
            if next(taken) > ahead:
                beyond.set()
            yield message

    early: list[bool] = []

    def hold(messages: Sequence[Message]) -> None:
        if not early:
            early.append(beyond.wait(0.3))

    with over(Watched(first=hold)) as store:
        assert import_messages(store, source()) == 20_000
    assert early[0] is False
    assert beyond.is_set()


def test_leaving_gives_up_what_was_not_begun_on_every_thread_and_waits_for_what_was() -> None:
    opened, begun = threading.Event(), count()

    def hold(messages: Sequence[Message]) -> None:
        next(begun)
        assert opened.wait(PATIENCE)

    with over(Watched(first=hold)) as store:
        threads = SavingThreads(store)
        batches = [threads.save(Batch("messages", everybody(1_000, 1_000 * n))) for n in range(4)]
        later = [future for futures in batches[1:] for future in futures]
        until(lambda: all(future.running() for future in batches[0]))
        leaving = threading.Thread(target=threads.__exit__)
        leaving.start()
        until(lambda: all(future.cancelled() for future in later))

        assert leaving.is_alive()
        opened.set()
        leaving.join(PATIENCE)
        assert not importers()
        assert next(begun) == len(batches[0]) == 3
        assert sum(map(len, texts_of(store).values())) == 1_000


def test_whoever_ends_an_import_half_way_leaves_no_thread() -> None:
    def source() -> Iterator[Message]:
        yield from everybody(3_000)
        raise KeyboardInterrupt

    with over(Watched()) as store:
        with pytest.raises(KeyboardInterrupt):
            import_messages(store, source())

        assert not importers()


ILLEGAL = b'{"conversation_id": "", "user_id": "u", "author_id": "u", "content": "text"}'


@pytest.mark.parametrize("bad", [b"{", ILLEGAL])
def test_whatever_ends_the_import_of_a_file_closes_it(
    tmp_path: Path, bad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[BinaryIO] = []
    read = transfer_module.read_lines

    def watched(file: BinaryIO, name: str) -> Generator[Batch]:
        opened.append(file)
        return read(file, name)

    def give_up(batch: Batch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer_module, "read_lines", watched)
    file = tmp_path / "talk.jsonl"
    lines = list(map(encode_utf8, everybody(9_000)))
    file.write_bytes(b"\n".join([*lines[:8_000], bad, *lines]))
    with over(Watched()) as store:
        with pytest.raises(ValidationError) as refused:
            import_file(store, file)
        with pytest.raises(KeyboardInterrupt) as ended:
            import_file(store, file, give_up)

        assert [each.closed for each in opened] == [True, True]
        assert not importers()
    assert refused.traceback
    assert ended.traceback


def test_a_message_that_only_a_driver_refuses_is_looked_for_where_it_is() -> None:
    def refuse(messages: Sequence[Message]) -> None:
        if any(message.content == "1234" for message in messages):
            raise ValidationError("Message.content", "is too odd")

    where = r"messages\[1000\] to messages\[1999\]: Message.content is too odd"
    with over(Watched(first=refuse)) as store, pytest.raises(ValidationError, match=where):
        import_messages(store, everybody(5_000))


def test_the_threads_see_the_context_of_their_caller() -> None:
    traced: ContextVar[str] = ContextVar("traced", default="")
    seen: list[str] = []
    with over(Watched(first=lambda messages: seen.append(traced.get()))) as store:
        traced.set("import of Monday")
        import_messages(store, everybody(100))

    assert seen == ["import of Monday"] * 3
