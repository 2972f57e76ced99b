"""The suite catches every driver that is broken on purpose, each by the test meant for it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar

import pytest

from whisper_persistence import PersistenceError, Store
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.testing import RECORD_CAPABILITIES, DriverConformance
from whisper_persistence.testing.broken import BROKEN_DRIVERS, BrokenDriver, break_chain
from whisper_persistence.testing.broken.breaking import Breaker

KEPT = RECORD_CAPABILITIES | {"search"}
CASES = [pytest.param(broken, id=broken.driver.__name__) for broken in BROKEN_DRIVERS]


class Volatile(DriverConformance):
    """The suite for a driver above memory-fallback."""

    __test__ = False
    capabilities = KEPT
    sound: ClassVar[str] = "memory-fallback"

    def __init__(self, driver: type[Breaker]) -> None:
        self.driver = driver
        self.worlds: dict[Path, dict[str, Any]] = {}

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        options = {"path": path / "store.db"} if self.sound == "sqlite" else {}
        sound = build_driver(DriverSpec(self.sound, options))
        return Store(break_chain(self.driver(self.worlds.setdefault(path, {})), {self.sound: sound}), namespace)


class Durable(Volatile):
    """The suite for a driver above sqlite."""

    __test__ = False
    capabilities = KEPT | {"durable"}
    sound = "sqlite"


def run(broken: BrokenDriver, driver: type[Breaker], path: Path) -> None:
    suite = (Durable if "durable" in broken.needs else Volatile)(driver)
    test = getattr(suite, broken.caught_by)
    wanted = inspect.signature(test).parameters
    if "store" in wanted:
        with suite.open_store(path) as store:
            test(store, **({"path": path} if "path" in wanted else {}))
    else:
        test(path)


@pytest.mark.parametrize("broken", CASES)
def test_a_broken_driver_is_caught_by_the_test_meant_for_it(
    broken: BrokenDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPER_PERSISTENCE_SHRINK", "0")
    monkeypatch.setenv("WHISPER_PERSISTENCE_EXAMPLES", "300")  # the first that fails ends the search
    with pytest.raises((AssertionError, PersistenceError, pytest.fail.Exception)):
        run(broken, broken.driver, tmp_path)


@pytest.mark.parametrize("broken", CASES)
def test_a_sound_driver_passes_the_same_test(broken: BrokenDriver, tmp_path: Path) -> None:
    run(broken, Breaker, tmp_path)


def test_there_are_enough_of_them_and_each_says_what_is_wrong() -> None:
    drivers = [broken.driver for broken in BROKEN_DRIVERS]

    assert len(set(drivers)) == len(drivers) >= 20
    assert all(driver.__doc__ for driver in drivers)
