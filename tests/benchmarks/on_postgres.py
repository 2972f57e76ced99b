"""Measure the postgres driver against the least that hand-written code over psycopg and asyncpg has to do.

``python tests/benchmarks/on_postgres.py [--users N] [--rounds N]`` prints one table; ratios come from one run on one
server, in which the contestants take turns. It needs psycopg, asyncpg and the testing extra.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

import attrs
from postgres_floors import AsyncFloor, Floor
from rich.console import Console
from rich.table import Table

from whisper_persistence import AsyncStore, Message, Store, Strategy, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.servers import private_postgres

WORDS = "It rained all day, and I thought of what you said about the sea and the small boat. "
TASKS = 32


def turn(conversation: str) -> list[Message]:
    """Return a question and its answer, 80 to 300 characters each."""
    size = random.randrange(80, 300)
    question = Message(conversation, conversation, conversation, (WORDS * 4)[:size])
    answer = (WORDS * 4)[: 380 - size]
    return [question, Message(conversation, conversation, "bot", answer, "assistant", in_reply_to=question.message_id)]


def strategy(user_id: str) -> Strategy:
    """Return a strategy of about 1.5 KB."""
    return Strategy(user_id, f"{user_id}_strategy", user_preferences={"notes": WORDS * 15})


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int, each: int) -> dict[str, float]:
    """Return the median microseconds of a call of each, who take turns."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(each):
                began = perf_counter()
                call()
                spent[name].append(perf_counter() - began)
    return {name: statistics.median(values) * 1e6 for name, values in spent.items()}


@attrs.define
class Line:
    """One line of the table: what was measured, and what it is held against."""

    title: str
    bar: float
    floor: float
    ours: float
    at_least: bool = False

    def cells(self) -> tuple[str, ...]:
        """Return the line as text."""
        ratio = self.floor / self.ours if self.at_least else self.ours / self.floor
        met = ratio >= self.bar if self.at_least else ratio <= self.bar
        sign = ">=" if self.at_least else "<="
        return (
            self.title,
            f"{sign} {self.bar}",
            f"{ratio:.2f}",
            "met" if met else "short",
            f"{self.floor:.0f}",
            f"{self.ours:.0f}",
        )


def sync_lines(floor: Floor, store: Store, users: int, rounds: int) -> list[Line]:
    """Measure one synchronous caller."""
    for first in range(0, 2_000, 500):
        batch = [message for _ in range(first, first + 500, 2) for message in turn("long")]
        floor.add(batch)
        store.save_messages(batch)
    anyone = lambda: f"user {random.randrange(users)}"  # noqa: E731
    measured = {
        ("append a turn", 2.0): (lambda: floor.add(turn("long")), lambda: store.save_messages(turn("long"))),
        ("last 20 of 1,000 turns", 5.0): (lambda: floor.last("long"), lambda: store.load_messages([Window("long")])),
        ("last 20 of a random user", 2.0): (
            lambda: floor.last(anyone()),
            lambda: store.load_messages([Window(anyone())]),
        ),
        ("load a strategy", 3.0): (lambda: floor.load(anyone()), lambda: store.load_strategies([anyone()])),
        ("save a strategy", 2.0): (
            lambda: floor.save(strategy(anyone())),
            lambda: store.save_strategies([strategy(anyone())]),
        ),
    }
    lines: list[Line] = []
    for (title, bar), (plain, full) in measured.items():
        in_turns({"floor": plain, "ours": full}, 1, 20)
        spent = in_turns({"floor": plain, "ours": full}, rounds, 25)
        lines.append(Line(title, bar, spent["floor"], spent["ours"]))
    return lines


def import_line(floor: Floor, store: Store, users: int) -> Line:
    """Measure the import of 20,000 messages, against COPY in the same batches."""
    messages = [message for n in range(10_000) for message in turn(f"new {n % users}")]
    batches = [messages[first : first + 1_000] for first in range(0, len(messages), 1_000)]
    spent = {"floor": 0.0, "ours": 0.0}
    for batch in batches:
        for name, keep in (("floor", floor.copy), ("ours", store.save_messages)):
            began = perf_counter()
            keep(batch)
            spent[name] += perf_counter() - began
    return Line("import, each message", 0.4, *(spent[name] / 20_000 * 1e6 for name in ("floor", "ours")), at_least=True)


async def mixed(
    append: Callable[..., Coroutine[Any, Any, Any]], last: Callable[..., Coroutine[Any, Any, Any]]
) -> float:
    """Return the microseconds of an operation with 32 tasks that append and read."""

    async def task(number: int) -> None:
        for _ in range(40):
            await append(turn(f"task {number}"))
            await last(f"task {number}")

    began = perf_counter()
    await asyncio.gather(*(task(number) for number in range(TASKS)))
    return (perf_counter() - began) / (TASKS * 80) * 1e6


async def async_line(url: str, rounds: int) -> Line:
    """Measure 32 tasks, in turns."""
    async with AsyncFloor(url) as floor, AsyncStore(_chain(url), workers=8) as store:
        last = lambda conversation: store.load_messages([Window(conversation)])  # noqa: E731
        await mixed(floor.add, floor.last)
        await mixed(store.save_messages, last)
        spent = [(await mixed(floor.add, floor.last), await mixed(store.save_messages, last)) for _ in range(rounds)]
    floors, ours = (statistics.median(values) for values in zip(*spent, strict=True))
    return Line("32 tasks, append and read", 0.6, floors, ours, at_least=True)


def _chain(url: str) -> Chain:
    return Chain.build([DriverSpec("postgres", {"url": url})])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    random.seed(7)
    table = Table("workload", "bar", "measured", "verdict", "floor us", "ours us", title="PostgreSQL, fsync on")
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
        lines = [*sync_lines(floor, store, given.users, given.rounds), import_line(floor, store, given.users)]
        lines.append(asyncio.run(async_line(url, given.rounds)))
    for line in lines:
        table.add_row(*line.cells())
    Console().print(table)


if __name__ == "__main__":
    main()
