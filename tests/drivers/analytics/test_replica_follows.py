"""The replica: brought up to date, read while it is written, asked by many, and what it says of itself."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from whisper_persistence import ConfigurationError, Store
from whisper_persistence import records as rec
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples
from whisper_persistence.testing.aggregating import BEGIN

from .replicas import Failing, open_store, plain, same_answers, snapshots, write

#: Beside the quick case of a test, those that take longer.
long = pytest.mark.long


def test_the_replica_is_read_and_not_the_database(path):
    with open_store(path, interval=3_600) as store, plain(path) as other:
        write(store)
        before = store.aggregate(rec.ImportanceByUser())
        other.update_statistics([rec.StatisticsChange("zoe", [samples.score("m", 0.5, "zoe")])])

        assert store.aggregate(rec.ImportanceByUser()) == before
        assert "zoe" in {row.user_id for row in other.aggregate(rec.ImportanceByUser()).rows}


def test_what_others_write_is_counted_at_the_next_question(path):
    with open_store(path) as store, plain(path) as other:
        write(other)
        assert same_answers(store, other)
        write(other, 2)
        other.update_messages([rec.ClearMark("talk 2")])
        other.update_statistics([rec.StatisticsChange("bob", forgotten=[f"m{n}" for n in range(9)])])
        other.erase_users(["alice"])

        assert same_answers(store, other)
        assert store.chain.drivers["duckdb-analytics"]._replica.pending(1) == 0


def test_a_snapshot_never_changes_and_nothing_is_written_where_nothing_happened(path):
    with open_store(path) as store:
        write(store)
        store.aggregate(rec.TopPatterns())
        (first,) = snapshots(path)
        content = first.read_bytes()
        store.aggregate(rec.ImportanceByUser())
        assert snapshots(path) == [first]
        store.update_patterns([rec.PatternChange("alice", "new")])
        with duckdb.connect(str(first), read_only=True) as reader:
            store.aggregate(rec.TopPatterns())

            assert reader.execute("SELECT count(*) FROM patterns WHERE pattern_id = 'new'").fetchall() == [(0,)]
        (second,) = snapshots(path)

    assert second > first
    assert len(content) > 0
    assert not first.exists()


def test_a_refresh_reads_and_clears_in_small_pages_and_pauses_after_each(failing, monkeypatch):
    """What keeps it from holding the writer's lock, or Python's, for long."""
    store, _ = failing()
    steps: list[tuple[str, int]] = []
    ask = Failing._ask

    def noted(layer: Failing, hook: str, **arguments: Any) -> Any:
        batches = [batch for batch in arguments.values() if isinstance(batch, (list, tuple))]
        steps.extend((hook, sum(getattr(one, "limit", 1) for one in batch)) for batch in batches)
        return ask(layer, hook, **arguments)

    store.aggregate(rec.TopPatterns())
    for user, count in {"alice": 700, **{f"user {n}": 90 for n in range(8)}}.items():
        scores = [samples.score(f"m{n}", 0.5, user) for n in range(count)]
        store.update_statistics([rec.StatisticsChange(user, scores)])
    monkeypatch.setattr(Failing, "_ask", noted)
    replica = store.chain.drivers["duckdb-analytics"]._replica
    replica.pause = lambda: steps.append(("pause", 0))

    assert len(store.aggregate(rec.ImportanceByUser()).rows) == 9
    asked = [step for step in steps if step[0] != "pause"]
    assert {hook for hook, _ in asked} == {"load_scores", "clear_pending"}
    assert len(asked) > 6
    assert max(size for _, size in asked) <= 500
    assert all(after[0] == "pause" for before, after in itertools.pairwise(steps) if before[0] != "pause")


def test_a_refresh_reads_what_is_new_and_hardly_anything_beside_it(failing, monkeypatch):
    """However much there is of a user already, one row more than is pending shows that nothing lies between."""
    store, _ = failing()
    asked: list[int] = []
    ask = Failing._ask

    def noted(layer: Failing, hook: str, **arguments: Any) -> Any:
        asked.extend(query.limit for query in arguments.get("queries", ()))
        return ask(layer, hook, **arguments)

    def learn(numbers: range) -> None:
        for user in ("alice", "bob"):
            outcomes = [samples.outcome(outcome_id=f"{n}") for n in numbers]
            store.update_strategies([rec.StrategyChange(user, outcomes)])
            store.update_statistics([rec.StatisticsChange(user, [samples.score(f"{n}", 0.5, user) for n in numbers])])

    learn(range(60))
    store.aggregate(rec.ImportanceByUser())
    learn(range(55, 65))
    monkeypatch.setattr(Failing, "_ask", noted)

    assert [row.count for row in store.aggregate(rec.ImportanceByUser()).rows] == [65, 65]
    assert sum(asked) <= 2 * (10 + 1) + 2 * (5 + 1)


def test_a_refresh_does_not_run_after_a_talk_that_goes_on(path, failing, monkeypatch):
    store, _ = failing()
    ask = Failing._ask
    asked: list[Any] = []

    def talked_on(layer: Failing, hook: str, **arguments: Any) -> Any:
        if hook == "load_messages" and len(asked) < 40:
            asked.append(arguments)
            other.save_messages([samples.message("t", message_id=f"late {len(asked)}", timestamp=BEGIN)])
        return ask(layer, hook, **arguments)

    with plain(path) as other:
        store.aggregate(rec.ActivityByDay())
        other.save_messages([samples.message("t", message_id="first", timestamp=BEGIN)])
        monkeypatch.setattr(Failing, "_ask", talked_on)
        store.aggregate(rec.ActivityByDay())
        monkeypatch.undo()

        assert len(asked) <= 2
        assert same_answers(store, other)


@long
def test_several_processes_read_while_one_refreshes(path):
    context = multiprocessing.get_context("spawn")
    with open_store(path) as store:
        write(store)
        expected = len(store.aggregate(rec.ImportanceByUser()).rows)
        queue = context.Queue()
        readers = [context.Process(target=read_often, args=(path, queue)) for _ in range(2)]
        for reader in readers:
            reader.start()
        results: list[int] = []
        number = 0
        while len(results) < 2:
            number += 1
            store.update_statistics([rec.StatisticsChange("alice", [samples.score(f"new {number}", 0.5)])])
            store.aggregate(rec.ImportanceByUser())
            while not queue.empty():
                results.append(queue.get())
        for reader in readers:
            reader.join()

        assert results == [expected, expected]
        assert [reader.exitcode for reader in readers] == [0, 0]


def read_often(path: Path, queue: Any) -> None:
    with open_store(path, interval=3_600) as store:
        found = {len(store.aggregate(rec.ImportanceByUser()).rows) for _ in range(20)}
    queue.put(found.pop() if len(found) == 1 else -1)


def test_threads_ask_and_write_at_once(path):
    with open_store(path) as store:
        write(store)
        seen: list[list[int]] = [[] for _ in range(3)]

        def ask(counts: list[int]) -> None:
            counts += [store.aggregate(rec.CoreMemories(threshold=0.0, limit=1)).total for _ in range(5)]

        threads = [threading.Thread(target=ask, args=(counts,)) for counts in seen]
        for thread in threads:
            thread.start()
        for n in range(20):
            store.update_statistics([rec.StatisticsChange("alice", [samples.score(f"new {n}", 0.5)])])
        for thread in threads:
            thread.join()
        total = store.aggregate(rec.CoreMemories(threshold=0.0, limit=1)).total

    assert all(counts == sorted(counts) and len(counts) == 5 for counts in seen)
    assert seen[0][-1] <= total


def test_the_background_refresh_keeps_up_and_ends_with_the_store(path):
    with open_store(path, interval=0.05) as store:
        assert store.aggregate(rec.ImportanceByUser()).rows == ()
        write(store)
        deadline = time.monotonic() + 60
        while not store.aggregate(rec.ImportanceByUser()).rows and time.monotonic() < deadline:
            time.sleep(0.02)

        assert len(store.aggregate(rec.ImportanceByUser()).rows) > 5
        assert [thread.name for thread in threading.enumerate()].count("duckdb-analytics") == 1
    assert "duckdb-analytics" not in [thread.name for thread in threading.enumerate()]


def test_health_says_of_when_the_answers_are_and_what_is_pending(path):
    with open_store(path, interval=3_600) as store:
        assert store.check_health()[0].details["as_of"] is None
        write(store)
        store.aggregate(rec.TopPatterns())
        before = store.check_health()[0]
        store.update_patterns([rec.PatternChange("alice", "new")])
        after = store.check_health()[0]

    assert (before.tier, before.state) == ("duckdb-analytics", rec.State.UP)
    assert before.details["messages"] > 100
    assert before.details["pending"] == 0
    assert after.details["pending"] == 1
    assert after.details["as_of"] == before.details["as_of"]


def test_a_background_refresh_that_fails_is_told(path, failing, caplog):
    store, layer = failing()
    driver: Any = store.chain.drivers["duckdb-analytics"]
    layer.left = 1
    driver._pacer._attempt(driver._replica.refresh)
    layer.left = -1

    assert store.check_health()[0].state is rec.State.DEGRADED
    assert "stays behind" in caplog.text
    driver._pacer._attempt(driver._replica.refresh)
    assert store.check_health()[0].state is rec.State.UP


def test_it_stands_above_memory_too(path):
    with open_store(path, below="memory-fallback") as store:
        write(store)

        assert len(store.aggregate(rec.ImportanceByUser()).rows) > 5


def test_it_needs_a_database_that_can_be_followed(path):
    with pytest.raises(ConfigurationError, match="list it above sqlite or postgres"):
        Store(Chain.build([DriverSpec("duckdb-analytics", {"path": path})]))


@pytest.mark.parametrize(
    "options", [{"memory": "lots"}, {"threads": 0}, {"interval": -1}, {"follower": ""}, {"parquet": "/proc/x"}]
)
def test_options_are_checked(path, options):
    with pytest.raises(ConfigurationError, match="duckdb-analytics"):
        open_store(path, **options)
