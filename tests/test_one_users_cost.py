"""What is asked about one user costs what that user has, however much there is of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from whisper_persistence_drivers import sqlite_scrubbing
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.sql.scanning import _of_user
from whisper_persistence_drivers.sqlite import SqliteDriver
from whisper_persistence_drivers.sqlite_flavour import SqliteFlavour

from whisper_persistence import ClearMark, MemoryScore, Message, StatisticsChange, Store, Window
from whisper_persistence.operations import erase_users, export_archive, load_profile
from whisper_persistence.plugins import Chain

#: SQLite calls back after so many of its instructions.
STEP = 100


def nothing(*_: Any) -> None:
    """Be told of the work and say nothing."""


def filled(folder: Path, others: int) -> Store:
    """Return the preset of desktops, with 40 messages of alice, in part among others, and so many more of 16 people."""
    net = MemoryFallbackDriver(folder / "journals")
    store = Store(Chain.of({"memory-fallback": net, "sqlite": SqliteDriver(folder / "memory.db")}))
    for n in range(20):
        talk, user, count = f"talk {n}", f"user {n}", 10 if n < 4 else others
        store.save_messages([Message(talk, user, user, "said " * 9, message_id=f"m{m}") for m in range(count)])
    said = [Message(f"talk {n % 4}", "alice", "alice", "hello", message_id=f"a{n}") for n in range(20)]
    store.save_messages([*said, *(Message("alone", "bot", "alice", "hi", message_id=f"b{n}") for n in range(20))])
    return store


def instructions(store: Store, operation: Any) -> int:
    """Return about how many of SQLite's instructions an operation takes."""
    database: Any = store.chain.drivers["sqlite"]
    count = 0

    def step() -> int:
        nonlocal count
        count += STEP
        return 0

    for connection in (*database._database._idle, database._database._only_writer()):
        connection.set_progress_handler(step, STEP)
    operation(store)
    return count


OPERATIONS: dict[str, Any] = {
    "export": lambda folder: lambda store: export_archive(store, folder / "alice.zip", "alice", nothing),
    "show": lambda folder: lambda store: load_profile(store, "alice"),
    "erase": lambda folder: lambda store: erase_users(store, ["alice"], nothing),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_users_operations_cost_what_the_user_has(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_scrubbing, "_vacuum", lambda connection: None)  # whose cost is that of the file
    costs: list[int] = []
    for others in (10, 400):
        folder = tmp_path / str(others)
        with filled(folder, others) as store:
            costs.append(instructions(store, OPERATIONS[name](folder)))

    assert costs[0] > STEP
    assert costs[1] < 1.5 * costs[0], costs


@pytest.mark.parametrize("cleared", [False, True])
def test_a_page_far_into_a_talk_costs_the_page(cleared, tmp_path):
    costs: list[int] = []
    for count in (100, 3_000):
        with Store(Chain.of({"sqlite": SqliteDriver(tmp_path / f"{count}.db")})) as store:
            for start in range(0, count, 1_000):
                names = range(start, min(count, start + 1_000))
                store.save_messages([Message("talk", "u", "u", "hello", message_id=f"m{n}") for n in names])
            store.update_messages([ClearMark("talk", count - 50)] if cleared else [])
            window = Window("talk", 20, after=0 if cleared else count - 50)
            costs.append(instructions(store, lambda store, window=window: store.load_messages([window])))

            assert store.load_messages([window])[window][0].sequence == count - 49

    assert costs[1] <= costs[0] + STEP, costs


def test_one_more_score_costs_the_same_however_many_memories_have_one(tmp_path):
    costs: list[int] = []
    for count in (100, 3_000):
        with Store(Chain.of({"sqlite": SqliteDriver(tmp_path / f"{count}.db")})) as store:
            for start in range(0, count, 1_000):
                scores = [MemoryScore("alice", f"m{n}", n / count) for n in range(start, min(count, start + 1_000))]
                store.update_statistics([StatisticsChange("alice", scores)])
            change = StatisticsChange("alice", [MemoryScore("alice", "m50", 0.9, {"recency": 0.5})])
            costs.append(instructions(store, lambda store, change=change: store.update_statistics([change])))
            found = store.load_statistics(["alice"])["alice"]

            assert (found.total_memories_scored, found.factor_averages()) == (count, {"recency": 0.5})

    assert costs[1] <= costs[0] + STEP, costs


@pytest.mark.parametrize(("way", "index"), [("user_id", "user"), ("other_author", "author")])
@pytest.mark.parametrize("first", [True, False])
def test_the_messages_of_one_user_are_sought_in_their_index(way, index, first, tmp_path):
    with filled(tmp_path, 1) as store:
        prepared, driver = _of_user(SqliteFlavour(), way, first=first), store.chain.drivers["sqlite"]
        connection = driver._database._only_writer()  # type: ignore[attr-defined]
        explained = connection.execute(f"EXPLAIN QUERY PLAN {prepared.sql}", [None] * len(prepared.names)).fetchall()
    plan = " ".join(row[-1] for row in explained)

    assert f"SEARCH own USING COVERING INDEX conversation_history_{index} (namespace=? AND {way}=?" in plan
    assert "SEARCH conversation_history USING PRIMARY KEY" in plan
