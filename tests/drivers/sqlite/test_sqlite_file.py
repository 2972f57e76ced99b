"""The file: where it is, whose it is, and what it may turn out to be."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from whisper_persistence_drivers.sql.tables import VERSION_TABLE

from whisper_persistence import (
    ConfigurationError,
    IncompatibleSchemaError,
    StorageDamagedError,
    StorageUnavailableError,
)
from whisper_persistence.records import State
from whisper_persistence.testing import samples

from .stores import ids, ids_of_all, opened, whole


@pytest.mark.parametrize("place", ["folder", "file/memory.db", "/proc/nowhere/memory.db"])
def test_a_path_that_cannot_be_written_says_so(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"cannot write .*: name a path that can be written") as caught:
        opened(tmp_path / place)

    assert str(tmp_path / place) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_is_only_readable_is_refused(path):
    opened(path).close()
    path.chmod(0o400)

    with pytest.raises(ConfigurationError, match="Permission denied"):
        opened(path)


def test_what_is_made_is_its_owners_alone(tmp_path):
    before = os.umask(0)
    try:
        with opened(tmp_path / "new" / "memory.db") as store:
            store.save_messages(samples.talk(1))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert modes == {"memory.db": 0o600, "memory.db-wal": 0o600, "memory.db-shm": 0o600}


def test_what_is_written_never_goes_to_a_file_that_was_removed(path, tmp_path):
    with opened(path) as store:
        store.save_messages(samples.talk(2))
        path.rename(tmp_path / "elsewhere")
        for wrong in (lambda: None, path.touch):
            wrong()
            with pytest.raises(StorageUnavailableError, match=f"{path} was removed, or replaced .*: put it back"):
                store.save_messages(samples.talk(3))
            (health,) = store.check_health()
            assert (health.state, str(path) in health.details["error"]) == (State.DOWN, True)
        assert path.stat().st_size == 0
        (tmp_path / "elsewhere").replace(path)
        store.save_messages(samples.talk(3))

        assert ids(store) == ["m0", "m1", "m2"]
        assert store.check_health()[0].state is State.UP


def test_a_disk_that_is_nearly_full_is_told(path, monkeypatch):
    with opened(path) as store:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9_999_999))
        (health,) = store.check_health()

    assert (health.state, health.details["free_bytes"]) == (State.DEGRADED, 9_999_999)
    assert "make room" in health.details["error"]


def test_an_empty_file_is_a_new_store(path):
    path.touch()
    with opened(path) as store:
        store.save_messages(samples.talk(2))

        assert ids(store) == ["m0", "m1"]


def full(path: Path) -> bytes:
    """Return a file's bytes after much was written to it."""
    with opened(path) as store:
        for n in range(5):
            store.save_messages([samples.message(message_id=f"{n} {m}", content="word " * 200) for m in range(200)])
    return path.read_bytes()


def garbage(whole: bytes) -> bytes:
    return b"this is no database. " * (len(whole) // 21)


def half(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def third(whole: bytes) -> bytes:
    return whole[: 4096 * 3 + 100]


def bad_header(whole: bytes) -> bytes:
    return b"\xff" * 100 + whole[100:]


def scribbled(whole: bytes) -> bytes:
    return whole[:4096] + b"\xa5" * (len(whole) - 4096)


@pytest.mark.parametrize("damage", [garbage, half, third, bad_header, scribbled])
def test_a_damaged_file_says_so_and_what_to_do(path, damage):
    spoilt = damage(full(path))
    path.write_bytes(spoilt)

    with (
        pytest.raises(StorageDamagedError, match=r"is damaged, or is not a SQLite file .*: restore a backup") as caught,
        opened(path) as store,
    ):
        ids_of_all(store)
    assert str(path) in str(caught.value)
    assert "word" not in whole(caught.value)
    assert path.read_bytes() == spoilt


def test_a_newer_schema_is_left_alone(path):
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9876'")  # noqa: S608
    before = path.read_bytes()

    with pytest.raises(IncompatibleSchemaError, match=r"version 9876 .*up to .*: install a newer release"):
        opened(path)
    assert path.read_bytes() == before


FOREIGN = ["CREATE TABLE conversation_history (id INTEGER, text TEXT)", "CREATE VIEW Outbox AS SELECT 1 AS one"]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_tables_of_others_with_our_names_are_left_alone(path, foreign):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(foreign)
        if "TABLE" in foreign:
            connection.execute("INSERT INTO conversation_history VALUES (1, 'theirs')")

    for n in range(2):
        with opened(path) as store:
            store.save_messages(samples.talk(n + 1))
            assert len(ids(store)) == n + 1

    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT sql FROM sqlite_master WHERE name IN ('conversation_history', 'Outbox')")
        assert kept.fetchall() == [(foreign,)]
        if "TABLE" in foreign:
            assert connection.execute("SELECT * FROM conversation_history").fetchall() == [(1, "theirs")]
        ours = connection.execute("SELECT count(*) FROM whisper_persistence_conversation_history")
        assert ours.fetchone() == (2,)


def test_a_disk_that_does_not_even_tell_which_file_is_there_is_left_to_sqlite(path, monkeypatch):
    def fail(*_: object):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with opened(path) as store:
        with monkeypatch.context() as failing:
            failing.setattr(Path, "stat", fail)
            store.save_messages(samples.talk(2))
            failing.setattr(shutil, "disk_usage", fail)
            (health,) = store.check_health()

        assert (health.state, "OSError" in health.details["error"]) == (State.DOWN, True)
        assert ids(store) == ["m0", "m1"]
