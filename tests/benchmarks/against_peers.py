"""Measure this package against others that keep a bot's talk, side by side in one run.

``python tests/benchmarks/against_peers.py [--backend NAME] [--scale NAME] [--json FILE]`` prints one table a
backend. Every side runs through asyncio in one event loop, takes its turn in every round, and keeps the same turns at
the same durability; synchronous peers are called directly. Peers that are not installed are named and left out.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from time import perf_counter_ns
from typing import Any, Final

import attrs
import data
import options
from judging import Bar, Done, share_of_throughput
from peers.entries import ENTRIES, Entry, Places, postgres_place, redis_place, sqlite_place
from peers.side import Side
from report import Measured, as_table, show, write
from rich.console import Console
from timing import Spent, time_awaits

TASKS: Final = 32
#: A slow side is given one user in so many.
FEWER: Final = 20
#: How many users' conversations of 20 turns are stored, and the rounds of a run.
SCALES: Final = {
    "full": {"users": 1_000, "rounds": 15},
    "quick": {"users": 200, "rounds": 5},
    "micro": {"users": 20, "rounds": 1},
}
#: No peer may be ahead by more than a tenth, but in Redis, where only the tasks have a bar.
NOT_BEHIND: Final = {"sqlite": 0.9, "postgres": 0.9, "redis": None, "redis-on-disk": None}
#: With many tasks, so many times the best peer's throughput is wanted.
MANY_TASKS: Final[dict[str, tuple[float, float | None]]] = {
    "sqlite": (4, None),
    "postgres": (2.5, 3),
    "redis": (2.5, None),
    "redis-on-disk": (2.5, None),
}

_say = Console(stderr=True).print


@attrs.define
class Player:
    """A side that is open and filled.

    Attributes:
        name: as the table shows it.
        side: what is measured.
        users: how many users it was given.
        filled: nanoseconds for each message of the filling.
    """

    name: str
    side: Side
    users: int
    filled: float


Measure = Callable[[Player, Random], Awaitable[Spent]]


def anybody(player: Player, chance: Random, count: int) -> list[str]:
    """Draw users that the side was given."""
    return [data.user_name(chance.randrange(player.users)) for _ in range(count)]


async def append_hot(player: Player, chance: Random) -> Spent:
    """Append turns to one conversation."""
    turns = [data.turn("hot", "hot", chance.randrange(9**9)) for _ in range(20)]
    return await time_awaits(player.side.append, zip(turns))


async def append_users(player: Player, chance: Random) -> Spent:
    """Append turns to the conversations of random users."""
    names = anybody(player, chance, 20)
    turns = [data.turn(name, name, chance.randrange(9**9)) for name in names]
    return await time_awaits(player.side.append, zip(turns))


async def last_long(player: Player, chance: Random) -> Spent:
    """Read the last 20 messages of a conversation of 1,000 turns."""
    del chance
    return await time_awaits(player.side.last, [(data.LONG,)] * 10)


async def last_users(player: Player, chance: Random) -> Spent:
    """Read the last 20 messages of random users."""
    return await time_awaits(player.side.last, zip(anybody(player, chance, 20)))


async def many_tasks(player: Player, chance: Random) -> Spent:
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
    await asyncio.gather(*(task(number, chance.randrange(9**9)) for number in range(TASKS)))
    return Spent([(perf_counter_ns() - began) / (TASKS * 10)], single.values)


WORKLOADS: Final[dict[str, Measure]] = {
    "append a turn": append_hot,
    "append a turn, random user": append_users,
    "last 20 of 1,000 turns": last_long,
    "last 20, random user": last_users,
    "32 tasks, append and read": many_tasks,
}


async def prepare(entry: Entry, place: Any, users: int, stack: AsyncExitStack) -> Player:
    """Open a side and fill it with everybody's talk."""
    given = max(users // FEWER, 20) if entry.slow else users
    side = await entry.open(place)
    stack.push_async_callback(side.close)
    turns = [data.turn(data.user_name(user), data.user_name(user), n) for n in range(20) for user in range(given)]
    turns += [data.turn(data.LONG, data.LONG, number) for number in range(1_000)]
    began = perf_counter_ns()
    await side.fill(turns)
    filled = (perf_counter_ns() - began) / (2 * len(turns))
    for user in range(given):  # as it is once a bot has met everybody again
        await side.last(data.user_name(user))
    kept = await side.last(data.LONG)
    if len(kept) != data.LAST:
        raise SystemExit(f"{entry.name} keeps {len(kept)} of the last {data.LAST} messages")
    _say(f"{entry.name} is filled: {given:,} users")
    return Player(entry.name, side, given, filled)


async def race(players: list[Player], rounds: int) -> dict[str, dict[str, Spent]]:
    """Return the nanoseconds of every workload and side, who take turns, another first each time."""
    spent = {name: {p.name: Spent() for p in players} for name in WORKLOADS}
    for name, measure in WORKLOADS.items():
        _say(f"measuring: {name}")
        gc.collect()
        for number in range(rounds + 1):
            first = number % len(players)
            for player in players[first:] + players[:first]:
                single = await measure(player, Random(f"{name}/{number}"))
                spent[name][player.name] += single if number else Spent()  # the first round warms up
    spent["import, each message"] = {player.name: Spent([player.filled]) for player in players}
    return spent


async def compare(backend: str, places: Places, users: int, rounds: int, left_out: list[str]) -> list[Measured]:
    """Open every side of a backend that is installed, and measure; note who is left out."""
    async with AsyncExitStack() as stack:
        players: list[Player] = []
        for number, entry in enumerate(ENTRIES[backend]):
            try:
                players.append(await prepare(entry, places(number, entry), users, stack))
            except ImportError as error:
                left_out.append(entry.name)
                _say(f"left out: {entry.name} (not installed: {error.name})")
        if all(player.name.startswith("ours") for player in players):
            raise SystemExit(f"no peer is installed that keeps talk on {backend}")
        spent = await race(players, rounds)
    return [judged(backend, workload, sides) for workload, sides in spent.items()]


def judged(backend: str, workload: str, sides: dict[str, Spent]) -> Measured:
    """Return what was spent, with the best peer as the one that is measured against."""
    others = [name for name in sides if not name.startswith("ours")]
    peers = sorted(others, key=lambda name: sides[name].median())
    mine = [name for name in sides if name.startswith("ours")]
    ordered = [peers[0], "ours", *peers[1:], *(name for name in mine if name != "ours")]
    limit, goal = MANY_TASKS[backend] if WORKLOADS.get(workload) is many_tasks else (NOT_BEHIND[backend], None)
    bar = Bar(share_of_throughput, limit, goal, at_least=True)
    done = Done(f"{workload} on {backend}", f"{workload}, beside the best peer", (bar,))
    return Measured(done, [{name: sides[name] for name in ordered}])


@asynccontextmanager
async def _sqlite() -> AsyncIterator[Places]:
    with tempfile.TemporaryDirectory() as folder:
        yield lambda number, entry: sqlite_place(Path(folder), number, entry)


@asynccontextmanager
async def _postgres() -> AsyncIterator[Places]:
    from whisper_persistence.testing.servers import new_postgres_database, private_postgres

    with private_postgres() as server, contextmanager(_databases)(new_postgres_database, server) as make:
        yield lambda _, entry: postgres_place(make(), entry)


def _databases(new_database: Any, server: str) -> Any:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda: stack.enter_context(new_database(server))


@asynccontextmanager
async def _redis() -> AsyncIterator[Places]:
    from whisper_persistence.testing.redis_servers import RedisServer

    with RedisServer.running() as server, tempfile.TemporaryDirectory() as folder:
        yield lambda number, entry: redis_place(server.url(), Path(folder), number, entry)


@asynccontextmanager
async def _redis_on_disk() -> AsyncIterator[Places]:
    """Give the peers a server that flushes each write to disk, as ours flush theirs below a server that does not."""
    from whisper_persistence.testing.redis_servers import RedisServer

    kept = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        RedisServer.running() as plain,
        RedisServer.running(*kept) as flushing,
        tempfile.TemporaryDirectory() as folder,
    ):
        urls = {True: plain.url(), False: flushing.url()}
        yield lambda number, entry: redis_place(
            urls[entry.name.startswith("ours")], Path(folder), number, entry, synchronous="full"
        )


BACKENDS: Final = {"sqlite": _sqlite, "postgres": _postgres, "redis": _redis, "redis-on-disk": _redis_on_disk}


async def measure(backends: list[str], users: int, rounds: int, left_out: list[str]) -> dict[str, list[Measured]]:
    """Return what every side spent on each backend."""
    measured: dict[str, list[Measured]] = {}
    for backend in backends:
        async with BACKENDS[backend]() as places:
            measured[backend] = await compare(backend, places, users, rounds, left_out)
        show(as_table(f"{backend}: times the throughput of the best peer", measured[backend]))
    return measured


def main() -> None:
    """Run what the command line names."""
    parser = options.parser(__doc__, SCALES)
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="only this backend; may be given again")
    given = options.parse(parser, SCALES)
    left_out: list[str] = []
    measured = asyncio.run(measure(given.backend or list(BACKENDS), given.users, given.rounds, left_out))
    scale = {name: getattr(given, name) for name in SCALES[given.scale]}
    write(given.json, [item for items in measured.values() for item in items], scale=scale, left_out=left_out)


if __name__ == "__main__":
    main()
