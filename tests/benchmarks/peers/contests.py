"""What sides are compared in, and how a comparison is run."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from random import Random
from time import perf_counter_ns
from typing import Any, Final, Generic

import attrs
from rich.console import Console
from timing import Spent

from peers.entries import Entry
from peers.places import Places
from peers.side import Kind, Player

#: A slow side is given one user in so many.
FEWER: Final = 20

_say = Console(stderr=True).print


@attrs.frozen
class Contest(Generic[Kind]):
    """Workloads that are the same for every side.

    Attributes:
        entries: who takes part, by backend.
        fill: stores what so many users have, and returns how many items it was.
        meet: does once what a bot has done before, and leaves if something is missing.
        workloads: what is measured, by its title.
        filling: the title of what the filling took, where that is a workload too.
        many: the workload with many callers, if one has them.
    """

    entries: Mapping[str, tuple[Entry, ...]]
    fill: Callable[[Kind, int], Awaitable[int]]
    meet: Callable[[Kind, int], Awaitable[None]]
    workloads: Mapping[str, Callable[[Player[Kind], Random], Awaitable[Spent]]]
    filling: str = ""
    many: Callable[[Player[Kind], Random], Awaitable[Spent]] | None = None

    async def run(
        self, backend: str, places: Places, users: int, rounds: int, left_out: list[str]
    ) -> dict[str, dict[str, Spent]]:
        """Open every side that is installed, and let them take turns; note who is left out.

        Returns:
            What every side spent, by workload and name.
        """
        async with AsyncExitStack() as stack:
            players: list[Player[Kind]] = []
            for entry in self.entries[backend]:
                try:
                    players.append(await self._prepare(entry, places(entry), users, stack))
                except ImportError as error:
                    left_out.append(entry.name)
                    _say(f"left out: {entry.name} (not installed: {error.name})")
            return await self._race(players, rounds, left_out)

    async def _prepare(self, entry: Entry, place: Any, users: int, stack: AsyncExitStack) -> Player[Kind]:
        given = max(users // FEWER, 20) if entry.slow else users
        side: Kind = await entry.open(place)
        stack.push_async_callback(side.close)
        began = perf_counter_ns()
        items = await self.fill(side, given)
        filled = (perf_counter_ns() - began) / items
        await self.meet(side, given)
        _say(f"{entry.name} is filled: {given:,} users")
        return Player(entry.name, side, given, filled)

    async def _race(self, players: list[Player[Kind]], rounds: int, left_out: list[str]) -> dict[str, dict[str, Spent]]:
        filled = {player.name: Spent([player.filled]) for player in players}
        spent = {self.filling: filled} if self.filling else {}
        for title in self.workloads:
            _say(f"measuring: {title}")
            gc.collect()
            racing = spent[title] = {player.name: Spent() for player in players}
            for number in range(rounds + 1):
                first = number % len(players)
                for player in players[first:] + players[:first]:
                    if player.name in racing:
                        single = await self._turn(player, title, number, left_out)
                        if single is None:
                            del racing[player.name]
                        elif number:  # the first round warms up
                            racing[player.name] += single
            players = [player for player in players if player.name in racing]
        return spent

    async def _turn(self, player: Player[Kind], title: str, number: int, left_out: list[str]) -> Spent | None:
        """Return what one turn took, or nothing where a peer failed, which is noted."""
        try:
            return await self.workloads[title](player, Random(f"{title}/{number}"))
        except Exception as error:
            if player.name.startswith("ours"):
                raise
            left_out.append(f"{player.name}, from {title!r} on: {_reason(error)}")
            _say(f"left out: {left_out[-1]}")
            return None


def _reason(error: Exception) -> str:
    """Return the first line of what went wrong, of the first of several."""
    first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
    return f"{type(first).__name__}: {str(first).partition(chr(10))[0]}"
