"""The replica: killed, interrupted, damaged and lost, and right at the next question."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest

from whisper_persistence import StorageUnavailableError
from whisper_persistence import records as rec
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.aggregating import BEGIN

from .replicas import open_store, plain, same_answers, snapshots, traces, write

#: Beside the quick case of a test, those that take longer.
long = pytest.mark.long


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


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond a few pages."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("short_of", "advice"), [("disk", "disk is full"), ("memory", "option memory")])
def test_a_refresh_for_which_there_is_no_room_leaves_the_replica_as_it_is(path, short_of, advice, caplog):
    with open_store(path, interval=3_600) as store, plain(path) as other:
        write(store)
        before = store.aggregate(rec.ImportanceByUser())
        held = snapshots(path)
        other.update_statistics([rec.StatisticsChange("zoe", [samples.score("m", 0.5, "zoe")])])
        options = {"memory": "1MB"} if short_of == "memory" else {}
        with open_store(path, **options) as fresh, full_disk() if short_of == "disk" else nullcontext():
            with pytest.raises(StorageUnavailableError, match=advice):
                fresh.aggregate(rec.ImportanceByUser())
            driver: Any = fresh.chain.drivers["duckdb-analytics"]
            driver._pacer._attempt(driver._refresh)
            health = fresh.check_health()[0]

            assert store.aggregate(rec.ImportanceByUser()) == before
        assert snapshots(path) == held
        assert not list(held[0].parent.glob("building*"))
        assert "cannot be trusted" not in caplog.text
        assert health.state is not rec.State.UP
        assert advice in health.details["error"]
        with open_store(path) as fresh:
            assert same_answers(fresh, other)


def test_a_replica_with_somebody_who_was_erased_does_not_outlive_a_full_disk(path):
    with open_store(path) as store, plain(path) as other:
        samples.fill(store, SUBJECT_CAPABILITIES, "canary-user")
        store.aggregate(rec.TopPatterns())
        other.erase_users(["canary-user"])
        with full_disk(), pytest.raises(StorageUnavailableError):
            store.aggregate(rec.TopPatterns())

        assert not traces(path)
        assert same_answers(store, other)


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
    with plain(path) as other, sqlite3.connect(path / "memory.db") as database:
        other.erase_users(["alice"])
        for table in ("outbox", "followers"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
    with open_store(path) as store, plain(path) as other:
        assert same_answers(store, other)
