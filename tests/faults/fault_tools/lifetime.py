"""A long life through outages and recoveries, and how much memory it takes."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import attrs
from whisper_persistence_drivers.sqlite import SqliteDriver

from fault_tools.faulty import Faulty
from fault_tools.stores import Opener, drained, net_of, until
from whisper_persistence import Window
from whisper_persistence.testing import samples

#: How many messages are written in one call.
BATCH = 100
_MIB = 2.0**20


@attrs.frozen
class Memory:
    """The memory of this process, in MiB: what Python allocated while it was traced, and what is resident."""

    traced: float
    resident: float

    @classmethod
    def now(cls) -> Memory:
        """Measure it."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return cls(tracemalloc.get_traced_memory()[0] / _MIB, pages * 4096 / _MIB)


@attrs.frozen
class Round:
    """A time of fair weather and an outage.

    Attributes:
        operations: how many messages were written until now.
        outage: the memory when the outage ends, and half of the round's messages wait.
        recovered: the memory when nothing waits any more.
    """

    operations: int
    outage: Memory
    recovered: Memory


def live(opened: Opener, folder: Path, rounds: int, calls: int) -> Iterator[Round]:
    """Write so many calls in fair weather and as many in an outage, recover, and read, again and again."""
    way = Faulty()
    record = SqliteDriver(folder / "memory.db", synchronous="normal")
    store = opened(("faulty", way), ("sqlite", record), deadline=20.0, remembered=200)
    number = 0
    for _ in range(rounds):
        for down in (False, True):
            way.down = down
            for _ in range(calls):
                number += BATCH
                talk = f"talk {number % 1_000}"
                store.save_messages([samples.message(talk, message_id=f"{number + n}") for n in range(BATCH)])
        outage = Memory.now()
        way.down = False
        drained(store)
        until(lambda: net_of(store)._relay._thread is None)  # which holds the last batch until it ends
        store.load_messages([Window(f"talk {n * 100}", 20) for n in range(10)])
        yield Round(number, outage, Memory.now())
