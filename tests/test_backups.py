"""Backups of a live SQLite store, what is restored from them, and who stays forgotten."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from whisper_persistence_drivers.sql.schema import SCHEMA_VERSION
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    ConfigurationError,
    IncompatibleSchemaError,
    Message,
    NotSupportedError,
    StorageDamagedError,
    Store,
)
from whisper_persistence.operations import back_up, erase_users, inspect_schemas, restore
from whisper_persistence.records import Follower, Thing
from whisper_persistence.settings import Settings, load_settings
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.markers import MARK, USER, find_markers, plant


def nothing(*_: Any) -> None:
    """Be told of the work and say nothing."""


def settings(path: Path, namespace: str = "bot") -> Settings:
    return load_settings(url=f"sqlite:///{path}", namespace=namespace)


def opened(path: Path, namespace: str = "bot") -> Store:
    return Store.from_settings(settings(path, namespace))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory of two bots, closed."""
    path = tmp_path_factory.mktemp("filled") / "memory.db"
    for namespace in ("bot", "other bot"):
        with opened(path, namespace) as store:
            for user in ("alice", "bob"):
                samples.fill(store, SUBJECT_CAPABILITIES, user, f"talk of {user}")
    return path


@pytest.fixture
def path(filled: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copy(filled, tmp_path / "memory.db"))


@pytest.fixture
def backup(path: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    with opened(path) as store:
        back_up(store, tmp_path / "backup.db")
    return tmp_path / "backup.db"


def read(path: Path, user: str = "alice", namespace: str = "bot") -> Any:
    with opened(path, namespace) as store:
        return samples.read(store, SUBJECT_CAPABILITIES, user, f"talk of {user}")


def test_a_backup_is_one_private_file_that_says_what_it_holds(path, tmp_path):
    with opened(path) as store:
        made = back_up(store, tmp_path / "backup.db")

    assert (made.report.tier, made.others, made.report.counts["conversation_history"]) == ("sqlite", (), 12)
    assert made.report.size == (tmp_path / "backup.db").stat().st_size
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.glob("backup*")) == ["backup.db"]


def test_a_backup_overwrites_nothing_and_says_where_it_cannot_be_written(path, backup):
    before = backup.read_bytes()
    with opened(path) as store:
        with pytest.raises(ConfigurationError, match=r"there is a file .*backup\.db already: name another"):
            back_up(store, backup)
        with pytest.raises(ConfigurationError, match=r"cannot be written \(No such file or directory\)"):
            back_up(store, backup.parent / "absent" / "backup.db")
    assert backup.read_bytes() == before


def test_a_backup_of_a_store_that_is_being_written_to_is_one_state_of_it(tmp_path):
    stop = threading.Event()
    with opened(tmp_path / "memory.db") as store:

        def write() -> None:
            n = 0
            while not stop.is_set():
                store.save_messages(
                    [Message(f"talk {n % 2}", "alice", "alice", "x" * 300, message_id=str(n + m)) for m in range(2)]
                )
                n += 2

        writer = threading.Thread(target=write)
        writer.start()
        try:
            made = [back_up(store, tmp_path / f"backup {n}.db").report for n in range(5)]
        finally:
            stop.set()
            writer.join()
    rows = [report.counts["conversation_history"] for report in made]

    assert rows == sorted(rows)
    assert rows[-1] > rows[0]
    assert not [count for count in rows if count % 2]
    for n, count in enumerate(rows):
        report = restore(settings(tmp_path / f"restored {n}.db"), tmp_path / f"backup {n}.db", overwrite=False)
        assert report.counts["conversation_history"] == count


def test_what_is_restored_is_what_was_backed_up_for_every_bot(path, backup, tmp_path):
    whole = [read(path, user, bot) for user in ("alice", "bob") for bot in ("bot", "other bot")]
    report = restore(settings(tmp_path / "new" / "memory.db"), backup, overwrite=False)
    fresh = tmp_path / "new" / "memory.db"

    assert report.made_at is not None
    assert (report.erased_again, report.kept) == (0, None)
    assert [read(fresh, user, bot) for user in ("alice", "bob") for bot in ("bot", "other bot")] == whole
    assert sorted(file.name for file in fresh.parent.iterdir()) == ["memory.db"]


def test_a_memory_that_is_there_is_replaced_only_when_that_is_said(path, backup):
    with opened(path) as store:
        store.save_messages([Message("new talk", "alice", "alice", "later")])
        with pytest.raises(ConfigurationError, match=r"there is a memory at .* already: overwrite it \(--overwrite\)"):
            restore(settings(path), backup, overwrite=False)
        assert store.load_strategies(["alice"])
        restore(settings(path), backup, overwrite=True)

        assert store.scan("messages", None, 99).records == tuple(
            m for m in store.scan("messages", None, 99).records if m.conversation_id != "new talk"
        )
    assert read(path)


