"""What takes part in a comparison: something that keeps talk, or records, through asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs
from data import Turn

#: Connection arguments that give SQLite the durability of the floor, where a peer takes any.
PRAGMAS: Final = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")


class Side(Protocol):
    """A package under comparison that is open. It keeps whole turns and returns the newest 20 messages."""

    async def append(self, turn: Turn) -> None: ...
    async def last(self, conversation: str) -> Any: ...
    async def fill(self, turns: Iterable[Turn]) -> None: ...
    async def close(self) -> None: ...


class Keeper(Protocol):
    """A package under comparison that is open. It keeps each user's strategy and statistics."""

    async def save(self, profile: dict[str, Any]) -> None: ...
    async def load(self, user: str) -> Any: ...
    async def learn(self, user: str, number: int) -> None: ...
    async def score(self, user: str, number: int) -> None: ...
    async def keep(self, profiles: Iterable[dict[str, Any]]) -> None: ...
    def learned(self, answer: Any) -> str: ...
    async def close(self) -> None: ...


Kind = TypeVar("Kind", Side, Keeper)


@attrs.define
class Player(Generic[Kind]):
    """A side that is open and filled.

    Attributes:
        name: as the table shows it.
        side: what is measured.
        users: how many users it was given.
        filled: nanoseconds for each message or record of the filling.
    """

    name: str
    side: Kind
    users: int
    filled: float
