"""A driver that fails on command, for tests of what a bot does while its storage does not answer."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final, cast

import attrs

from whisper_persistence.errors import StorageRefusedError, StorageUnavailableError
from whisper_persistence.hookspecs import (
    CONTRACT_VERSION,
    AnalyticsSpecs,
    BackupSpecs,
    Below,
    ConversationSpecs,
    ErasureSpecs,
    FollowerSpecs,
    IntegritySpecs,
    MaintenanceSpecs,
    SearchSpecs,
    StatisticsSpecs,
    StrategySpecs,
    hookimpl,
)
from whisper_persistence.records import State, TierHealth

_SPECS: Final = (
    StrategySpecs,
    StatisticsSpecs,
    ConversationSpecs,
    SearchSpecs,
    FollowerSpecs,
    ErasureSpecs,
    MaintenanceSpecs,
    AnalyticsSpecs,
    IntegritySpecs,
    BackupSpecs,
)
_OFF: Final = "the test switched the storage off"
_WRITES: Final = ("save_", "update_")


@attrs.define(eq=False)
class Switch:
    """A driver to put above a real one: it hands every call down and counts it, until it is told to fail.

    It opens and closes all the same, and tells of itself that it is down.

    ```python
    from whisper_persistence.discovery import DriverSpec, build_driver

    switch, sqlite = Switch(), build_driver(DriverSpec("sqlite", {"path": "memory.db"}))
    async with AsyncStore(Chain.of({"switch": switch, "sqlite": sqlite})) as store:
        switch.down = True  # from now on the storage does not answer
        ...
        switch.down = False  # and is back
    ```

    Attributes:
        down: whether calls raise `StorageUnavailableError` instead of going down.
        answers_lost: whether calls go down, and raise `StorageUnavailableError` instead of their answer.
        refused: whose records and changes are refused with a `StorageRefusedError`, as a database refuses content.
        seconds: how long every call takes.
        refuses_to_open: whether it cannot even be opened while it is down, as with a server that is away.
        calls: how often each hook was called, by name; whatever came of it.
        items: how many items these calls had.
        threads: the identifiers of the threads that called.
        called: set by every call, for a test that waits for one; clear it before.
    """

    down: bool = False
    answers_lost: bool = False
    refused: str = ""
    seconds: float = 0.0
    refuses_to_open: bool = False
    calls: Counter[str] = attrs.field(factory=Counter[str])
    items: Counter[str] = attrs.field(factory=Counter[str])
    threads: set[int] = attrs.field(factory=set[int])
    called: threading.Event = attrs.field(factory=threading.Event)
    contract_version: ClassVar[int] = CONTRACT_VERSION
    passes_on: ClassVar[bool] = True
    _below: Any = None

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Remember what is below."""
        del namespace
        if self.refuses_to_open:
            self._fail_when(self.down)
        self._below = below

    @hookimpl
    def check_health(self) -> tuple[TierHealth, ...] | None:
        """Say that it is down, or hand down the question."""
        if self.down:
            return (TierHealth("switch", State.DOWN, None, {"error": _OFF}),)
        answer: tuple[TierHealth, ...] | None = self._below.check_health()
        return answer

    def hand_down(self, hook: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Count a call, fail as told, or return what the drivers below answer."""
        self.calls[hook] += 1
        first = arguments[0] if arguments else ()
        batch = cast("Sequence[Any]", first if isinstance(first, (list, tuple)) else arguments[:1])
        self.items[hook] += len(batch)
        self.threads.add(threading.get_ident())
        self.called.set()
        time.sleep(self.seconds)
        self._fail_when(self.down)
        if self.refused and hook.startswith(_WRITES) and any(item.user_id == self.refused for item in batch):
            raise StorageRefusedError("the test refuses this user")
        answer = getattr(self._below, hook)(**dict(zip(names, arguments, strict=True)))
        self._fail_when(self.answers_lost)
        return answer

    def _fail_when(self, failing: bool) -> None:
        if failing:
            raise StorageUnavailableError(_OFF)


def _hooks() -> Iterator[tuple[str, Callable[..., Any]]]:
    for spec in _SPECS:
        yield from ((name, hook) for name, hook in vars(spec).items() if not name.startswith("_"))


def _handing_down(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
    names = hook.__code__.co_varnames[1 : hook.__code__.co_argcount]

    @functools.wraps(hook)
    def hand_down(self: Switch, *arguments: Any) -> Any:
        return self.hand_down(name, names, arguments)

    return hookimpl(hand_down)


for _name, _hook in _hooks():
    setattr(Switch, _name, _handing_down(_name, _hook))
