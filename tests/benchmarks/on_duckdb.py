"""Measure the duckdb-analytics driver against the same questions asked of SQLite, in one run.

``python tests/benchmarks/on_duckdb.py [--scale NAME] [--json FILE]`` prints one table. Ratios come from one run; the
contestants take turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import options
from judging import Bar, Done, at_least, at_most
from report import Measured, as_table, show, write
from rich.console import Console
from timing import Spent
from whisper_persistence_drivers.replica.columns import TABLES
from whisper_persistence_drivers.replica.engine import Limits, attach, building, reading
from whisper_persistence_drivers.replica.folder import Folder
from whisper_persistence_drivers.replica.loading import insert, make_tables

from whisper_persistence import Message, StorageUnavailableError, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import ImportanceByUser, MemoryScore, StatisticsChange
from whisper_persistence.records.memories import BASE_WEIGHTS
from whisper_persistence.testing.aggregating import near

MOMENT = datetime(2025, 9, 1, tzinfo=UTC)


SCALES: Final = {
    "full": {"rounds": 3, "appends": 600, "scores": 1_000_000, "users": 10_000, "new": 100_000, "large": 5_000_000},
    "quick": {"rounds": 2, "appends": 200, "scores": 100_000, "users": 1_000, "new": 20_000, "large": 1_000_000},
    "micro": {"rounds": 1, "appends": 50, "scores": 2_000, "users": 40, "new": 400, "large": 100_000},
}

_say = Console(stderr=True).print


def open_store(folder: Path, *, replica: bool, interval: float = 0.0) -> Store:
    """Open the database, with or without the replica above it."""
    above = [DriverSpec("duckdb-analytics", {"path": folder / "analytics", "interval": interval})] if replica else []
    return Store(Chain.build([*above, DriverSpec("sqlite", {"path": folder / "memory.db"})]))


def scores_of(user: int, count: int, first: int = 0) -> StatisticsChange:
    """Return a change that scores memories of one user, by every factor."""
    name = f"{200_000_000_000_000_000 + user}"
    scores = [
        MemoryScore(
            name,
            f"memory {number}",
            random.random(),
            {factor: random.random() for factor in BASE_WEIGHTS},
            MOMENT + timedelta(minutes=random.randrange(500_000)),
        )
        for number in range(first, first + count)
    ]
    return StatisticsChange(name, scores)


def fill(store: Store, users: int, count: int, first: int = 0) -> None:
    """Write so many scores of every user."""
    for start in range(0, users, 20):
        store.update_statistics([scores_of(user, count, first) for user in range(start, min(users, start + 20))])


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long something took, in seconds, and what it gave."""
    began = perf_counter()
    answer = act()
    return perf_counter() - began, answer


def compare_questions(folder: Path, users: int, rounds: int) -> Measured:
    """Ask both for the statistics of all users, in turns, and demand the same answer."""
    question = ImportanceByUser(limit=users)
    with open_store(folder, replica=False) as plain, open_store(folder, replica=True) as columnar:
        load, _ = timed(lambda: columnar.aggregate(question))
        slow, fast = Spent(), Spent()
        for _ in range(rounds):
            spent, expected = timed(lambda: plain.aggregate(question))
            slow.values.append(spent * 1e9)
            for _ in range(3):
                spent, found = timed(lambda: columnar.aggregate(question))
                fast.values.append(spent * 1e9)
        if not near(found, expected) or len(found.rows) != users:
            raise SystemExit("sqlite and duckdb-analytics answer differently")
    _say(f"the first load took {load:.1f} s")
    title = "all users' statistics: SQLite / DuckDB"
    return Measured(Done("statistics", title, at_least(15)), [{"SQLite": slow, "DuckDB": fast}])


def append_latency(store: Store, going: Callable[[], bool], least: int) -> list[float]:
    """Append turns one after the other as long as something goes on, and return how long each took, in seconds."""
    spent: list[float] = []
    while len(spent) < least or going():
        spent.append(timed(lambda: store.save_messages([Message("talk", "u", "u", "word " * 40)]))[0])
    return spent


def refresh_elsewhere(folder: Path) -> None:
    """Bring the replica up to date, as an operator's report does, in a process of its own."""
    with open_store(folder, replica=True) as store:
        store.aggregate(ImportanceByUser(limit=1))


def append_beside_process(folder: Path) -> list[float]:
    """Append while another process refreshes."""
    worker = multiprocessing.get_context("spawn").Process(target=refresh_elsewhere, args=(folder,))
    with open_store(folder, replica=False) as store:
        worker.start()
        return append_latency(store, worker.is_alive, 100)


