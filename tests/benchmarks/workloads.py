"""Every workload, and what its figures are held against."""

from __future__ import annotations

import operator
from typing import Final

import drawing
import lineups
import processes
from contestants import LARGE_CACHE
from data import LONG, LONGER, SHORT
from judging import Bar, Workload, at_most, megabytes, p99_milliseconds, share_of_throughput

_ANYBODY: Final = drawing.reads_of_anybody
_PROCESSES: Final = operator.attrgetter("processes")

WORKLOADS: Final = (
    Workload(
        "append", "append a turn", lineups.single_calls("append", "talk", drawing.turns_of("hot")), at_most(1.7, 1.25)
    ),
    Workload(
        "append-users",
        "append a turn, random user",
        lineups.single_calls("append", "talk", drawing.turns_of_anybody),
        at_most(goal=1.35),
    ),
    Workload(
        "append-async",
        "asyncio: append a turn, one caller",
        lineups.single_awaits("append", drawing.turns_of("hot")),
        at_most(1.5, 1.25),
    ),
    Workload(
        "last", "last 20, long talk", lineups.single_calls("last", "talk", drawing.reads_of(LONG)), at_most(3, 1.5)
    ),
    Workload(
        "last-async",
        "asyncio: last 20, long talk, one caller",
        lineups.single_awaits("last", drawing.reads_of(LONG)),
        at_most(1.6, 1.5),
    ),
    Workload(
        "last-users",
        "last 20, random user",
        lineups.single_calls("last", "talk", _ANYBODY, LARGE_CACHE),
        at_most(1.0, 0.6),
    ),
    Workload("load", "load a strategy", lineups.single_calls("load", "strategies", drawing.users), at_most(3, 1.5)),
    Workload(
        "save", "save a strategy", lineups.single_calls("save", "strategies", drawing.profiles), at_most(1.7, 1.15)
    ),
    Workload("learn", "learn one outcome", lineups.single_calls("learn", "strategies", drawing.lessons), at_most()),
    Workload("score", "score one memory", lineups.single_calls("score", "strategies", drawing.lessons), at_most()),
    Workload(
        "tasks",
        "asyncio: 32 tasks append and read",
        lineups.many_tasks,
        (
            Bar(share_of_throughput, 0.5, 0.6, at_least=True, title="throughput"),
            Bar(p99_milliseconds, 20, unit="ms", title="p99"),
        ),
        rounds=lambda scale: max(scale.rounds // 2, 1),
    ),
    Workload(
        "import",
        "import in batches, each message",
        lineups.imports,
        (Bar(share_of_throughput, 0.45, 0.6, at_least=True),),
        rounds=lambda scale: max(scale.rounds // 5, 1),
    ),
    Workload(
        "growth-store",
        "last 20: store x 100",
        lineups.at_two_sizes("last", ("little-talk", drawing.reads_of_few), ("talk", _ANYBODY)),
        at_most(1.3),
    ),
    Workload(
        "growth-talk",
        "last 20: conversation x 10",
        lineups.at_two_sizes("last", ("talk", drawing.reads_of(LONG)), ("talk", drawing.reads_of(LONGER))),
        at_most(1.1),
    ),
    Workload(
        "growth-append",
        "append: long instead of short conversation",
        lineups.at_two_sizes("append", ("talk", drawing.turns_of(SHORT)), ("talk", drawing.turns_of(LONGER))),
        at_most(1.1),
    ),
    Workload(
        "memory",
        "resident after 2,000 windows",
        processes.remembering,
        (Bar(megabytes, 60, unit="MB"),),
        rounds=lambda scale: 1,
        unit="bytes",
    ),
    Workload("import-time", "import the package", processes.importing, at_most(goal=1.3), rounds=_PROCESSES),
    Workload("open-time", "open an up-to-date file", processes.opening, at_most(goal=1.3), rounds=_PROCESSES),
)
