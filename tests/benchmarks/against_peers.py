"""Measure this package against others that keep what a bot remembers, side by side in one run.

``python tests/benchmarks/against_peers.py [--backend NAME] [--scale NAME] [--json FILE]`` prints one table a
backend. Every side runs through asyncio in one event loop, takes its turn in every round, and keeps the same talk and
the same records at the same durability; synchronous peers are called directly. Peers that are not installed are named
and left out.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import options
from judging import Bar, Done, share_of_throughput
from peers import fresh, records, talk
from peers.contests import Contest
from peers.places import BACKENDS
from report import Measured, as_table, show, write
from timing import Spent

#: How many users' conversations of 20 turns and strategies are stored, the rounds of a run, and fresh processes.
SCALES: Final = {
    "full": {"users": 1_000, "rounds": 15, "processes": 7},
    "quick": {"users": 200, "rounds": 5, "processes": 3},
    "micro": {"users": 20, "rounds": 1, "processes": 1},
}
#: No peer may be ahead by more than a tenth, but in Redis, where only the tasks have a bar.
NOT_BEHIND: Final = {"sqlite": 0.9, "postgres": 0.9, "redis": None, "redis-on-disk": 0.9}
#: With many tasks, so many times the best peer's throughput is wanted.
MANY_TASKS: Final[dict[str, tuple[float, float | None]]] = {
    "sqlite": (4, None),
    "postgres": (2.5, 3),
    "redis": (2.5, None),
    "redis-on-disk": (2.5, None),
}


def judged(backend: str, title: str, sides: dict[str, Spent], wanted: tuple[float | None, float | None]) -> Measured:
    """Return what was spent, with the best peer as the one that is measured against."""
    others = [name for name in sides if not name.startswith("ours")]
    if not others:
        raise SystemExit(f"no peer is installed that does this on {backend}: {title}")
    peers = sorted(others, key=lambda name: sides[name].median())
    mine = [name for name in sides if name.startswith("ours")]
    ordered = [peers[0], "ours", *peers[1:], *(name for name in mine if name != "ours")]
    bar = Bar(share_of_throughput, *wanted, at_least=True)
    unit = "bytes" if title in (fresh.ONCE_OPEN, fresh.SERVE) else "ns"
    done = Done(f"{title} on {backend}", f"{title}, beside the best peer", (bar,), unit)
    return Measured(done, [{name: sides[name] for name in ordered}])


async def compare(backend: str, given: Any, left_out: list[str]) -> list[Measured]:
    """Measure everything on one backend; note who is left out."""
    contests: tuple[Contest[Any], ...] = (talk.CONTEST, records.CONTEST)
    measured: list[Measured] = []
    for contest in contests:
        with BACKENDS[backend]() as places:
            spent = await contest.run(backend, places, given.users, given.rounds, left_out)
        for title, sides in spent.items():
            busy = contest.many is not None and contest.workloads.get(title) is contest.many
            wanted = MANY_TASKS[backend] if busy else (NOT_BEHIND[backend], None)
            measured.append(judged(backend, title, sides, wanted))
    if backend == "sqlite":
        with BACKENDS[backend]() as places:
            spent = await fresh.measure(places, given.users, given.processes, left_out)
        measured += [judged(backend, title, sides, (NOT_BEHIND[backend], None)) for title, sides in spent.items()]
    return measured


def main() -> None:
    """Run what the command line names."""
    parser = options.parser(__doc__, SCALES)
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="only this backend; may be given again")
    given = options.parse(parser, SCALES)
    left_out: list[str] = []
    everything: list[Measured] = []
    for backend in given.backend or list(BACKENDS):
        measured = asyncio.run(compare(backend, given, left_out))
        show(as_table(f"{backend}: times the throughput of the best peer", measured))
        everything += measured
    scale = {name: getattr(given, name) for name in SCALES[given.scale]}
    write(given.json, everything, scale=scale, left_out=left_out)


if __name__ == "__main__":
    main()
