"""A plugin that raises, hangs or returns the wrong type harms its own call, and after three times itself."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    BrokenDriverError,
    Durability,
    Message,
    StorageUnavailableError,
    Store,
    StrategyChange,
    Window,
)
from whisper_persistence.errors import StoreClosedError
from whisper_persistence.guarding import FAILURES, Turn, Watched
from whisper_persistence.hookspecs import Below, hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Page, State
from whisper_persistence.testing import samples

TALK = Window("talk", 100)


class PanicError(BaseException):
    """What native code raises through PyO3, which is no Exception."""


@attrs.define(eq=False)
class Planted:
    """A layer that does what it is told, once for each way that is planned.

    Attributes:
        ways: what to raise or to answer with, the next one last.
        hooks: which hooks go wrong.
    """

    ways: list[Any] = attrs.field(factory=list[Any])
    hooks: tuple[str, ...] = ("save_messages", "load_messages", "erase_users", "check_health")
    calls: int = 0
    below: Any = None

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self.below = below

    @hookimpl
    def save_messages(self, messages: Sequence[Message]) -> Any:
        return self._act("save_messages", lambda: self.below.save_messages(messages=messages))

    @hookimpl
    def load_messages(self, windows: Sequence[Window]) -> Any:
        return self._act("load_messages", lambda: self.below.load_messages(windows=windows))

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> Any:
        return self._act("erase_users", lambda: self.below.erase_users(user_ids=user_ids))

    @hookimpl
    def check_health(self) -> Any:
        return self._act("check_health", self.below.check_health)

    def _act(self, hook: str, ask: Callable[[], Any]) -> Any:
        self.calls += 1
        if hook not in self.hooks or not self.ways:
            return ask()
        way = self.ways.pop()
        if isinstance(way, BaseException):
            raise way
        return way


class Scanner(Planted):
    """One that scans."""

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Any:
        return self._act("scan", lambda: self.below.scan(kind=kind, cursor=cursor, limit=limit))


class Cache(Planted):
    """One that may be skipped."""

    skippable = True


Opener = Callable[..., Store]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, made once."""
    path = tmp_path_factory.mktemp("template") / "memory.db"
    Store(Chain.of({"sqlite": SqliteDriver(path)})).close()
    return path


@pytest.fixture(autouse=True)
def _made(template: Path, tmp_path: Path) -> None:
    shutil.copyfile(template, tmp_path / "memory.db")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """A function that opens a store of some drivers above sqlite."""
    stores: list[Store] = []

    def open_store(**drivers: Any) -> Store:
        stores.append(Store(Chain.of({**drivers, "sqlite": SqliteDriver(tmp_path / "memory.db")})))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def say(store: Store, message_id: str) -> Durability:
    return store.save_messages([samples.message(message_id=message_id)])[0].durability


def said(store: Store) -> list[str]:
    return [message.message_id for message in store.load_messages([TALK]).get(TALK, ())]


@pytest.mark.parametrize(
    "way",
    [RuntimeError("private words"), PanicError("private words"), StopIteration(), [], {}, "yes", [None]],
    ids=repr,
)
def test_what_is_no_answer_and_no_error_of_ours_is_told_as_a_mistake_of_its_driver(opened: Opener, way: Any) -> None:
    store = opened(planted=Planted([way] * (1 if way == {} else 2)))

    with pytest.raises(BrokenDriverError, match=r"driver 'planted'.* in save_messages") as told:
        say(store, "a")
    assert "private" not in str(told.value)
    assert told.value.__suppress_context__
    if way != {}:
        with pytest.raises(BrokenDriverError, match="in load_messages"):
            said(store)
    assert say(store, "b") is Durability.DURABLE


@pytest.mark.parametrize("answer", [[], Page((), "a\0b"), Page((), 7)], ids=repr)  # type: ignore[arg-type]
def test_a_page_that_leads_nowhere_is_a_mistake_of_its_driver(opened: Opener, answer: Any) -> None:
    store = opened(planted=Scanner([answer], ("scan",)))

    with pytest.raises(BrokenDriverError, match=r"driver 'planted'.* in scan"):
        store.scan("messages", None, 10)


