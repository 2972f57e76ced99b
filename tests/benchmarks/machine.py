"""Whether the machine is quiet enough for the figures to mean anything."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from time import perf_counter_ns
from typing import Final

#: A flush of the disk that takes longer hides what the contestants differ in.
QUIET_FLUSH: Final = 500_000


def flush_nanoseconds(folder: Path) -> float:
    """Return the median time of appending 4 KiB to a file and flushing it to the disk."""
    path = folder / "flush"
    times: list[float] = []
    with path.open("wb", buffering=0) as file:
        for _ in range(51):
            started = perf_counter_ns()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(perf_counter_ns() - started)
    path.unlink()
    return statistics.median(times)


def described(flushes: list[float]) -> str:
    """Return how quiet the machine was, from the flushes measured between the workloads."""
    slowest = max(flushes)
    facts = f"a flush of the disk took {min(flushes) / 1e3:.0f} to {slowest / 1e3:.0f} us, "
    facts += f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    return facts if slowest <= QUIET_FLUSH else f"BUSY DISK, verdicts on writes do not count: {facts}"
