"""Drivers that could not be opened yet, below one that bears it: until they are, their hooks say that they are not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from whisper_persistence.errors import IncompatibleSchemaError, StorageUnavailableError

if TYPE_CHECKING:
    from whisper_persistence.records import TierHealth

_log = logging.getLogger(__name__)

#: What a driver may fail to open with that can be over later.
BEARABLE: Final = (StorageUnavailableError, IncompatibleSchemaError)


class Unopened:
    """The drivers of one chain that wait to be opened, the lowest first."""

    def __init__(self, impls: Callable[[object], list[Any]], open_one: Callable[[object, Any], None]) -> None:
        """Begin with none.

        Args:
            impls: returns the implementations of hooks that pluggy holds of a driver, but `open` and `close`.
            open_one: opens a driver, given what is below it; closes it again where that fails.
        """
        self._impls, self._open_one = impls, open_one
        self._waiting: list[tuple[object, Any, list[tuple[Any, Any]]]] = []
        self._turn = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def open(self, driver: object, below: Any) -> None:
        """Open a driver; where that cannot be now, or one below it waits, let it wait too."""
        problem: Exception = StorageUnavailableError("what is below it is not open yet")
        if not self._waiting:
            try:
                self._open_one(driver, below)
            except BEARABLE as error:
                problem = error
                _log.warning("what is needed cannot be opened yet, and is tried again: %s", problem)
            else:
                return
        self._waiting.append((driver, below, self._hush(driver, below, problem)))

    def reopen(self) -> None:
        """Open what waits, from the bottom up.

        Raises:
            PersistenceError: it still cannot be opened.
        """
        with self._turn:
            while self._waiting:
                driver, below, said = self._waiting[0]
                self._open_one(driver, below)
                for impl, function in said:
                    impl.function = function
                del self._waiting[0]

    def _hush(self, driver: object, below: Any, problem: Exception) -> list[tuple[Any, Any]]:
        """Have every hook of a driver say that it is not open; return the functions that it had."""
        kept = [(impl, impl.function) for impl in self._impls(driver)]
        for impl, function in kept:
            health = function.__name__ == "check_health"
            impl.function = _sick(impl.plugin_name, below, problem) if health else _refusing(problem)
        return kept


def _refusing(problem: Exception) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise StorageUnavailableError(f"the storage could not be opened yet ({problem})") from None

    return refuse


def _sick(name: str, below: Any, problem: Exception) -> Callable[..., Any]:
    def check_health() -> tuple[TierHealth, ...]:
        from whisper_persistence.records import State, TierHealth

        own = TierHealth(name, State.DOWN, None, {"error": f"could not be opened yet: {problem}"})
        return own, *(below.check_health() or ())

    return check_health