@pytest.mark.parametrize("wish", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_the_program_wishes_goes_through_and_counts_as_nothing(opened: Opener, wish: type[BaseException]) -> None:
    store = opened(planted=Cache([wish() for _ in range(5)]))
    for _ in range(5):
        with pytest.raises(wish):
            say(store, "a")

    assert all(tier.state is State.UP for tier in store.check_health())


def test_a_cache_that_fails_is_passed_over_and_after_three_times_left_out(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Cache([RuntimeError()] * FAILURES)
    store = opened(cache=cache)
    with caplog.at_level(logging.WARNING):
        assert [say(store, message_id) for message_id in "abc"] == [Durability.DURABLE] * 3

    assert [record.message for record in caplog.records] == ["a plugin made a mistake", "a plugin is left out"]
    assert cache.calls == FAILURES
    assert (say(store, "d"), said(store)) == (Durability.DURABLE, ["a", "b", "c", "d"])
    assert cache.calls == FAILURES
    told = store.check_health()
    assert {tier.tier: tier.state for tier in told} == {"sqlite": State.UP, "cache": State.DEGRADED}
    assert told[-1].details == {"failures": 3, "left_out": "after 3 mistakes in a row in save_messages"}
    assert store.metrics()["cache"]["failures"] == 3


def test_three_mistakes_that_are_not_in_a_row_leave_nobody_out(opened: Opener) -> None:
    cache = Cache(hooks=("load_messages",))
    store = opened(cache=cache)
    for n in range(2 * FAILURES):
        cache.ways.extend([None, RuntimeError()])
        assert said(store) == said(store) == [], n

    assert cache.calls == 4 * FAILURES


def test_what_is_left_out_must_still_erase_or_the_erase_fails_and_is_done_later(opened: Opener, tmp_path: Path) -> None:
    cache = Cache([RuntimeError()] * (FAILURES + 1))
    store = opened(cache=cache)
    for message_id in "abc":
        say(store, message_id)

    with pytest.raises(BrokenDriverError, match="erase_users"):
        store.erase_users(["alice"])
    store.close()

    assert said(opened(cache=cache)) == []  # what was begun is finished when the memory is opened again


def test_who_keeps_the_truth_or_seals_it_is_never_passed_over_but_refused_at_once(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("whisper_persistence.guarding.time.monotonic", lambda: now[0])
    sealer = Planted([RuntimeError()] * (FAILURES + 1), hooks=("save_messages",))
    store = opened(sealer=sealer)
    for _ in range(FAILURES):
        with pytest.raises(BrokenDriverError):
            say(store, "a")
    for _ in range(5):
        with pytest.raises(StorageUnavailableError, match="'sealer' made 3 mistakes in a row in save_messages"):
            say(store, "a")

    assert sealer.calls == FAILURES
    assert said(store) == []  # other hooks of it are asked, and what it should have sealed is nowhere
    assert store.check_health()[-1].state is State.DEGRADED

    now[0] += 1.1
    with pytest.raises(BrokenDriverError):
        say(store, "a")
    with pytest.raises(StorageUnavailableError):
        say(store, "a")
    now[0] += 1.1  # the wait doubles
    with pytest.raises(StorageUnavailableError):
        say(store, "a")
    now[0] += 1.0
    assert [say(store, message_id) for message_id in "ab"] == [Durability.DURABLE] * 2
    assert said(store) == ["a", "b"]


def test_one_call_at_a_time_tries_whether_it_is_well() -> None:
    turn = Turn(Watched("planted"), "save_messages", lambda: False, misses=3, until=time.monotonic() - 1)
    turn.enter()

    with pytest.raises(StorageUnavailableError):
        turn.enter()


def test_under_a_net_what_a_refused_driver_should_have_taken_is_journaled_and_brought_in(
    opened: Opener, tmp_path: Path
) -> None:
    sealer = Planted([RuntimeError()] * FAILURES, hooks=("save_messages",))
    store = opened(net=MemoryFallbackDriver(journal_directory=tmp_path / "journals"), sealer=sealer)
    for _ in range(FAILURES):
        with pytest.raises(BrokenDriverError):
            say(store, "lost and told so")

    assert say(store, "kept") is Durability.JOURNALED
    until = time.monotonic() + 30
    while store.metrics()["memory-fallback"]["backlog"]:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert said(store) == ["kept"]


@attrs.define(eq=False)
class Watching:
    """An observer that does what it is told.

    Attributes:
        before, after: what it does before and after each call.
        seen: how many calls it saw.
    """

    before: Callable[[], Any] = lambda: None
    after: Callable[[Any], Any] = lambda answer: answer
    seen: int = 0

    @hookimpl(wrapper=True)
    def update_strategies(self, changes: Sequence[StrategyChange]) -> Any:
        self.seen += 1
        self.before()
        return self.after((yield))


class Trusted(Watching):
    """One that says that it waits for nothing."""

    local = True


def _raise(error: BaseException) -> Any:
    raise error


def _watched(path: Path, observer: Any) -> Chain:
    return Chain.of({"sqlite": SqliteDriver(path / "memory.db")}, {"observer": observer})


@pytest.mark.parametrize("kind", [Watching, Trusted])
@pytest.mark.parametrize(
    "told",
    [
        {"before": lambda: _raise(RuntimeError())},
        {"before": lambda: _raise(PanicError())},
        {"after": lambda _: _raise(StorageUnavailableError("not for the caller"))},
        {"after": lambda _: ["another answer"]},
    ],
)
def test_an_observer_that_fails_changes_nothing_and_is_dropped_after_three_times(
    kind: type[Watching], told: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    observer = kind(**told)
    with Store(_watched(tmp_path, observer)) as store, caplog.at_level(logging.WARNING):
        for n in range(5):
            (receipt,) = store.update_strategies([StrategyChange("alice")])
            assert receipt.durability is Durability.DURABLE, n
        told_of = store.check_health()[-1]

    assert observer.seen == FAILURES
    assert (told_of.tier, told_of.state) == ("observer", State.DEGRADED)
    assert [record.message for record in caplog.records] == ["a plugin made a mistake", "a plugin is left out"]


def test_an_observer_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whisper_persistence.observing.PATIENCE", 0.05)
    released = threading.Event()
    observer = Watching(before=lambda: released.wait(60))
    try:
        with Store(_watched(tmp_path, observer)) as store:
            began = time.monotonic()
            for _ in range(5):
                store.update_strategies([StrategyChange("alice")])
            assert time.monotonic() - began < 30
    finally:
        released.set()

    assert observer.seen == FAILURES


def test_an_observer_sees_the_error_of_a_call_which_goes_on_to_its_caller(tmp_path: Path) -> None:
    seen: list[BaseException] = []

    class Noting:
        @hookimpl(wrapper=True)
        def load_messages(self, windows: Sequence[Window]) -> Any:
            try:
                return (yield)
            except BaseException as error:
                seen.append(error)
                raise

    chain = _watched(tmp_path, Noting())
    with Store(chain) as store:
        chain.drivers["sqlite"].close()  # type: ignore[attr-defined]
        with pytest.raises(StoreClosedError) as told:
            store.load_messages([TALK])

    assert seen == [told.value]


def test_who_is_told_of_calls_and_raises_is_dropped_too(tmp_path: Path) -> None:
    class Counting:
        calls = 0

        @hookimpl
        def open(self, below: Below, namespace: str) -> None:
            self.end = below.monitor(self.count, lambda *_: None)

        @hookimpl
        def close(self) -> None:
            self.end()

        def count(self, *_: Any) -> None:
            self.calls += 1
            raise RuntimeError

    observer = Counting()
    with Store(_watched(tmp_path, observer)) as store:
        for _ in range(9):
            store.load_strategies(["alice"])

    assert 0 < observer.calls <= FAILURES
