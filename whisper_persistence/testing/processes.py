"""Processes: several on one path lose nothing and double nothing."""

from __future__ import annotations

import importlib.util
import inspect
import multiprocessing
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

from whisper_persistence.records import Receipt, StatisticsChange, StrategyChange
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything

PROCESSES: Final = 3
ITEMS: Final = 40

Job = Callable[[Store, int], Any]
Check = Callable[[Store, list[Any]], None]

_started: Barrier | None = None


def speak(store: Store, process: int) -> list[Receipt]:
    """Append messages of one's own, and some that every process sends."""
    own = [samples.message(message_id=f"{process} {n}") for n in range(ITEMS)]
    return [store.save_messages([message, shared])[0] for message, shared in zip(own, samples.talk(ITEMS), strict=True)]


def learn(store: Store, process: int) -> None:
    """Learn for one user from outcomes of one's own, and from some that every process saw."""
    for n in range(ITEMS):
        own, shared = samples.outcome(0.9, outcome_id=f"{process} {n}"), samples.outcome(0.1, outcome_id=f"{n}")
        store.update_strategies([StrategyChange("alice", [own]), StrategyChange("alice", [shared], change_id=f"{n}")])


def score(store: Store, process: int) -> None:
    """Score memories of one's own for one user."""
    for n in range(ITEMS):
        store.update_statistics([StatisticsChange("alice", [samples.score(f"{process} {n}", 0.25)])])


def check_messages(store: Store, told: list[Any]) -> None:
    """Every message of every process is kept once, where its receipt says."""
    places = {message.message_id: message.sequence for message in everything(store)}

    assert len(everything(store)) == len(places) == ITEMS * (PROCESSES + 1)
    for process, receipts in enumerate(told):
        assert [places[f"{process} {n}"] for n in range(ITEMS)] == [receipt.sequence for receipt in receipts]


def check_outcomes(store: Store, told: list[Any]) -> None:
    """Every outcome of every process is counted once."""
    found = store.load_strategies(["alice"])["alice"]

    assert (found.interventions, found.successes) == (ITEMS * (PROCESSES + 1), ITEMS * PROCESSES)


def check_scores(store: Store, told: list[Any]) -> None:
    """Every score of every process is counted once."""
    found = store.load_statistics(["alice"])["alice"]

    assert found.total_memories_scored == ITEMS * PROCESSES
    assert found.average_importance() == 0.25


#: What every process does where a subject is claimed, and what must be true afterwards.
JOBS: Final[Mapping[str, tuple[Job, Check]]] = {
    "conversations": (speak, check_messages),
    "strategies": (learn, check_outcomes),
    "statistics": (score, check_scores),
}


@needs("processes", "durable")
class ProcessConformance(Conformance):
    """That several processes may use one path at once."""

    def test_what_every_process_writes_is_kept_once_and_counted_once(self, path: Path) -> None:
        spawn = multiprocessing.get_context("spawn")
        work = partial(_work, inspect.getfile(type(self)), type(self).__qualname__, path)
        claimed = [JOBS[subject] for subject in JOBS if subject in self.capabilities]
        with ProcessPoolExecutor(PROCESSES, spawn, _remember, (spawn.Barrier(PROCESSES),)) as pool:
            told = [list(pool.map(partial(work, job), range(PROCESSES))) for job, _ in claimed]
        with self.open_store(path) as store:
            for (_, check), answers in zip(claimed, told, strict=True):
                check(store, answers)


def _remember(barrier: Barrier) -> None:
    global _started  # noqa: PLW0603
    _started = barrier


def _work(file: str, name: str, path: Path, job: Job, process: int) -> Any:
    suite: Any = _load(file)
    for part in name.split("."):
        suite = getattr(suite, part)
    with suite().open_store(path) as store:
        if _started is not None:
            _started.wait(60)
        return job(store, process)


@cache
def _load(file: str) -> Any:
    """Import a test file by its path, since test folders need not be importable by name."""
    sys.path.insert(0, str(Path(file).parent))
    spec = importlib.util.spec_from_file_location("conformance_of_a_driver", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
