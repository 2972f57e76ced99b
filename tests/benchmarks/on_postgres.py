"""Measure the postgres driver against the least that hand-written code over psycopg and asyncpg has to do.

``python tests/benchmarks/on_postgres.py [--scale NAME] [--json FILE]`` prints one table; ratios come from one run on
one server, in which the contestants take turns. It needs psycopg, asyncpg and the testing extra.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import partial
from time import perf_counter_ns
from typing import Any, Final

import options
from data import BATCH
from judging import Bar, Done, at_least, at_most
from postgres_floors import AsyncFloor, Floor
from report import Measured, as_table, show, write
from timing import Spent, race, time_calls

from whisper_persistence import AsyncStore, Message, Store, Strategy, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations import import_messages
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.servers import private_postgres

WORDS = "It rained all day, and I thought of what you said about the sea and the small boat. "
TASKS = 32
#: An import goes in so many shares, between which the contestants take turns.
_SHARES: Final = 5
#: How many users' talk is stored, how many messages are imported, and how often it is measured.
SCALES: Final = {
    "full": {"users": 10_000, "rounds": 8, "imported": 100_000},
    "quick": {"users": 400, "rounds": 4, "imported": 10_000},
    "micro": {"users": 20, "rounds": 1, "imported": 2_000},
}


def turn(conversation: str) -> list[Message]:
    """Return a question and its answer, 80 to 300 characters each."""
    size = random.randrange(80, 300)
    question = Message(conversation, conversation, conversation, (WORDS * 4)[:size])
    answer = (WORDS * 4)[: 380 - size]
    return [question, Message(conversation, conversation, "bot", answer, "assistant", in_reply_to=question.message_id)]


def strategy(user_id: str) -> Strategy:
    """Return a strategy of about 1.5 KB."""
    return Strategy(user_id, f"{user_id}_strategy", user_preferences={"notes": WORDS * 15})


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int, each: int) -> dict[str, Spent]:
    """Return what each spent on single calls, so many in a round, after a round that warms up."""

    def lane(call: Callable[[], Any], _: int) -> Spent:
        return time_calls(call, [()] * each)

    lanes = {name: partial(lane, call) for name, call in calls.items()}
    race(lanes, 1)
    return race(lanes, rounds)


def measured(title: str, spent: dict[str, Spent], bars: tuple[Bar, ...]) -> Measured:
    """Return what was spent in the one run there is."""
    return Measured(Done(title, title, bars), [spent])


def sync_lines(floor: Floor, store: Store, users: int, rounds: int) -> list[Measured]:
    """Measure one synchronous caller."""
    for first in range(0, 2_000, 500):
        batch = [message for _ in range(first, first + 500, 2) for message in turn("long")]
        floor.add(batch)
        store.save_messages(batch)
    anyone = lambda: f"user {random.randrange(users)}"  # noqa: E731
    calls: dict[tuple[str, float, float], tuple[Callable[[], Any], Callable[[], Any]]] = {
        ("append a turn", 2.0, 1.35): (lambda: floor.add(turn("long")), lambda: store.save_messages(turn("long"))),
        ("last 20 of 1,000 turns", 5.0, 2.5): (
            lambda: floor.last("long"),
            lambda: store.load_messages([Window("long")]),
        ),
        ("last 20 of a random user", 2.0, 1.45): (
            lambda: floor.last(anyone()),
            lambda: store.load_messages([Window(anyone())]),
        ),
        ("load a strategy", 3.0, 1.55): (lambda: floor.load(anyone()), lambda: store.load_strategies([anyone()])),
        ("save a strategy", 2.0, 1.3): (
            lambda: floor.save(strategy(anyone())),
            lambda: store.save_strategies([strategy(anyone())]),
        ),
    }
    return [
        measured(title, in_turns({"floor": plain, "ours": full}, rounds, 25), at_most(bar, goal))
        for (title, bar, goal), (plain, full) in calls.items()
    ]


def import_line(floor: Floor, store: Store, users: int, count: int) -> Measured:
    """Measure the import of so many messages of everybody's talk as it went, by the threads of `import_messages`.

    It is held against COPY in batches of 1,000 on one connection.
    """
    messages = [message for n in range(count // 2) for message in turn(f"new {n % users}")]
    share = count // _SHARES

    def lane(keep: Callable[[list[Message]], Any], number: int) -> Spent:
        spent = time_calls(keep, [(messages[number * share : (number + 1) * share],)])
        return Spent([value / share for value in spent.values])

    def copy(messages: list[Message]) -> None:
        for first in range(0, len(messages), BATCH):
            floor.copy(messages[first : first + BATCH])

    lanes = {"floor": partial(lane, copy), "ours": partial(lane, partial(import_messages, store))}
    return measured("import by threads, each message", race(lanes, _SHARES), at_least(0.4, 0.67))


async def mixed(
    append: Callable[..., Coroutine[Any, Any, Any]], last: Callable[..., Coroutine[Any, Any, Any]]
) -> Spent:
    """Return the nanoseconds of an operation with 32 tasks that append and read."""
    single: list[float] = []

    async def timed(call: Coroutine[Any, Any, Any]) -> None:
        began = perf_counter_ns()
        await call
        single.append(perf_counter_ns() - began)

    async def task(number: int) -> None:
        for _ in range(40):
            await timed(append(turn(f"task {number}")))
            await timed(last(f"task {number}"))

    began = perf_counter_ns()
    await asyncio.gather(*(task(number) for number in range(TASKS)))
    return Spent([(perf_counter_ns() - began) / len(single)], single)


async def async_line(url: str, rounds: int) -> Measured:
    """Measure 32 tasks, in turns."""
    async with AsyncFloor(url) as floor, AsyncStore(_chain(url), workers=8) as store:
        last = lambda conversation: store.load_messages([Window(conversation)])  # noqa: E731
        await mixed(floor.add, floor.last)
        await mixed(store.save_messages, last)
        spent = {"floor": Spent(), "ours": Spent()}
        for _ in range(rounds):
            spent["floor"] += await mixed(floor.add, floor.last)
            spent["ours"] += await mixed(store.save_messages, last)
    return measured("asyncio: 32 tasks append and read", spent, at_least(0.6, 0.63))


def _chain(url: str) -> Chain:
    return Chain.build([DriverSpec("postgres", {"url": url})])


def main() -> None:
    """Measure, and print the table."""
    given = options.parse(options.parser(__doc__, SCALES), SCALES)
    random.seed(7)
    with private_postgres() as url, Floor(url) as floor, Store(_chain(url)) as store:
        for n in range(0, given.users, 20):
            batch = [message for user in range(n, n + 20) for _ in range(20) for message in turn(f"user {user}")]
            floor.add(batch)
            store.save_messages(batch)
            strategies = [strategy(f"user {user}") for user in range(n, n + 20)]
            store.save_strategies(strategies)
            for record in strategies:
                floor.save(record)
        floor.analyze()
        lines = sync_lines(floor, store, given.users, given.rounds)
        lines += [import_line(floor, store, given.users, given.imported), asyncio.run(async_line(url, given.rounds))]
    show(as_table(f"PostgreSQL, fsync on, scale {given.scale}", lines))
    write(given.json, lines, scale={name: getattr(given, name) for name in SCALES[given.scale]})


if __name__ == "__main__":
    main()
