"""What is done with talk, by whoever keeps it."""

from __future__ import annotations

import asyncio
from random import Random
from time import perf_counter_ns
from typing import Final

import data
from timing import Spent, time_awaits

from peers.contests import Contest
from peers.entries import TALK
from peers.side import Player, Side

TASKS: Final = 32


async def fill(side: Side, users: int, each: int = 20) -> int:
    """Store everybody's talk and one long conversation, and return how many messages they are.

    Args:
        side: what keeps it.
        users: whose talk.
        each: turns in the conversation of each.
    """
    turns = [data.turn(data.user_name(user), data.user_name(user), n) for n in range(each) for user in range(users)]
    turns += [data.turn(data.LONG, data.LONG, number) for number in range(1_000)]
    await side.fill(turns)
    return 2 * len(turns)


async def meet(side: Side, users: int) -> None:
    """Read everybody's talk once, as it is when a bot has met everybody again, and see that it is there."""
    for user in range(users):
        await side.last(data.user_name(user))
    kept = await side.last(data.LONG)
    if len(kept) != data.LAST:
        raise SystemExit(f"{side!r} keeps {len(kept)} of the last {data.LAST} messages")


def anybody(player: Player[Side], chance: Random, count: int) -> list[str]:
    """Draw users that the side was given."""
    return [data.user_name(chance.randrange(player.users)) for _ in range(count)]


async def append_hot(player: Player[Side], chance: Random) -> Spent:
    """Append turns to one conversation."""
    turns = [data.turn("hot", "hot", chance.randrange(9**9)) for _ in range(20)]
    return await time_awaits(player.side.append, zip(turns))


async def append_users(player: Player[Side], chance: Random) -> Spent:
    """Append turns to the conversations of random users."""
    names = anybody(player, chance, 20)
    turns = [data.turn(name, name, chance.randrange(9**9)) for name in names]
    return await time_awaits(player.side.append, zip(turns))


async def last_long(player: Player[Side], chance: Random) -> Spent:
    """Read the last 20 messages of a conversation of 1,000 turns."""
    del chance
    return await time_awaits(player.side.last, [(data.LONG,)] * 10)


async def last_users(player: Player[Side], chance: Random) -> Spent:
    """Read the last 20 messages of random users."""
    return await time_awaits(player.side.last, zip(anybody(player, chance, 20)))


async def many_tasks(player: Player[Side], chance: Random) -> Spent:
    """Return the nanoseconds of an operation while 32 tasks append and read, one conversation each."""
    single = Spent()

    async def task(number: int, seed: int) -> None:
        nonlocal single
        mine, name = Random(seed), f"task {number}"
        for _ in range(5):
            spent = await time_awaits(player.side.append, [(data.turn(name, name, mine.randrange(9**9)),)])
            spent += await time_awaits(player.side.last, [(name,)])
            single += spent

    began = perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        for number in range(TASKS):
            group.create_task(task(number, chance.randrange(9**9)))
    return Spent([(perf_counter_ns() - began) / (TASKS * 10)], single.values)


CONTEST: Final = Contest(
    TALK,
    fill,
    meet,
    {
        "append a turn": append_hot,
        "append a turn, random user": append_users,
        "last 20 of 1,000 turns": last_long,
        "last 20, random user": last_users,
        "32 tasks, append and read": many_tasks,
    },
    filling="import, each message",
    many=many_tasks,
)
