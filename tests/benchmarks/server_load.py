"""Load the preset of a server evenly for a long time: nothing fails, nothing waits, nothing grows.

``python tests/benchmarks/server_load.py [--minutes M] [--writes N] [--reads N]`` asks `memory-fallback, redis-hybrid,
postgres` so many times a second, and prints a table of what was taken. Calls begin when they are due, whether or not
earlier ones have ended, and how long one took is counted from then, so that a pause is seen by all that it delays.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import threading
from array import array
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any, Final

import attrs
from redis_load import WORDS, resident
from rich.console import Console
from rich.table import Table

from whisper_persistence import AsyncStore, Message, PersistenceError, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.redis_servers import RedisServer
from whisper_persistence.testing.servers import private_postgres

#: Conversations that are talked in.
CONVERSATIONS: Final = 2_000
#: Stretches of time that the table shows.
STRETCHES: Final = 20


def times() -> array[float]:
    """Return where times are kept: in a list they would take more memory than what is measured."""
    return array("d")


def held() -> tuple[int, int]:
    """Return how many threads and files this process has."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


@attrs.define
class Stretch:
    """What was seen during one stretch of the load.

    Attributes:
        reads, writes: how long each took since it was due, in seconds.
        errors: what calls raised, and how often.
        resident: bytes of this process in memory at the end.
        threads, files: of this process, at the end.
    """

    reads: array[float] = attrs.field(factory=times)
    writes: array[float] = attrs.field(factory=times)
    errors: Counter[str] = attrs.field(factory=Counter[str])
    resident: int = 0
    threads: int = 0
    files: int = 0

    def end(self) -> None:
        """Look at this process."""
        self.resident, (self.threads, self.files) = resident(), held()


@attrs.define(eq=False)
class Pace:
    """Calls that begin when they are due.

    Attributes:
        store: the store, open.
        writes, reads: how many of each begin in a second.
    """

    store: AsyncStore
    writes: int
    reads: int
    _chance: random.Random = attrs.field(factory=lambda: random.Random(7))

    async def keep(self, stretches: int, seconds: float) -> list[Stretch]:
        """Keep the pace for so many stretches of so many seconds; return what was seen in each."""
        return [await self._keep(seconds) for _ in range(stretches)]

    async def _keep(self, seconds: float) -> Stretch:
        stretch, began = Stretch(), monotonic()
        rate = self.writes + self.reads
        async with asyncio.TaskGroup() as calls:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                if (early := due - monotonic()) > 0:
                    await asyncio.sleep(early)
                calls.create_task(self._call(due, stretch))
        stretch.end()
        return stretch

    async def _call(self, due: float, stretch: Stretch) -> None:
        name = f"talk {self._chance.randrange(CONVERSATIONS)}"
        writes = self._chance.random() * (self.writes + self.reads) < self.writes
        try:
            await (self._append(name) if writes else self.store.load_messages([Window(name)]))
        except PersistenceError as error:
            stretch.errors[f"{'write' if writes else 'read'}: {type(error).__name__}: {error}"] += 1
        (stretch.writes if writes else stretch.reads).append(monotonic() - due)

    async def _append(self, name: str) -> None:
        await self.store.save_messages(
            [Message(name, name, name, WORDS), Message(name, name, "bot", WORDS, "assistant")]
        )


async def run(seconds: float, writes: int, reads: int, deadline: float = 0.25) -> list[Stretch]:
    """Load a store over servers of its own.

    Args:
        seconds: how long, all in all; before that, one stretch is not counted and fills what a first call fills.
        writes: turns appended in a second.
        reads: windows of twenty read in a second.
        deadline: what the net gives a call to the database, in seconds.
    """
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        postgres, redis = opened.enter_context(private_postgres()), opened.enter_context(RedisServer.running())
        options: dict[str, dict[str, Any]] = {
            "memory-fallback": {"journal_directory": Path(folder, "journal"), "deadline": deadline},
            "redis-hybrid": {"url": redis.url()},
            "postgres": {"url": postgres},
        }
        async with AsyncStore(Chain.build([DriverSpec(name, given) for name, given in options.items()])) as store:
            pace = Pace(store, writes, reads)
            return (await pace.keep(1 + STRETCHES, seconds / STRETCHES))[1:]


def _milliseconds(values: array[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000 if values else 0.0


def _row(number: int, stretch: Stretch) -> dict[str, float]:
    took = {
        f"{name} {title}": _milliseconds(values, share)
        for name, values in (("read", stretch.reads), ("write", stretch.writes))
        for title, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }
    counts = {"calls": len(stretch.reads) + len(stretch.writes), "errors": stretch.errors.total()}
    grown = {"MB": stretch.resident / 1e6, "threads": stretch.threads, "files": stretch.files}
    return {"": number, **counts, **took, **grown}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--writes", type=int, default=200, help="turns appended in a second")
    parser.add_argument("--reads", type=int, default=500, help="windows read in a second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every figure")
    given = parser.parse_args()
    stretches = asyncio.run(run(given.minutes * 60, given.writes, given.reads))
    rows = [_row(number, stretch) for number, stretch in enumerate(stretches, 1)]
    table = Table(*rows[0], title="an even load; times in milliseconds since a call was due")
    for row in rows:
        table.add_row(*(f"{value:.1f}".removesuffix(".0") for value in row.values()))
    console = Console(width=110)
    console.print(table)
    p99 = ", ".join(
        f"{kind}s {statistics.median(row[f'{kind} p99'] for row in rows):.1f}" for kind in ("read", "write")
    )
    console.print(f"{sum(row['errors'] for row in rows):.0f} errors; p99 of the median stretch, ms: {p99}")
    for error, count in sum((stretch.errors for stretch in stretches), Counter[str]()).items():
        console.print(f"{count} x {error}")
    if given.json:
        given.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
