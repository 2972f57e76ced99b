"""Answers that code written for a synchronous cache uses as they are, and code for an asynchronous one awaits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any


class Later:
    """Something that goes on by itself; awaiting it waits until it is done, and not awaiting it is fine."""

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Begin nothing: only awaiting calls ``wait``."""
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        """Wait until it is done."""
        return self._wait().__await__()


class Stats(dict[str, Any]):
    """Numbers as of now; awaiting them asks the storage how it is, too."""

    def __init__(self, numbers: dict[str, Any], ask: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Hold the numbers.

        Args:
            numbers: as of now.
            ask: asks the storage how it is, and returns what there is to add.
        """
        super().__init__(numbers)
        self._ask = ask

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        """Return the numbers with what the storage says."""
        self.update((yield from self._ask().__await__()))
        return self
