"""What is done with strategies and statistics, by whoever keeps them, or any value."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import data
from timing import Spent, time_awaits

from peers.contests import Contest
from peers.entries import RECORDS
from peers.side import Keeper, Player

CALLS: Final = 20


async def fill(keeper: Keeper, users: int) -> int:
    """Store everybody's strategy, and return how many they are."""
    await keeper.keep(data.profile(user) for user in range(users))
    return users


async def meet(keeper: Keeper, users: int) -> None:
    """Teach and score everybody once, and see that it was learned."""
    for user in range(users):
        name = data.user_name(user)
        await keeper.learn(name, user)
        await keeper.score(name, user)
        if keeper.learned(await keeper.load(name)) != f"i{user}":
            raise SystemExit(f"{keeper!r} has not learned what {name} said")


def _users(player: Player[Keeper], chance: Random) -> list[int]:
    return [chance.randrange(player.users) for _ in range(CALLS)]


def _lessons(player: Player[Keeper], chance: Random) -> list[tuple[str, int]]:
    return [(data.user_name(user), chance.randrange(9**9)) for user in _users(player, chance)]


async def save(player: Player[Keeper], chance: Random) -> Spent:
    """Save whole strategies, which have changed."""
    profiles: list[dict[str, Any]] = [data.profile(user, chance.randrange(9**9)) for user in _users(player, chance)]
    return await time_awaits(player.side.save, zip(profiles))


async def load(player: Player[Keeper], chance: Random) -> Spent:
    """Load strategies."""
    return await time_awaits(player.side.load, [(data.user_name(user),) for user in _users(player, chance)])


async def learn(player: Player[Keeper], chance: Random) -> Spent:
    """Change strategies by what helped, and keep what did."""
    return await time_awaits(player.side.learn, _lessons(player, chance))


async def score(player: Player[Keeper], chance: Random) -> Spent:
    """Score memories, and bring the statistics up to date."""
    return await time_awaits(player.side.score, _lessons(player, chance))


CONTEST: Final = Contest(
    RECORDS,
    fill,
    meet,
    {"save a strategy": save, "load a strategy": load, "learn an outcome": learn, "update statistics": score},
)
