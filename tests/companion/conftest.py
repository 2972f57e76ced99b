"""Stores on real databases for the companion's tests, and a real driver above them that can be switched off.

Tests here may be ``async def``: each runs on an event loop of its own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from whisper_persistence import AsyncStore, StorageUnavailableError, hookimpl
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.hookspecs import Below
from whisper_persistence.plugins import Chain


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@attrs.define(eq=False)
class Switch:
    """A driver above a database: it counts what passes, and can lose the way down or only the way back up."""

    down: bool = False
    answers_lost: bool = False
    calls: Counter[str] = attrs.field(factory=Counter)
    items: Counter[str] = attrs.field(factory=Counter)
    below: Any = None

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self.below = below

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Any:
        return self._pass("load_strategies", user_ids)

    @hookimpl
    def save_strategies(self, strategies: Sequence[Any]) -> Any:
        return self._pass("save_strategies", strategies)

    @hookimpl
    def update_strategies(self, changes: Sequence[Any]) -> Any:
        return self._pass("update_strategies", changes)

    @hookimpl
    def load_outcomes(self, queries: Sequence[Any]) -> Any:
        return self._pass("load_outcomes", queries)

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> Any:
        return self._pass("load_statistics", user_ids)

    @hookimpl
    def save_statistics(self, statistics: Sequence[Any]) -> Any:
        return self._pass("save_statistics", statistics)

    @hookimpl
    def update_statistics(self, changes: Sequence[Any]) -> Any:
        return self._pass("update_statistics", changes)

    @hookimpl
    def load_patterns(self, user_ids: Sequence[str]) -> Any:
        return self._pass("load_patterns", user_ids)

    @hookimpl
    def update_patterns(self, changes: Sequence[Any]) -> Any:
        return self._pass("update_patterns", changes)

    @hookimpl
    def load_preferences(self, user_ids: Sequence[str]) -> Any:
        return self._pass("load_preferences", user_ids)

    @hookimpl
    def update_preferences(self, changes: Sequence[Any]) -> Any:
        return self._pass("update_preferences", changes)

    @hookimpl
    def load_scores(self, queries: Sequence[Any]) -> Any:
        return self._pass("load_scores", queries)

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Any:
        self._refuse_when(self.down)

    def _pass(self, hook: str, batch: Sequence[Any]) -> Any:
        self.calls[hook] += 1
        self.items[hook] += len(batch)
        self._refuse_when(self.down)
        caller = getattr(self.below, hook)
        answer = caller(**{caller.spec.argnames[0]: batch})
        self._refuse_when(self.answers_lost)
        return answer

    def _refuse_when(self, lost: bool) -> None:
        if lost:
            raise StorageUnavailableError("the test switched the database off")


@attrs.define
class Backend:
    """A database of its own for one test, which stores can be opened on again and again.

    Attributes:
        name: the driver.
        options: the driver's options.
    """

    name: str
    options: dict[str, Any]

    def store(self, *above: object, workers: int = 4) -> AsyncStore:
        """Return a store on this database, not yet open, with these drivers above it."""
        drivers: dict[str, object] = {f"above-{number}": driver for number, driver in enumerate(above)}
        return AsyncStore(
            Chain.of({**drivers, self.name: build_driver(DriverSpec(self.name, self.options))}), workers=workers
        )


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A new database of each driver; add a driver by adding its name and its options."""
    options = {"sqlite": {"path": str(tmp_path / "memory.db")}}
    return Backend(request.param, options[request.param])


@pytest.fixture
def switch() -> Switch:
    """The driver that can be switched off; `store` has it on top."""
    return Switch()


@pytest.fixture
def store(backend: Backend, switch: Switch) -> Iterator[AsyncStore]:
    """An open store on each driver in turn."""
    opened = backend.store(switch)
    asyncio.run(opened.open())
    yield opened
    asyncio.run(opened.close())
