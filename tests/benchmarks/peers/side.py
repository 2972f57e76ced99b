"""What takes part in a comparison: something that keeps talk, through asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from data import Turn

#: Connection arguments that give SQLite the durability of the floor, where a peer takes any.
PRAGMAS: Final = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")


class Side(Protocol):
    """A package under comparison that is open. It keeps whole turns and returns the newest 20 messages."""

    async def append(self, turn: Turn) -> None: ...
    async def last(self, conversation: str) -> Any: ...
    async def fill(self, turns: Iterable[Turn]) -> None: ...
    async def close(self) -> None: ...
