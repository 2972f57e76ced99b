"""Measuring contestants against each other: in turns, in rotating order, in one process."""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import perf_counter_ns
from typing import Any

import attrs


@attrs.define
class Spent:
    """What one contestant spent.

    Attributes:
        values: what the median is taken of: nanoseconds per call, or bytes.
        latencies: nanoseconds of single calls, where ``values`` are not.
    """

    values: list[float] = attrs.field(factory=list[float])
    latencies: list[float] = attrs.field(factory=list[float])

    def __iadd__(self, other: Spent) -> Spent:
        self.values += other.values
        self.latencies += other.latencies
        return self

    def median(self) -> float:
        """Return the median of the values."""
        return statistics.median(self.values)

    def p99(self) -> float:
        """Return the 99th percentile of single calls."""
        ordered = sorted(self.latencies or self.values)
        return ordered[math.ceil(0.99 * len(ordered)) - 1]


#: One contestant's share of a round, by the number of the round.
Lane = Callable[[int], Spent]


def race(lanes: Mapping[str, Lane], rounds: int) -> dict[str, Spent]:
    """Let every contestant run in each round, another first each time, and return what each spent."""
    names = list(lanes)
    spent = {name: Spent() for name in names}
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            spent[name] += lanes[name](number)
    return spent


def time_calls(call: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Spent:
    """Time each call by itself."""
    values: list[float] = []
    for bound in arguments:
        started = perf_counter_ns()
        call(*bound)
        values.append(perf_counter_ns() - started)
    return Spent(values)


async def time_awaits(call: Callable[..., Awaitable[Any]], arguments: Iterable[tuple[Any, ...]]) -> Spent:
    """Time each awaited call by itself, one after the other."""
    values: list[float] = []
    for bound in arguments:
        started = perf_counter_ns()
        await call(*bound)
        values.append(perf_counter_ns() - started)
    return Spent(values)
