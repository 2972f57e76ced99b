"""Measure this package against the least that hand-written code has to do.

``python tests/benchmarks/run.py`` prints one table; ratios come from one run, in which the contestants take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
import machine
from arena import Arena
from contestants import CHALLENGERS
from data import SCALES
from judging import Field, Workload
from report import Measured, as_table, show, write
from rich.console import Console
from timing import race
from workloads import WORKLOADS

_say = Console(stderr=True).print


def main() -> None:
    """Run the workloads that the command line names."""
    asked = _parse()
    scale = attrs.evolve(SCALES[asked.scale], **{k: v for k in ("rounds", "runs") if (v := getattr(asked, k))})
    chosen = [w for w in WORKLOADS if not asked.only or w.name in asked.only]
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder, asyncio.Runner() as runner:
        arena = Arena(Path(folder), scale, CHALLENGERS[asked.challenger], runner, _say)
        try:
            measured, quiet = _measure(arena, chosen)
        finally:
            arena.close()
    show(as_table(f"SQLite at FULL, scale {asked.scale}; {quiet}", measured))
    write(
        asked.json,
        measured,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        machine=quiet,
        scale=attrs.asdict(scale),
    )


def _parse() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="full", help="how much is stored and measured")
    for name in SCALES:
        parser.add_argument(
            f"--{name}", dest="scale", action="store_const", const=name, help=f"the same as --scale {name}"
        )
    parser.add_argument("--rounds", type=int, help="rounds in a run")
    parser.add_argument("--runs", type=int, help="runs; the median of their ratios is the verdict")
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--challenger", choices=CHALLENGERS, default="ours", help="who is measured against the floor")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every figure")
    parser.add_argument("--folder", type=Path, help="where the files are made, for a while")
    return parser.parse_args()


def _measure(arena: Arena, workloads: list[Workload]) -> tuple[list[Measured], str]:
    measured = [Measured(workload) for workload in workloads]
    flushes = [machine.flush_nanoseconds(arena.folder)]
    for run in range(arena.scale.runs):
        for item in measured:
            field = item.workload.line_up(arena, run)
            _say(f"run {run + 1} of {arena.scale.runs}: {item.workload.name}")
            item.runs.append(race(field.lanes, item.workload.rounds(arena.scale)))
            item.answers = _answers(item.workload, field)
            flushes.append(machine.flush_nanoseconds(arena.folder))
    return measured, machine.described(flushes)


def _answers(workload: Workload, field: Field) -> dict[str, list[Any]]:
    answers = {name: read() for name, read in field.answers.items()}
    for name, answer in answers.items():
        if answer != next(iter(answers.values())):
            sys.exit(f"{workload.name}: {name} answers otherwise than {next(iter(answers))}: not the same work")
    return answers


if __name__ == "__main__":
    main()
