"""Load the redis-hybrid driver for a long time, and watch how much memory the server and this process take.

``python tests/benchmarks/redis_load.py [--messages N] [--conversations N] [--minutes M]`` first writes the messages,
then reads and appends with 32 tasks, and prints what was taken as it goes. It needs the redis and testing extras.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final

import attrs
from rich.console import Console
from rich.table import Table

from whisper_persistence import AsyncStore, Message, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.redis_servers import RedisServer

TASKS: Final = 32
#: Conversations that a task writes at once.
TOGETHER: Final = 10
#: Samples that the load is watched by, beside that at its beginning.
SAMPLES: Final = 20
WORDS: Final = "It rained all day, and I thought of what you said about the sea and the small boat. " * 2


@attrs.frozen
class Sample:
    """What was taken at one moment.

    Attributes:
        seconds: since the load began.
        operations: of the load until then.
        redis: bytes that the server says it uses.
        resident: bytes of this process in memory.
        hit_rate: of all windows read until then.
    """

    seconds: float
    operations: int
    redis: int
    resident: int
    hit_rate: float


@attrs.define(eq=False)
class Load:
    """What is asked of a store, and how often it was.

    Attributes:
        store: the store, open.
        server: its Redis server.
        conversations: how many there are.
        worst: the most bytes that the server was seen to use.
    """

    store: AsyncStore
    server: RedisServer
    conversations: int
    worst: int = 0
    _operations: int = 0
    _stopped: bool = False

    async def fill(self, each: int) -> None:
        """Write so many messages to each conversation and read it, as a bot that begins to talk there does."""
        firsts = iter(range(0, self.conversations, TOGETHER))
        await asyncio.gather(*(self._fill(firsts, each) for _ in range(TASKS)))

    async def talk(self, seconds: float) -> list[Sample]:
        """Read and append with 32 tasks for so long; return what was taken meanwhile."""
        began = monotonic()
        tasks = [asyncio.create_task(self._talk(random.Random(number))) for number in range(TASKS)]
        samples = [await self._sample(began)]
        for number in range(1, SAMPLES + 1):
            await asyncio.sleep(max(0.0, began + seconds * number / SAMPLES - monotonic()))
            samples.append(await self._sample(began))
        self._stopped = True
        await asyncio.gather(*tasks)
        return samples

    async def _fill(self, firsts: Iterator[int], each: int) -> None:
        for first in firsts:
            names = [f"talk {number}" for number in range(first, min(self.conversations, first + TOGETHER))]
            await self.store.save_messages([message(name, number) for name in names for number in range(each)])
            await self.store.load_messages([Window(name) for name in names])
            if first % 1_000 == 0:
                await self._used()

    async def _talk(self, chance: random.Random) -> None:
        number = 0
        while not self._stopped:
            name, number = f"talk {chance.randrange(self.conversations)}", number + 1
            if number % 5:
                await self.store.load_messages([Window(name)])
            else:
                await self.store.save_messages(
                    [Message(name, name, name, WORDS), Message(name, name, "bot", WORDS, "assistant")]
                )
            self._operations += 1

    async def _used(self) -> int:
        used = int((await asyncio.to_thread(self.server.ask, "INFO", "memory"))["used_memory"])
        self.worst = max(self.worst, used)
        return used

    async def _sample(self, began: float) -> Sample:
        used, numbers = await self._used(), (await self.store.metrics())["redis-hybrid"]
        return Sample(monotonic() - began, self._operations, used, resident(), numbers["hit_rate"])


def message(name: str, number: int) -> Message:
    """Return one of the messages that a conversation begins with."""
    return Message(name, name, name, WORDS, message_id=f"{number}")


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024


async def run(messages: int, conversations: int, seconds: float, bound: int) -> tuple[list[Sample], int]:
    """Fill and load a store over SQLite; return what was taken under the load, and the most that Redis ever took.

    Args:
        messages: how many are written before the load.
        conversations: over how many they are spread.
        seconds: how long the load lasts.
        bound: the bytes that the server may use, ``max_memory``.
    """
    with tempfile.TemporaryDirectory() as folder, RedisServer.running() as server:
        layer = {"url": server.url(), "max_memory": bound, "read_timeout": 5.0}
        below = {"path": Path(folder, "memory.db"), "synchronous": "normal"}
        chain = Chain.build([DriverSpec("redis-hybrid", layer), DriverSpec("sqlite", below)])
        async with AsyncStore(chain) as store:
            load = Load(store, server, conversations)
            await load.fill(messages // conversations)
            return await load.talk(seconds), load.worst


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--conversations", type=int, default=50_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--bound", type=int, default=64_000_000, help="max_memory, in bytes")
    given = parser.parse_args()
    samples, worst = asyncio.run(run(given.messages, given.conversations, given.minutes * 60, given.bound))
    table = Table("seconds", "operations", "Redis MB", "process MB", "hit rate", title="memory under load")
    for sample in samples:
        megabytes = (f"{sample.redis / 1e6:.1f}", f"{sample.resident / 1e6:.1f}")
        table.add_row(f"{sample.seconds:.0f}", f"{sample.operations:,}", *megabytes, f"{sample.hit_rate:.3f}")
    Console().print(table)
    Console().print(f"Redis took {worst / 1e6:.1f} MB at most; its bound is {given.bound / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
