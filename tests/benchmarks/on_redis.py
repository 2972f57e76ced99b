"""Measure the redis-hybrid driver over postgres against postgres alone.

``python tests/benchmarks/on_redis.py [--scale NAME] [--json FILE]`` prints one table; ratios come from one run on one
PostgreSQL and one Valkey server, in which the contestants take turns. It needs the redis and testing extras.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

import options
import psycopg
import redis.asyncio
from judging import Bar, at_least, at_most
from on_postgres import TASKS, in_turns, measured, turn
from report import Measured, as_table, show, write
from timing import Spent

from whisper_persistence import AsyncStore, Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.redis_servers import RedisServer
from whisper_persistence.testing.servers import private_postgres

#: The contestants: postgres alone, recents checked at every read, recents that may be five seconds old.
KINDS = ("alone", "strict", "bounded")
TURNS = 20
SCALES: Final = {
    "full": {"users": 500, "rounds": 8},
    "quick": {"users": 100, "rounds": 4},
    "micro": {"users": 20, "rounds": 1},
}


def chain(kind: str, postgres: str, server: str) -> Chain:
    """Return the drivers of a contestant."""
    # Each has a namespace of its own, so that no one does another's work; that of postgres alone tells no follower.
    layer = {"url": server, "staleness": 5.0 if kind == "bounded" else 0.0, "read_timeout": 1.0}
    above = [] if kind == "alone" else [DriverSpec("redis-hybrid", layer)]
    return Chain.build([*above, DriverSpec("postgres", {"url": postgres})])


def lines(title: str, spent: dict[str, Spent], bars: tuple[Bar, ...]) -> list[Measured]:
    """Return a line for each kind of recents."""
    return [measured(f"{title}, {kind}", {"alone": spent["alone"], kind: spent[kind]}, bars) for kind in KINDS[1:]]


def sync_lines(stores: dict[str, Store], users: int, rounds: int) -> list[Measured]:
    """Measure one synchronous caller."""

    def each(call: Callable[[Store], Any]) -> dict[str, Spent]:
        calls = {kind: (lambda store=store: call(store)) for kind, store in stores.items()}
        return in_turns(calls, rounds, 50)

    anyone = lambda: f"user {random.randrange(users)}"  # noqa: E731
    last = each(lambda store: store.load_messages([Window("user 0")]))
    anyones = each(lambda store: store.load_messages([Window(anyone())]))
    append = each(lambda store: store.save_messages(turn(anyone())))
    return [
        *lines("last 20, one conversation", last, at_most(0.6)),
        *lines("last 20, any conversation", anyones, at_most(0.6)),
        *lines("append a turn", append, at_most(1.3, 1.2)),
    ]


def database_lines(stores: dict[str, Store], postgres: str, users: int, rounds: int, together: int) -> list[Measured]:
    """Measure how long the database's own processes work for so many reads, by the system's account of them."""
    spent = {kind: Spent() for kind in stores}
    with psycopg.connect(postgres) as connection:
        for _ in range(rounds):
            for kind, store in stores.items():
                before = _worked(connection)
                for _ in range(100):
                    store.load_messages([Window(f"user {user}") for user in random.sample(range(users), together)])
                spent[kind].values.append((_worked(connection) - before) / 100)
    return lines(f"work of the database, last 20 of {together}", spent, at_most(0.5))


def settle(store: Store) -> None:
    """Wait until the driver's thread has nothing left to do."""
    while store.load_pending("redis-hybrid", 1):
        time.sleep(0.1)


def _worked(connection: psycopg.Connection[Any]) -> float:
    """Return the nanoseconds that the server's processes for other connections have run."""
    others = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    accounts = [Path(f"/proc/{pid}/schedstat") for (pid,) in connection.execute(others).fetchall()]
    connection.rollback()  # what stands in a transaction sees one state of the activity
    return sum(int(account.read_text().split()[0]) for account in accounts)


async def mixed(store: AsyncStore, users: int, reads: float) -> Spent:
    """Return the nanoseconds of an operation with 32 tasks, of which so many are reads."""
    single: list[float] = []

    async def task() -> None:
        for _ in range(60):
            name = f"user {random.randrange(users)}"
            began = perf_counter_ns()
            if random.random() < reads:
                await store.load_messages([Window(name)])
            else:
                await store.save_messages(turn(name))
            single.append(perf_counter_ns() - began)

    began = perf_counter_ns()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    return Spent([(perf_counter_ns() - began) / len(single)], single)


async def async_lines(chains: dict[str, Chain], users: int, rounds: int) -> list[Measured]:
    """Measure 32 tasks, in turns."""
    stores = {kind: AsyncStore(made, kind, workers=8) for kind, made in chains.items()}
    spent = {kind: Spent() for kind in stores}
    for store in stores.values():
        await store.open()
        await mixed(store, users, 0.9)
    for _ in range(rounds):
        for kind, store in stores.items():
            spent[kind] += await mixed(store, users, 0.9)
    for store in stores.values():
        await store.close()
    return lines("32 tasks, 90 % reads", spent, at_least(2.0))


async def floor(server: str, users: int) -> float:
    """Return the microseconds of redis.asyncio's own pipelines under 32 tasks that append and read."""
    client = redis.asyncio.Redis.from_url(server)

    async def task() -> None:
        for _ in range(60):
            name = f"floor {random.randrange(users)}"
            if random.random() < 0.9:
                await client.lrange(name, -20, -1)
            else:
                said = [message.content for message in turn(name)]
                await (
                    client.pipeline(transaction=False)
                    .rpush(name, *said)
                    .ltrim(name, -40, -1)
                    .expire(name, 600)
                    .execute()
                )

    began = perf_counter_ns()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    spent = (perf_counter_ns() - began) / (TASKS * 60) / 1e3
    await client.aclose()
    return spent


def main() -> None:
    """Measure, and print the table."""
    given = options.parse(options.parser(__doc__, SCALES), SCALES)
    random.seed(7)
    with private_postgres() as postgres, RedisServer.running() as server, ExitStack() as stack:
        stores = {kind: stack.enter_context(Store(chain(kind, postgres, server.url()), kind)) for kind in KINDS}
        for n in range(0, given.users, 20):
            batch = [message for user in range(n, n + 20) for _ in range(TURNS) for message in turn(f"user {user}")]
            for store in stores.values():
                store.save_messages(batch)
        for store in stores.values():
            for user in range(given.users):
                store.load_messages([Window(f"user {user}")])
        for store in stores.values():
            settle(store)
        found = database_lines(stores, postgres, given.users, given.rounds, 1)
        found += database_lines(stores, postgres, given.users, given.rounds, 16)
        found += sync_lines(stores, given.users, given.rounds)
        chains = {kind: chain(kind, postgres, server.url()) for kind in KINDS}
        found += asyncio.run(async_lines(chains, given.users, given.rounds))
        least = asyncio.run(floor(server.url(), given.users))
    beside = f"redis.asyncio alone, 32 tasks, 90 % reads: {least:.0f} us"
    show(as_table(f"recents over PostgreSQL, scale {given.scale}; {beside}", found))
    write(given.json, found, beside=beside, scale={name: getattr(given, name) for name in SCALES[given.scale]})


if __name__ == "__main__":
    main()
