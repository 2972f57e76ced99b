"""Measure the redis-hybrid driver over postgres against postgres alone.

``python tests/benchmarks/on_redis.py [--users N] [--rounds N]`` prints one table; ratios come from one run on one
PostgreSQL and one Valkey server, in which the contestants take turns. It needs the redis and testing extras.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
import redis.asyncio
from on_postgres import TASKS, Line, in_turns, turn
from rich.console import Console
from rich.table import Table

from whisper_persistence import AsyncStore, Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.redis_servers import RedisServer
from whisper_persistence.testing.servers import private_postgres

#: The contestants: postgres alone, recents checked at every read, recents that may be five seconds old.
KINDS = ("alone", "strict", "bounded")
TURNS = 20


def chain(kind: str, postgres: str, server: str) -> Chain:
    """Return the drivers of a contestant."""
    # Each has a namespace of its own, so that no one does another's work; that of postgres alone tells no follower.
    layer = {"url": server, "staleness": 5.0 if kind == "bounded" else 0.0, "read_timeout": 1.0}
    above = [] if kind == "alone" else [DriverSpec("redis-hybrid", layer)]
    return Chain.build([*above, DriverSpec("postgres", {"url": postgres})])


def lines(title: str, bar: float, spent: dict[str, float], *, at_least: bool = False) -> list[Line]:
    """Return a line for each kind of recents."""
    return [Line(f"{title}, {kind}", bar, spent["alone"], spent[kind], at_least) for kind in KINDS[1:]]


def sync_lines(stores: dict[str, Store], users: int, rounds: int) -> list[Line]:
    """Measure one synchronous caller."""

    def each(call: Callable[[Store], Any]) -> dict[str, float]:
        calls = {kind: (lambda store=store: call(store)) for kind, store in stores.items()}
        in_turns(calls, 1, 50)
        return in_turns(calls, rounds, 50)

    anyone = lambda: f"user {random.randrange(users)}"  # noqa: E731
    last = each(lambda store: store.load_messages([Window("user 0")]))
    anyones = each(lambda store: store.load_messages([Window(anyone())]))
    append = each(lambda store: store.save_messages(turn(anyone())))
    return [
        *lines("last 20, one conversation", 0.6, last),
        *lines("last 20, any conversation", 0.6, anyones),
        *lines("append a turn", 1.3, append),
    ]


def database_lines(stores: dict[str, Store], postgres: str, users: int, rounds: int, together: int) -> list[Line]:
    """Measure how long the database's own processes work for so many reads, by the system's account of them."""
    spent = dict.fromkeys(stores, 0.0)
    with psycopg.connect(postgres) as connection:
        for _ in range(rounds):
            for kind, store in stores.items():
                before = _worked(connection)
                for _ in range(100):
                    store.load_messages([Window(f"user {user}") for user in random.sample(range(users), together)])
                spent[kind] += (_worked(connection) - before) / (100 * rounds)
    return lines(f"work of the database, last 20 of {together}", 0.5, spent)


def settle(store: Store) -> None:
    """Wait until the driver's thread has nothing left to do."""
    while store.load_pending("redis-hybrid", 1):
        time.sleep(0.1)


def _worked(connection: psycopg.Connection[Any]) -> float:
    """Return the microseconds that the server's processes for other connections have run."""
    others = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    accounts = [Path(f"/proc/{pid}/schedstat") for (pid,) in connection.execute(others).fetchall()]
    connection.rollback()  # what stands in a transaction sees one state of the activity
    return sum(int(account.read_text().split()[0]) for account in accounts) / 1e3


async def mixed(store: AsyncStore, users: int, reads: float) -> float:
    """Return the microseconds of an operation with 32 tasks, of which so many are reads."""

    async def task() -> None:
        for _ in range(60):
            name = f"user {random.randrange(users)}"
            if random.random() < reads:
                await store.load_messages([Window(name)])
            else:
                await store.save_messages(turn(name))

    began = perf_counter()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    return (perf_counter() - began) / (TASKS * 60) * 1e6


async def async_lines(chains: dict[str, Chain], users: int, rounds: int) -> list[Line]:
    """Measure 32 tasks, in turns."""
    stores = {kind: AsyncStore(made, kind, workers=8) for kind, made in chains.items()}
    spent: dict[str, list[float]] = {kind: [] for kind in stores}
    for store in stores.values():
        await store.open()
        await mixed(store, users, 0.9)
    for _ in range(rounds):
        for kind, store in stores.items():
            spent[kind].append(await mixed(store, users, 0.9))
    for store in stores.values():
        await store.close()
    medians = {kind: sorted(values)[len(values) // 2] for kind, values in spent.items()}
    return lines("32 tasks, 90 % reads", 2.0, medians, at_least=True)


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

    began = perf_counter()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    spent = (perf_counter() - began) / (TASKS * 60) * 1e6
    await client.aclose()
    return spent


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    random.seed(7)
    table = Table("workload", "bar", "measured", "verdict", "alone us", "ours us", title="recents over PostgreSQL")
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
    for line in found:
        table.add_row(*line.cells())
    Console().print(table)
    Console().print(f"redis.asyncio alone, 32 tasks, 90 % reads: {least:.0f} us")


if __name__ == "__main__":
    main()
