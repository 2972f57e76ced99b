"""Measure a process's memory over a million messages, through outages and recoveries.

``python tests/benchmarks/memory_flat.py`` prints the curve as a table for ``docs/failure-behaviour.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from fault_tools.lifetime import BATCH, Round, live
from fault_tools.stores import Opener
from rich.console import Console

_print = Console(width=120, highlight=False).print


def main() -> None:
    """Live as long as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="outages")
    parser.add_argument("--calls", type=int, default=250, help=f"calls of {BATCH} messages before each, and in it")
    asked = parser.parse_args()
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


if __name__ == "__main__":
    main()