def append_beside_thread(folder: Path) -> list[float]:
    """Append while a thread of the same process refreshes."""
    with open_store(folder, replica=True, interval=0.1) as store:
        driver: Any = store.chain.drivers["duckdb-analytics"]
        older = driver._replica.folder.newest()
        return append_latency(store, lambda: is_going_on(driver._replica.folder, older), 100)


def is_going_on(folder: Folder, older: Path | None) -> bool:
    """Say whether there is still none but an older snapshot, or somebody who makes the next."""
    try:
        with folder.locked(0):
            return folder.newest() == older
    except StorageUnavailableError:
        return True


def compare_appends(folder: Path, given: argparse.Namespace, *, background: bool) -> Measured:
    """Append alone, and while many new rows are brought into the replica, in turns."""
    runs: list[dict[str, Spent]] = []
    for _ in range(given.rounds):
        with open_store(folder, replica=False) as store:
            fill(store, given.users, max(1, given.new // given.users), random.randrange(1 << 40))
            quiet = append_latency(store, lambda: False, given.appends)
        busy = append_beside_thread(folder) if background else append_beside_process(folder)
        _say(f"a refresh took {sum(busy):.1f} s")
        runs.append({"alone": _spent(quiet), "beside": _spent(busy)})
    where = "a thread of the writer" if background else "another process"
    title = f"append while {given.new:,} rows are refreshed in {where} / alone"
    return Measured(Done(f"append beside {where}", title, at_most(1.2)), runs)


def _spent(seconds: list[float]) -> Spent:
    return Spent([value * 1e9 for value in seconds])


def make_large(folder: Path, scores: int) -> Path:
    """Make a snapshot of so many scores, as the driver makes them."""
    path, table, step = folder / "large.duckdb", TABLES["scores"], min(100_000, scores)
    with building(Limits("1GiB", 2, folder / "spill"), [folder]) as connection:
        attach(connection, path, "large")
        make_tables(connection, "large", "default")
        for start in range(0, scores, step):
            rows = (
                score for user in range(start // 500, (start + step) // 500) for score in scores_of(user, 500).scores
            )
            insert(connection, "large.scores", table.batch(rows))
        connection.execute("DETACH large")
    return path


def ask_large(path: Path, users: int, memory: str, peak: Any) -> None:
    """Ask a snapshot, and say how much memory the process had at most and how many users it answered."""
    from whisper_persistence_drivers.replica.answering import answer

    began = perf_counter()
    with reading(path, Limits(memory, 2, path.parent / "spill")) as connection:
        users = len(answer(connection, ImportanceByUser(limit=users)).rows)
    # Not getrusage's: a child inherits that figure from its parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    used = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    peak.put((used, users, perf_counter() - began))


def measure_memory(folder: Path, scores: int, memory: str = "1GiB") -> Measured:
    """Return how much memory a process has that asks about so many rows."""
    context = multiprocessing.get_context("spawn")
    peak = context.Queue()
    worker = context.Process(target=ask_large, args=(make_large(folder, scores), scores // 500, memory, peak))
    worker.start()
    used, users, took = peak.get(timeout=600)
    worker.join()
    if users != scores // 500:
        raise SystemExit(f"{users:,} users were answered instead of {scores // 500:,}")
    _say(f"{users:,} users in {took:.2f} s")
    bar = Bar(lambda spent: spent[0].median() / 2**20, 1024, unit="MiB")
    title = f"peak of the process at {scores:,} scores"
    return Measured(Done("memory", title, (bar,), "bytes"), [{"ours": Spent([used * 2**20])}])


def measure(given: argparse.Namespace, folder: Path) -> Iterator[Measured]:
    """Measure everything."""
    with open_store(folder, replica=False) as store:
        fill(store, given.users, given.scores // given.users)
    yield compare_questions(folder, given.users, given.rounds)
    for background in (False, True):
        yield compare_appends(folder, given, background=background)
    yield measure_memory(folder, given.large)


def main() -> None:
    """Measure, and print the table."""
    given = options.parse(options.parser(__doc__, SCALES), SCALES)
    random.seed(7)
    with tempfile.TemporaryDirectory() as folder:
        lines = list(measure(given, Path(folder)))
    show(as_table(f"DuckDB analytics above SQLite, scale {given.scale}", lines))
    write(given.json, lines, scale={name: getattr(given, name) for name in SCALES[given.scale]})


if __name__ == "__main__":
    main()
