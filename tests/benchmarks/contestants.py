"""Who takes part. A peer or another driver joins by being added to `CONTESTANTS`."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
from data import Line, Turn


class Memory(Protocol):
    """A synchronous contestant that is open. ``pack`` and ``plain_*``, which make answers comparable, are not timed."""

    def append(self, turn: Turn) -> None: ...
    def last(self, conversation: str) -> Any: ...
    def save(self, profile: dict[str, Any]) -> None: ...
    def load(self, user: str) -> Any: ...
    def learn(self, user: str, number: int) -> None: ...
    def score(self, user: str, number: int) -> None: ...
    def pack(self, lines: Sequence[Line]) -> Any: ...
    def fill(self, batches: Sequence[Any]) -> None: ...
    def fill_strategies(self, profiles: Sequence[dict[str, Any]]) -> None: ...
    def plain_messages(self, answer: Any) -> list[Any]: ...
    def plain_strategy(self, answer: Any) -> list[Any]: ...
    def close(self) -> None: ...


class AsyncMemory(Protocol):
    """An asynchronous contestant that is open."""

    async def append(self, turn: Turn) -> None: ...
    async def last(self, conversation: str) -> Any: ...
    def plain_messages(self, answer: Any) -> list[Any]: ...
    async def close(self) -> None: ...


@attrs.frozen
class Contestant:
    """One way to keep a memory in a file. Its code is imported when it is opened.

    Attributes:
        name: as the tables and ``--challenger`` name it.
        layout: contestants of one layout can read each other's files.
        opener: what opens it over a path, as ``module:name``.
        async_opener: what opens it within a running event loop, if anything does.
    """

    name: str
    layout: str
    opener: str
    async_opener: str = ""

    def open(self, path: Path) -> Memory:
        """Open it over a file."""
        memory: Memory = pkgutil.resolve_name(self.opener)(path)
        return memory

    async def open_async(self, path: Path) -> AsyncMemory:
        """Open it over a file, in the event loop that runs."""
        memory: AsyncMemory = await pkgutil.resolve_name(self.async_opener)(path)
        return memory


FLOOR: Final = Contestant("floor", "floor", "floors:Floor", "async_floors:AsyncFloor.open")
LARGE_CACHE: Final = Contestant("floor, large cache", "floor", "floors:with_large_cache")
ONE_TRANSACTION: Final = Contestant("floor, one transaction", "floor", "floors:OneTransactionFloor")
OURS: Final = Contestant("ours", "ours", "ours:Ours", "async_ours:AsyncOurs.open")
AT_HAND: Final = Contestant("ours, records at hand", "ours", "ours:OursAtHand")
AGAIN: Final = Contestant("floor again", "floor", "floors:Floor", "async_floors:AsyncFloor.open")
FORGETFUL: Final = Contestant("forgetful floor", "forgetful", "floors:ForgetfulFloor", "async_floors:AsyncFloor.open")

#: Who can be measured against the floor. The floor against itself shows the noise, and a forgetful one is refused.
CHALLENGERS: Final = {contestant.name: contestant for contestant in (OURS, AGAIN, FORGETFUL)}
