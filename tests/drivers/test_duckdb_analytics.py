"""The replica: rebuilt, killed, corrupted, read while it is written, and made to forget."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import duckdb
import pytest

from whisper_persistence import ConfigurationError, StorageUnavailableError, Store
from whisper_persistence import records as rec
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.hookspecs import Below, hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.aggregating import BEGIN, Sample, near

#: One question for each table of the replica.
QUESTIONS = (rec.ImportanceByUser(), rec.TopPatterns(), rec.EffectivenessTrend(), rec.ActivityByDay())
#: Beside the quick case of a test, those that take longer.
long = pytest.mark.long


def open_store(path: Path, namespace: str = "elena", below: str = "sqlite", **options: Any) -> Store:
    kept = DriverSpec(below, {"path": path / "memory.db"} if below == "sqlite" else {})
    options = {"path": path / "analytics", "threads": 1, **options}
    return Store(Chain.build([DriverSpec("duckdb-analytics", options), kept]), namespace)


def plain(path: Path, namespace: str = "elena") -> Store:
    """The same database without the replica."""
    return Store(Chain.build([DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)


def write(store: Store, seed: int = 1) -> None:
    for hook, batch in Sample(SUBJECT_CAPABILITIES, seed).batches():
        getattr(store, hook)(batch)


def same_answers(store: Store, reference: Store) -> bool:
    return all(near(store.aggregate(one), reference.aggregate(one)) for one in QUESTIONS)


def snapshots(path: Path) -> list[Path]:
    return sorted((path / "analytics").glob("*/replica-*.duckdb"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path


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


def test_files_are_for_their_owner_alone(path):
    with open_store(path) as store:
        write(store)
        store.aggregate(rec.TopPatterns())

    assert {file.stat().st_mode & 0o077 for file in (path / "analytics").rglob("*")} == {0}


@pytest.mark.parametrize(
    "damage",
    [
        "missing",
        "flipped",
        *(pytest.param(name, marks=long) for name in ("empty", "garbage", "truncated", "format", "folder")),
    ],
)
def test_a_damaged_replica_is_rebuilt_with_one_message(path, damage, caplog):
    with open_store(path) as store, plain(path) as other:
        write(store)
        for n in range(40):
            store.update_statistics(
                [rec.StatisticsChange(f"u{n}", [samples.score(f"m{m}", 0.1, f"u{n}") for m in range(90)])]
            )
        store.aggregate(rec.TopPatterns())
        (snapshot,) = snapshots(path)
        break_file(snapshot, damage)
        with caplog.at_level(logging.INFO):
            assert same_answers(store, other)
        ours = [record for record in caplog.records if record.name.startswith("whisper_persistence_drivers.replica")]

        assert len(ours) == 1


def break_file(snapshot: Path, damage: str) -> None:
    whole = snapshot.read_bytes()
    if damage == "missing":
        snapshot.unlink()
    elif damage == "folder":
        for file in snapshot.parent.iterdir():
            file.unlink()
    elif damage == "format":
        snapshot.unlink()
        with duckdb.connect(str(snapshot)) as other:
            other.execute("CREATE TABLE about AS SELECT '0' AS format, 'elena' AS namespace")
    else:
        middle = bytes(byte ^ 0xFF for byte in whole[12_288:-1])
        broken = {"empty": b"", "garbage": b"x" * 9_000, "truncated": whole[: len(whole) // 2]}
        snapshot.write_bytes(broken.get(damage, whole[:12_288] + middle + whole[-1:]))


@attrs.define(eq=False)
class Failing:
    """A layer that lets so many calls through to the database and fails the next, once."""

    left: int = -1
    after: bool = False
    below: Below = attrs.field(init=False)
    contract_version = 1

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self.below = below

    def _ask(self, hook: str, **arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise StorageUnavailableError("asked once too often")
        answer = getattr(self.below, hook)(**arguments)
        if self.left == 0:
            raise StorageUnavailableError("the answer was lost")
        return answer

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Any:
        return self._ask("scan", kind=kind, cursor=cursor, limit=min(limit, 7))

    @hookimpl
    def load_scores(self, queries: Any) -> Any:
        return self._ask("load_scores", queries=queries)

    @hookimpl
    def load_outcomes(self, queries: Any) -> Any:
        return self._ask("load_outcomes", queries=queries)

    @hookimpl
    def load_messages(self, windows: Any) -> Any:
        return self._ask("load_messages", windows=windows)

    @hookimpl
    def load_patterns(self, user_ids: Any) -> Any:
        return self._ask("load_patterns", user_ids=user_ids)

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> Any:
        return self._ask("load_pending", follower=follower, limit=limit)

    @hookimpl
    def clear_pending(self, pending: Any) -> Any:
        return self._ask("clear_pending", pending=pending)

    @hookimpl
    def register_follower(self, follower: Any) -> Any:
        return self._ask("register_follower", follower=follower)


@pytest.fixture
def failing(path: Path) -> Iterator[Callable[[], tuple[Store, Failing]]]:
    opened: list[Store] = []

    def make() -> tuple[Store, Failing]:
        layer = Failing()
        replica = build_driver(DriverSpec("duckdb-analytics", {"path": path / "analytics", "threads": 1}))
        kept = build_driver(DriverSpec("sqlite", {"path": path / "memory.db"}))
        opened.append(Store(Chain.of({"duckdb-analytics": replica, "failing": layer, "sqlite": kept}), "elena"))
        return opened[-1], layer

    yield make
    for store in opened:
        store.close()


@pytest.mark.parametrize("after", [False, pytest.param(True, marks=long)])
def test_a_refresh_that_fails_at_any_call_is_made_good_by_the_next(path, failing, after):
    """One replica, failed at the first call, then at the second ..., while it is loaded and while it follows."""
    store, layer = failing()
    layer.after = after
    with plain(path) as other:
        write(other)
        failures = 0
        for call in range(1, 22):
            layer.left = call
            try:
                store.aggregate(rec.TopPatterns())
            except StorageUnavailableError:
                failures += 1
            other.save_messages([samples.message(f"talk {call}", message_id=f"late {call}", timestamp=BEGIN)])
            other.update_statistics([rec.StatisticsChange("bob", [samples.score(f"late {call}", 0.9, "bob")])])
        layer.left = -1

        assert failures > 10
        assert same_answers(store, other)


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
    assert len(asked) > 8
    assert max(size for _, size in asked) <= 500
    assert all(after[0] == "pause" for before, after in itertools.pairwise(steps) if before[0] != "pause")


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


def refresh_forever(path: Path) -> None:
    with open_store(path) as store:
        while True:
            store.aggregate(rec.TopPatterns())


@long
def test_a_refresh_that_is_killed_is_made_good_by_the_next(path):
    context = multiprocessing.get_context("spawn")
    with plain(path) as other:
        write(other)
        for n in range(3):
            child = context.Process(target=refresh_forever, args=(path,))
            child.start()
            deadline = time.monotonic() + 60
            while not snapshots(path) and time.monotonic() < deadline:
                time.sleep(0.01)
            for m in range(40):
                change = rec.StatisticsChange(f"u{m}", [samples.score(f"m{n}", 0.5, f"u{m}")])
                other.update_statistics([change])
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
        with open_store(path) as store:
            assert same_answers(store, other)
            assert len(store.aggregate(rec.ImportanceByUser()).rows) >= 40


def test_a_first_load_goes_on_where_it_stopped(path, failing):
    store, layer = failing()
    with plain(path) as other:
        for n in range(60):
            other.update_statistics([rec.StatisticsChange(f"u{n:02}", [samples.score("m", 0.5, f"u{n:02}")])])
        layer.left = 7  # registered, nothing pending, and some pages of seven records
        with pytest.raises(StorageUnavailableError):
            store.aggregate(rec.ImportanceByUser())
        asked: list[Any] = []
        scan = layer.below.scan
        layer.below.scan = lambda **arguments: asked.append(arguments) or scan(**arguments)  # type: ignore[method-assign]
        other.update_statistics([rec.StatisticsChange("u00", forgotten=["m"])])

        assert same_answers(store, other)
        assert asked[0]["kind"] == "scores"
        assert asked[0]["cursor"] is not None


def test_an_erase_reaches_every_file_before_it_returns(path):
    with (
        open_store(path, parquet=path / "exported") as store,
        open_store(path, "marcus", parquet=path / "exported") as other,
    ):
        write(other)
        write(store)
        samples.fill(store, SUBJECT_CAPABILITIES, "canary-user", "canary-talk")
        for one in (store, other):
            one.aggregate(rec.TopPatterns())
        assert traces(path)
        tier, *_ = store.erase_users(["canary-user"])

        assert tier.tier == "duckdb-analytics"
        assert tier.counts == {"scores": 1, "outcomes": 1, "patterns": 2, "messages": 3}
        assert not traces(path)
        assert len(other.aggregate(rec.ImportanceByUser()).rows) > 5


def traces(path: Path) -> list[Path]:
    """Return the files of replica and export that hold the canary; what is compressed is read as DuckDB reads it."""
    files = [file for folder in ("analytics", "exported") for file in (path / folder).rglob("*") if file.is_file()]
    found = [file for file in files if b"canary" in file.read_bytes()]
    for file in files:
        if file.suffix == ".parquet":
            found += [file] if "canary" in str(duckdb.sql(f"FROM read_parquet('{file}')").fetchall()) else []
    return found


def test_an_erase_by_others_reaches_the_next_answer_whatever_the_interval(path):
    with open_store(path, interval=3_600) as store, plain(path) as other:
        samples.fill(other, SUBJECT_CAPABILITIES, "canary-user", "canary-talk")
        assert {row.user_id for row in store.aggregate(rec.ImportanceByUser()).rows} == {"canary-user"}
        (before,) = snapshots(path)
        write(other)
        store.aggregate(rec.ImportanceByUser())
        assert snapshots(path) == [before]
        other.erase_users(["canary-user"])
        users = {row.user_id for row in store.aggregate(rec.ImportanceByUser()).rows}

        assert users
        assert "canary-user" not in users
        assert not traces(path)


def test_an_erase_that_cannot_rebuild_removes_the_replica(path, failing, caplog):
    store, layer = failing()
    samples.fill(store, SUBJECT_CAPABILITIES, "canary-user")
    store.aggregate(rec.TopPatterns())
    layer.left = 1
    reports = store.erase_users(["canary-user"])

    assert [report.tier for report in reports] == ["duckdb-analytics", "sqlite"]
    assert not snapshots(path)
    assert not traces(path)
    assert "could not forget" in caplog.text
    layer.left = -1
    assert store.aggregate(rec.ImportanceByUser()).rows == ()


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


def test_a_lost_change_is_noticed_by_the_numbers_of_records(path, caplog):
    with open_store(path) as store, plain(path) as other:
        write(store)
        store.aggregate(rec.TopPatterns())
        other.update_statistics([rec.StatisticsChange("zoe", [samples.score("m", 0.5, "zoe")])])
        other.clear_pending(other.load_pending("duckdb-analytics", 100))
        store.update_patterns([rec.PatternChange("alice", "new")])
        store.chain.drivers["duckdb-analytics"]._replica._counted_at = None

        assert same_answers(store, other)
    assert caplog.text.count("cannot be trusted") == 1


def test_a_replica_that_the_database_does_not_know_is_loaded_anew(path):
    with open_store(path) as store:
        write(store)
        store.aggregate(rec.TopPatterns())
    for file in path.glob("memory.db*"):
        file.unlink()
    with open_store(path) as store:
        assert store.aggregate(rec.ImportanceByUser()).rows == ()


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


def test_sql_reaches_no_file_and_no_setting(path):
    from whisper_persistence_drivers.replica.engine import reading

    with open_store(path) as store:
        write(store)
        store.aggregate(rec.TopPatterns())
        limits = store.chain.drivers["duckdb-analytics"]._replica.limits
    with reading(snapshots(path)[0], limits) as connection:
        for statement in (
            "FROM read_text('/etc/passwd')",
            f"COPY scores TO '{path}/stolen.csv'",
            f"ATTACH '{path}/memory.db' AS stolen",
            "SET memory_limit = '100GB'",
            "INSTALL sqlite",
            "DELETE FROM scores",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


def test_parquet_is_divided_by_namespace_and_month(path):
    exported = path / "exported"
    for namespace in ("elena", "a/b \u00e9"):
        with open_store(path, namespace, parquet=exported) as store:
            for month in range(3):
                moment = BEGIN + timedelta(days=31 * month)
                store.save_messages([samples.message("t", message_id=f"{month}", timestamp=moment)])
            store.aggregate(rec.ActivityByDay())
            store.erase_users(["nobody"])
    found = f"read_parquet('{exported}/messages/**/*.parquet', hive_partitioning = true)"
    rows = duckdb.sql(f"SELECT namespace, month, count(*) FROM {found} GROUP BY ALL ORDER BY ALL").fetchall()  # noqa: S608
    months = ("2025-08", "2025-10", "2025-11")

    assert [(name, str(month)[:7], count) for name, month, count in rows] == [
        (name, month, 1) for name in ("a/b \u00e9", "elena") for month in months
    ]
    assert not list(exported.glob(".unfinished*"))
