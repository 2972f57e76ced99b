"""Measure how what this package does grows with what it holds, on SQLite.

``python tests/benchmarks/growth.py [--scale NAME] [--json FILE]`` prints one table: every operation at three sizes, a
factor of ten apart, which take turns in one run, and the exponent of the power law through their medians.
"""

from __future__ import annotations

import itertools
import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import data
import options
import ours
from judging import Bar, Done
from report import Measured, as_table, show, write
from timing import Lane, Spent, race, time_calls

from whisper_persistence import Store, Window
from whisper_persistence.records import MemoryScore, StatisticsChange, Strategy

#: The largest number of users, of turns in a conversation and of a user's memories; a tenth and a hundredth go before.
SCALES: Final = {
    "full": {"users": 10_000, "turns": 100_000, "memories": 100_000, "rounds": 20, "calls": 25},
    "quick": {"users": 1_000, "turns": 10_000, "memories": 10_000, "rounds": 10, "calls": 15},
    "micro": {"users": 100, "turns": 100, "memories": 100, "rounds": 2, "calls": 5},
}
#: Turns in the conversation of each of many users.
TALK: Final = 10
#: What fills a store with so much, and what does the work of one call on it.
Fill = Callable[[Store, int], None]
Call = Callable[[Store, int, Random], Any]


def fitted_exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Return the exponent b of the power law t = a * n^b through measured times: 0 is constant, 1 is proportional.

    It is the slope of the least-squares line through the logarithms of size and time (Goldsmith, Aiken and Wilkerson,
    "Measuring Empirical Computational Complexity", ESEC/FSE 2007, section 2).

    Args:
        sizes: how much was held.
        times: what a call took at each size, in any unit.
    """
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(time) for time in times]).slope


def fill_users(store: Store, users: int) -> None:
    """Store a strategy and a conversation of each user, turn by turn across all users."""
    turns = (data.turn(data.user_name(user), data.user_name(user), n) for n in range(TALK) for user in range(users))
    for batch in _batches(turns):
        store.save_messages([message for turn in batch for message in ours.messages(turn)])
    for batch in _batches(range(users)):
        store.save_strategies([Strategy(**data.profile(user)) for user in batch])


def fill_talk(store: Store, turns: int) -> None:
    """Store one conversation."""
    for batch in _batches(range(turns)):
        store.save_messages([said for number in batch for said in ours.messages(data.turn("ann", "ann", number))])


def fill_memories(store: Store, memories: int) -> None:
    """Score the memories of one user."""
    for batch in _batches(range(memories)):
        store.update_statistics([StatisticsChange("ann", [_score(number, number % 97 / 97) for number in batch])])


def append_of(name: Callable[[int, Random], str]) -> Call:
    """Return what appends a turn to somebody's conversation."""

    def call(store: Store, size: int, chance: Random) -> None:
        user = name(size, chance)
        store.save_messages(ours.messages(data.turn(user, user, chance.randrange(9**9))))

    return call


def last_of(name: Callable[[int, Random], str]) -> Call:
    """Return what reads the last messages of somebody's conversation."""
    return lambda store, size, chance: store.load_messages([Window(name(size, chance), data.LAST)])


def load(store: Store, size: int, chance: Random) -> None:
    """Load anybody's strategy."""
    store.load_strategies([anybody(size, chance)])


def save(store: Store, size: int, chance: Random) -> None:
    """Save anybody's strategy, which has changed."""
    store.save_strategies([Strategy(**data.profile(chance.randrange(size), chance.randrange(9**9)))])


def score(store: Store, size: int, chance: Random) -> None:
    """Score a memory anew, which leaves the number of memories as it is."""
    store.update_statistics([StatisticsChange("ann", [_score(chance.randrange(size), chance.random())])])


def anybody(size: int, chance: Random) -> str:
    """Draw one of so many users."""
    return data.user_name(chance.randrange(size))


def ann(size: int, chance: Random) -> str:
    """Return the one user there is."""
    del size, chance
    return "ann"


#: By what grows: how a store is filled, and each operation with the largest exponent it may have.
GROWING: Final[dict[str, tuple[Fill, dict[str, tuple[Call, float | None]]]]] = {
    "users": (
        fill_users,
        {
            "last 20": (last_of(anybody), 0.1),
            "load a strategy": (load, 0.1),
            "save a strategy": (save, None),
            "append a turn": (append_of(anybody), None),
        },
    ),
    "turns": (fill_talk, {"append a turn": (append_of(ann), 0.1), "last 20": (last_of(ann), None)}),
    "memories": (fill_memories, {"score a memory": (score, 0.15)}),
}


def compare(what: str, largest: int, rounds: int, calls: int) -> list[Measured]:
    """Fill three stores, a factor of ten apart, and measure every operation on each, in turns."""
    fill, operations = GROWING[what]
    sizes = [largest // 100, largest // 10, largest]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stores = {size: stack.enter_context(Store(ours.chain(folder / f"{size}.db"))) for size in sizes}
        for size, store in stores.items():
            fill(store, size)
        measured: list[Measured] = []
        for title, (call, limit) in operations.items():
            lanes = {f"{size:,} {what}": _lane(call, store, size, calls) for size, store in stores.items()}
            race(lanes, 1)
            bar = Bar(partial(_exponent, sizes), limit, unit="")
            done = Done(f"{title} by {what}", f"{title}: exponent in the number of {what}", (bar,))
            measured.append(Measured(done, [race(lanes, rounds)]))
    return measured


def points(line: Measured) -> list[dict[str, Any]]:
    """Return the nanoseconds of a call at each size, to be drawn."""
    taken = line.contestants()
    return [
        {"workload": line.workload.name, "size": int(name.split()[0].replace(",", "")), "median": figures["median"]}
        for name, figures in taken.items()
    ]


def _exponent(sizes: Sequence[int], spent: Sequence[Spent]) -> float:
    return fitted_exponent(sizes, [one.median() for one in spent])


def _lane(call: Call, store: Store, size: int, calls: int) -> Lane:
    return lambda number: time_calls(call, ((store, size, Random(f"{number}/{n}")) for n in range(calls)))


def _score(number: int, importance: float) -> MemoryScore:
    return MemoryScore("ann", f"memory-{number}", importance, {"recency": importance})


def _batches(items: Any) -> Any:
    rest = iter(items)
    return iter(lambda: list(itertools.islice(rest, data.BATCH // 2)), [])


def main() -> None:
    """Measure, and print the table."""
    given = options.parse(options.parser(__doc__, SCALES), SCALES)
    lines = [line for what in GROWING for line in compare(what, getattr(given, what), given.rounds, given.calls)]
    show(as_table(f"growth on SQLite at FULL, scale {given.scale}", lines))
    scale = {name: getattr(given, name) for name in SCALES[given.scale]}
    write(given.json, lines, scale=scale, growth=[point for line in lines for point in points(line)])


if __name__ == "__main__":
    main()
