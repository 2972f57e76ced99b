"""How connections are set, and what their statements search."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from whisper_persistence import MemoryScore, OutcomeQuery, ScoreQuery, StatisticsChange, Store, Window
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

from .stores import database, opened


@pytest.mark.parametrize(("synchronous", "number"), [("full", 2), ("normal", 1)])
def test_every_connection_is_set_as_promised(path, synchronous, number):
    with opened(path, synchronous=synchronous, busy_timeout=7) as store:
        lent = database(store)
        with lent.reading() as one, lent.reading() as other, lent.writing() as writer:
            for connection in (one, other, writer):
                pragmas = ("synchronous", "foreign_keys", "secure_delete", "journal_mode", "busy_timeout")
                found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas}

                assert found == {
                    "synchronous": number,
                    "foreign_keys": 1,
                    "secure_delete": 1,
                    "journal_mode": "wal",
                    "busy_timeout": 7_000,
                }


def use_everything(store: Store) -> None:
    samples.fill(store, SUBJECT_CAPABILITIES)
    samples.fill(store, SUBJECT_CAPABILITIES)
    message = store.load_messages([Window("talk", 1)])[Window("talk", 1)][0]
    windows = [Window("talk"), Window("talk", before=3), Window("talk", after=1), Window("talk", user_id="alice")]
    store.load_messages([*windows, Window("talk", after=1, user_id="alice")])
    store.save_messages([samples.message(in_reply_to="m0"), message])
    store.load_messages([Window("talk", 1)])
    store.load_strategies(["alice", "bob"])
    store.load_outcomes([OutcomeQuery("alice")])
    (score,) = store.load_scores([ScoreQuery("alice", limit=1)])[ScoreQuery("alice", limit=1)]
    store.load_scores([ScoreQuery("alice", "top", after=score), ScoreQuery("alice", "recent", after=score)])
    store.load_statistics(["alice"])
    store.load_patterns(["alice"])
    store.load_preferences(["alice"])
    store.erase_users(["alice"])


def scan_everything(store: Store) -> None:
    for kind in ("strategies", "outcomes", "statistics", "scores", "patterns", "preferences", "messages"):
        store.scan(kind, store.scan(kind, None, 1).cursor, 1)


def plans(path: Path, use: Callable[[Store], None]) -> dict[str, list[str]]:
    """Return how SQLite goes about each statement of what a store is used for."""
    statements: set[str] = set()

    def note(statement: str) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            statements.add(statement)

    with opened(path) as store:
        with database(store).reading() as reader, database(store).writing() as writer:
            reader.set_trace_callback(note)
            writer.set_trace_callback(note)
        use(store)
    with closing(sqlite3.connect(path)) as connection:
        return {
            statement: [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            for statement in statements
        }


#: Tables of a handful of rows, which are read as a whole on purpose, and lists of ids.
SMALL = re.compile(r"SCAN CONSTANT ROW|SCAN \w+ VIRTUAL TABLE INDEX 1:|SEARCH (followers|erasures) USING PRIMARY KEY")


def test_every_statement_searches_by_an_index(path):
    found = plans(path, use_everything)
    walking = ("SCAN", "TEMP B-TREE", "(namespace=?)")

    assert len(found) > 30
    for statement, steps in found.items():
        assert not [step for step in steps if any(map(step.__contains__, walking)) and not SMALL.match(step)], statement


def test_a_page_of_a_scan_is_read_in_the_order_of_an_index(path):
    with opened(path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
    found = plans(path, scan_everything)

    assert len(found) >= 10
    for statement, steps in found.items():
        assert steps[0].startswith("SEARCH"), statement
        assert not [step for step in steps if "TEMP B-TREE" in step], statement


def test_a_read_sees_one_state_of_the_file_from_first_to_last(path):
    scores = [MemoryScore("alice", f"memory {n}", n / 10) for n in range(5)]
    forget = StatisticsChange("alice", forgotten=[score.memory_id for score in scores])
    with opened(path) as store:
        store.update_statistics([StatisticsChange("alice", scores)])
        seen: list[str] = []

        def disturb(statement: str) -> None:
            if "memory_importance_scores" in statement and "OFFSET" in statement and not seen:
                seen.append(statement)
                store.update_statistics([forget])

        with database(store).reading() as reader:
            reader.set_trace_callback(disturb)
        before = store.load_statistics(["alice"])["alice"]
        after = store.load_statistics(["alice"])["alice"]

        assert seen
        assert (before.total_memories_scored, before.minimum, before.median, before.maximum) == (5, 0.0, 0.2, 0.4)
        assert (after.total_memories_scored, after.minimum, after.median, after.maximum) == (0, None, None, None)
