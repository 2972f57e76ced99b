"""A driver above another that notes each call and may hold it, and the store over both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver

from whisper_persistence import AsyncStore, Message, Window, hookimpl
from whisper_persistence.hookspecs import ConversationSpecs, LifecycleSpecs, MaintenanceSpecs
from whisper_persistence.plugins import Chain

#: Longer than anything here takes; a test that needs it has failed.
PATIENCE = 60.0
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
