"""Measure a process's memory over a long life.

``python tests/benchmarks/memory_flat.py`` prints the curve over a million messages, through outages and recoveries, as
a table for ``docs/failure-behaviour.md``. With ``--mixed 1000000`` it is so many operations of every kind on SQLite,
half of them through `Store` and half through `AsyncStore`, as a table for ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

import data
from fault_tools.lifetime import BATCH, Round, live
from fault_tools.stores import Opener
from ours import lesson, messages, scored
from peers.first_reads import resident
from rich.console import Console

from whisper_persistence import AsyncStore, Store, Strategy, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain

USERS: Final = 1_000
#: How many calls of `AsyncStore` are awaited together.
TOGETHER: Final = 32
#: The hooks that are called, in turns.
HOOKS: Final = (
    "save_messages",
    "load_messages",
    "save_strategies",
    "load_strategies",
    "update_strategies",
    "update_statistics",
)

_print = Console(width=120, highlight=False).print


def main() -> None:
    """Live as long as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="outages")
    parser.add_argument("--calls", type=int, default=250, help=f"calls of {BATCH} messages before each, and in it")
    parser.add_argument("--mixed", type=int, metavar="N", help="instead: so many operations of every kind")
    asked = parser.parse_args()
    if asked.mixed:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(live_mixed(Path(folder) / "memory.db", asked.mixed))
        return
    with tempfile.TemporaryDirectory() as folder:
        opener = Opener(Path(folder) / "journals")
        tracemalloc.start()
        _print("| messages | in the outage: traced, resident | after it: traced, resident |\n|---|---|---|")
        for now in live(opener, Path(folder), asked.rounds, asked.calls):
            _print(_row(now))
        opener.close()


def _row(now: Round) -> str:
    told = (f"{memory.traced:.1f}, {memory.resident:.0f}" for memory in (now.outage, now.recovered))
    return f"| {now.operations:,} | {' | '.join(told)} |"


async def live_mixed(path: Path, operations: int) -> None:
    """Do so many operations, through either face in turns, and print twenty times how many bytes are resident."""
    _print("| operations | resident, MB |\n|---|---|")
    calls, done, step = _calls(Random(1)), 0, max(operations // 20, 2 * TOGETHER)
    with Store(_chain(path)) as store:
        async with AsyncStore(_chain(path)) as asynchronous:
            while done < operations:
                for _ in range(step // (2 * TOGETHER)):
                    for _ in range(TOGETHER):
                        hook, batch = next(calls)
                        getattr(store, hook)(batch)
                    together = (next(calls) for _ in range(TOGETHER))
                    await asyncio.gather(*(getattr(asynchronous, hook)(batch) for hook, batch in together))
                    done += 2 * TOGETHER
                gc.collect()
                _print(f"| {done:,} | {resident() / 1e6:.1f} |")


def _chain(path: Path) -> Chain:
    # How often the disk is flushed does not matter to the memory.
    return Chain.build([DriverSpec("sqlite", {"path": str(path), "synchronous": "normal"})])


def _calls(chance: Random) -> Iterator[tuple[str, list[Any]]]:
    """Yield hooks in turns with what they are called with: some user's, and always something that is new."""
    number = 0
    while True:
        for hook in HOOKS:
            user, number = chance.randrange(USERS), number + 1
            yield hook, _batch(hook, user, number)


def _batch(hook: str, user: int, number: int) -> list[Any]:
    name = data.user_name(user)
    match hook:
        case "save_messages":
            return list(messages(data.turn(name, name, number)))
        case "load_messages":
            return [Window(name, data.LAST)]
        case "save_strategies":
            return [Strategy(**data.profile(user, number))]
        case "load_strategies":
            return [name]
        case "update_strategies":
            return [lesson(name, number)]
        case _:
            return [scored(name, number % 1_000)]


if __name__ == "__main__":
    main()