def test_who_was_erased_since_the_backup_stays_forgotten_also_in_the_bytes(tmp_path):
    path, backup = tmp_path / "memory.db", tmp_path / "elsewhere" / "backup.db"
    backup.parent.mkdir()
    with opened(path) as store:
        plant(store, turns=30)
        samples.fill(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        back_up(store, backup)
        erase_users(store, [USER], nothing)
    assert find_markers([tmp_path / "elsewhere"])
    before = read(path, "bob")
    backup.rename(tmp_path.parent / "backup.db")
    try:
        for lost in ("", "file"):
            if lost:
                path.unlink()
            report = restore(settings(path), tmp_path.parent / "backup.db", overwrite=True)

            assert report.erased_again == 1
            assert find_markers([tmp_path]) == {}
            assert read(path, "bob") == before
    finally:
        (tmp_path.parent / "backup.db").unlink()


def test_who_came_back_after_an_erase_and_is_in_the_backup_stays(path, tmp_path):
    with opened(path) as store:
        erase_users(store, ["alice"], nothing)
        samples.fill(store, SUBJECT_CAPABILITIES, "alice", "talk of alice")
        back_up(store, tmp_path / "backup.db")
    report = restore(settings(path), tmp_path / "backup.db", overwrite=True)

    assert report.erased_again == 0
    assert read(path)


def test_an_erase_that_was_begun_and_interrupted_is_finished_in_what_is_restored(path, backup, monkeypatch):
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with opened(path) as store, monkeypatch.context() as interrupted:
        interrupted.setattr(SqliteDriver, "_erase", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.erase_users(["alice"])
    restore(settings(path), backup, overwrite=True)

    assert read(path) == {}
    assert read(path, "bob")


def test_no_revision_and_no_sequence_is_given_out_twice_and_followers_begin_anew(path, backup):
    things = [Thing("user", "alice"), Thing("conversation", "talk of alice"), Thing("user", "late")]
    with opened(path) as store:
        store.register_follower(Follower("index", ("messages",)))
        for n in range(50):
            store.save_messages([Message("talk of alice", "alice", "alice", str(n))])
        erase_users(store, ["late"], nothing)
        (last,) = store.save_messages([Message("talk of alice", "alice", "alice", "last")])
        before = store.load_revisions(things)
    restore(settings(path), backup, overwrite=True)
    with opened(path) as store:
        after = store.load_revisions(things)
        (next_one,) = store.save_messages([Message("talk of alice", "alice", "alice", "again")])

        assert all(after[thing].revision > before[thing].revision for thing in things)
        assert all(after[thing].epoch >= before[thing].epoch for thing in things)
        assert next_one.sequence > last.sequence
        assert store.register_follower(Follower("index", ("messages",)))


def damage(file: Path, how: str) -> None:
    if how == "empty":
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif how == "other":
        file.write_bytes(b"something else" * 1000)
    elif how == "flipped":  # integrity_check finds no fault with that
        data = file.read_bytes()
        file.write_bytes(data.replace(b"talk of bob", b"talk of bod"))
    else:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("DELETE FROM conversation_history WHERE conversation_id = 'talk of bob'")
            connection.commit()


@pytest.mark.parametrize("how", ["empty", "cut", "other", "flipped", "rows"])
def test_a_backup_that_is_damaged_is_never_restored(how, path, backup):
    before = read(path)
    damage(backup, how)

    with pytest.raises(StorageDamagedError, match=r"backup"):
        restore(settings(path), backup, overwrite=True)
    assert read(path) == before
    assert not list(path.parent.glob("*.restoring*"))


def test_a_damaged_memory_is_set_aside_and_replaced(path, backup):
    before = read(path)
    damage(path, "other")
    report = restore(settings(path), backup, overwrite=True)

    assert Path(str(report.kept)).read_bytes().startswith(b"something else")
    assert read(path) == before


def test_a_copy_made_by_other_means_is_restored_and_has_no_date(path, tmp_path):
    before = read(path)
    shutil.copy(path, tmp_path / "copy.db")
    report = restore(settings(tmp_path / "new.db"), tmp_path / "copy.db", overwrite=False)

    assert report.made_at is None
    assert read(tmp_path / "new.db") == before


def test_a_backup_of_a_newer_release_is_refused(path, backup):
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("UPDATE whisper_persistence_version SET version_num = '9999'")
        connection.execute("DROP TABLE whisper_persistence_backup")
        connection.commit()

    with pytest.raises(IncompatibleSchemaError, match="install a newer release"):
        restore(settings(path), backup, overwrite=True)
    assert read(path)


def test_a_chain_without_a_file_has_no_backup(tmp_path):
    memory = load_settings(url="memory://")
    with Store.from_settings(memory) as store, pytest.raises(NotSupportedError, match="backed up by its own means"):
        back_up(store, tmp_path / "backup.db")
    with pytest.raises(NotSupportedError):
        restore(memory, tmp_path / "backup.db", overwrite=False)
    assert inspect_schemas(memory) == ()


def test_a_schema_is_told_before_anything_is_opened(path, tmp_path):
    (absent,) = inspect_schemas(settings(tmp_path / "absent.db"))
    (present,) = inspect_schemas(settings(path))

    assert (absent.version, absent.newest, len(absent.steps)) == (None, SCHEMA_VERSION, int(SCHEMA_VERSION))
    assert (present.version, present.steps) == (SCHEMA_VERSION, ())
    assert not (tmp_path / "absent.db").exists()


def test_what_a_restore_left_when_it_was_killed_goes_after_a_day(path):
    left = path.with_name(f"{path.name}.restoring")
    left.write_bytes(MARK.encode())
    opened(path).close()
    assert left.exists()
    os.utime(left, (time.time() - 90_000,) * 2)
    opened(path).close()
    assert not left.exists()
