"""The files of the replica and of its export: whose they are, what they hold, and that they forget."""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from pathlib import Path

import duckdb
import pytest

from whisper_persistence import records as rec
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.aggregating import BEGIN

from .replicas import open_store, plain, snapshots, traces, write


def test_files_are_for_their_owner_alone(path):
    with open_store(path) as store:
        write(store)
        store.aggregate(rec.TopPatterns())

    assert {file.stat().st_mode & 0o077 for file in (path / "analytics").rglob("*")} == {0}


@pytest.mark.parametrize("below", ["sqlite", "memory-fallback"])
def test_each_of_two_databases_is_answered_of_itself(path, below):
    """Of the same namespace, in the same folder, as the defaults of two bots on one machine have it."""
    with open_store(path, below=below) as store, open_store(path, below=below, database="other.db") as other:
        for user, one in (("alice", store), ("bob", other)) * 2:
            samples.fill(one, SUBJECT_CAPABILITIES, user, f"talk of {user}")
            assert {row.user_id for row in one.aggregate(rec.ImportanceByUser()).rows} == {user}
        store.erase_users(["alice"])

        assert store.aggregate(rec.ImportanceByUser()).rows == ()
        assert {row.user_id for row in other.aggregate(rec.ImportanceByUser()).rows} == {"bob"}
    assert len(snapshots(path)) == (2 if below == "sqlite" else 0)


def test_a_replica_of_which_nobody_knows_the_database_is_removed(path):
    """Its folder was called after the namespace alone, and was shared by databases."""
    old = path / "analytics" / blake2b(b"elena", digest_size=12).hexdigest()
    old.mkdir(parents=True)
    (old / "replica-1.duckdb").write_bytes(b"canary")
    with open_store(path):
        assert not traces(path)


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


def exported(path: Path) -> set[str]:
    found = f"read_parquet('{path}/exported/scores/**/*.parquet')"
    return {user for (user,) in duckdb.sql(f"SELECT user_id FROM {found}").fetchall()}  # noqa: S608


def test_an_export_that_is_asked_for_later_is_made_of_the_snapshot_that_is_there(path):
    with open_store(path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES, "alice")
        store.aggregate(rec.TopPatterns())
    with open_store(path, parquet=path / "exported") as store:
        store.aggregate(rec.TopPatterns())

    assert exported(path) == {"alice"}


@pytest.mark.parametrize("erased_by", ["us", "others"])
def test_an_export_that_failed_is_made_again_and_an_erase_says_that_it_is_there(path, erased_by, caplog):
    """The folder is a share that is not mounted for a while; a question is answered meanwhile."""
    with open_store(path, parquet=path / "exported") as store, plain(path) as other:
        for user in ("alice", "canary-user"):
            samples.fill(store, SUBJECT_CAPABILITIES, user, f"talk of {user}")
        store.aggregate(rec.TopPatterns())
        (path / "exported").rename(path / "away")
        (path / "exported").touch()
        reports = (store if erased_by == "us" else other).erase_users(["canary-user"])
        users = {row.user_id for row in store.aggregate(rec.ImportanceByUser()).rows}
        health = store.check_health()[0]
        (path / "exported").unlink()
        (path / "away").rename(path / "exported")

        assert users == {"alice"}
        assert exported(path) == {"alice", "canary-user"}
        assert any(str(path / "exported") in text for text in reports[0].remaining) == (erased_by == "us")
        assert (health.state, "Parquet" in health.details["error"]) == (rec.State.DEGRADED, True)
        assert caplog.text.count("stays behind") == 1
        store.aggregate(rec.TopPatterns())
        assert exported(path) == {"alice"}
        assert not traces(path)
        assert store.check_health()[0].state is rec.State.UP
        assert not store.erase_users(["canary-user"])[0].remaining
