"""One line for every write, whatever becomes of it, and never a word of it."""

from __future__ import annotations

import json
import resource
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from whisper_persistence_audit import AuditObserver

from whisper_persistence import ConfigurationError, NotSupportedError, StorageUnavailableError, Store, ValidationError
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import SPECS, hook_names
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    ClearMark,
    MemoryScore,
    Message,
    Outcome,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Retention,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
    Window,
)

WORDS = "the very secret words"
MESSAGE = Message("talk", "alice", "alice", WORDS, extra={"note": WORDS})
WRITES = {
    "save_strategies": [Strategy("alice", "s", user_preferences={"note": WORDS})],
    "update_strategies": [StrategyChange("alice", [Outcome("1", "gentle", 0.9, user_response=WORDS)])],
    "save_statistics": [Statistics("alice")],
    "update_statistics": [StatisticsChange("alice", [MemoryScore("alice", "m", 0.5)])],
    "save_patterns": [Pattern("alice", "p")],
    "update_patterns": [PatternChange("alice", "p")],
    "save_preferences": [Preferences("alice", {"note": WORDS})],
    "update_preferences": [PreferencesChange("alice", {"note": WORDS})],
    "save_messages": [MESSAGE],
    "update_messages": [ClearMark("talk")],
    "erase_users": ["alice"],
}


#: A driver whose disk is full, and that expires nothing.
FULL = """
from whisper_persistence import StorageUnavailableError
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import TierReport


class Full:
    contract_version = 1

    @hookimpl
    def save_messages(self, messages):
        raise StorageUnavailableError("the disk is full")

    @hookimpl
    def expire(self, policies, dry_run):
        return (TierReport("full", {"messages": 0}),)
"""


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a driver that is full, in a distribution of its own."""
    site = tmp_path / "site"
    (site / "full-1.0.dist-info").mkdir(parents=True)
    (site / "full_disk.py").write_text(FULL, encoding="utf-8")
    (site / "full-1.0.dist-info" / "METADATA").write_text("Name: full\nVersion: 1.0\n", encoding="utf-8")
    entry = "[whisper_persistence.drivers]\nfull = full_disk:Full\n"
    (site / "full-1.0.dist-info" / "entry_points.txt").write_text(entry, encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    return "full"


def open_store(path: Path, *drivers: str, **options: object) -> Store:
    audit = DriverSpec("audit", {"path": str(path / "audit.jsonl"), **options})
    return Store(Chain.build([DriverSpec(name) for name in drivers or ("memory-fallback",)], [audit]), "elena")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "audit.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("hook", WRITES)
def test_each_write_is_one_line_without_its_content(tmp_path, hook):
    with open_store(tmp_path, ids="plain") as store:
        getattr(store, hook)(WRITES[hook])

    (line,) = lines(tmp_path)
    assert (line["namespace"], line["hook"], line["items"]) == ("elena", hook, 1)
    assert line.get("users", line.get("conversations")) in (["alice"], ["talk"])
    assert line["milliseconds"] >= 0
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
    assert "secret" not in (tmp_path / "audit.jsonl").read_text(encoding="utf-8")


def test_every_hook_that_writes_is_watched():
    writing = ("save_", "update_", "erase_", "expire")
    hooks = {name for name in hook_names(SPECS) if name.startswith(writing)}

    assert hooks == {name for name in vars(AuditObserver) if name.startswith(writing)}


def test_a_line_says_how_safe_the_write_is(tmp_path):
    with open_store(tmp_path) as store:
        store.save_messages([MESSAGE])

    assert lines(tmp_path)[0]["durability"] == ["volatile"]


def test_a_write_that_fails_is_noted_with_the_class_of_its_error_and_still_fails(tmp_path, full):
    with open_store(tmp_path, full) as store, pytest.raises(StorageUnavailableError):
        store.save_messages([MESSAGE])

    (line,) = lines(tmp_path)
    assert line["error"] == "StorageUnavailableError"
    assert "durability" not in line
    assert WORDS not in json.dumps(line)


def test_a_write_that_nobody_keeps_is_noted(tmp_path):
    with open_store(tmp_path) as store, pytest.raises(NotSupportedError):
        store.save_vectors([])

    assert lines(tmp_path)[0]["error"] == "nobody answered"


def test_what_was_refused_before_any_driver_was_asked_is_no_write(tmp_path):
    with open_store(tmp_path) as store, pytest.raises(ValidationError):
        store.save_messages([Message("", "alice", "alice", "")])

    assert lines(tmp_path) == []


def test_reads_and_dry_runs_are_not_noted(tmp_path, full):
    policy = Retention("messages", max_per_thing=1)
    with open_store(tmp_path, full, "memory-fallback") as store:
        store.load_messages([Window("talk")])
        store.load_strategies(["alice"])
        store.scan("messages", None, 1)
        store.expire([policy], True)
        assert lines(tmp_path) == []
        store.expire([policy], False)

    assert [line["hook"] for line in lines(tmp_path)] == ["expire"]


def test_an_erasure_says_what_was_removed_where(tmp_path):
    with open_store(tmp_path) as store:
        store.save_messages([MESSAGE])
        store.erase_users(["alice"])

    assert lines(tmp_path)[1]["removed"]["memory-fallback"]["messages"] == 1


@pytest.mark.parametrize("user", ["alice", "アリス", "🦊" * 100, '"},{"', "a\nb"])
def test_ids_are_hashed_alike_after_a_restart_and_otherwise_elsewhere(tmp_path, user):
    for path in (tmp_path, tmp_path, tmp_path / "elsewhere"):
        with open_store(path) as store:
            store.erase_users([user])

    first, second = (line["users"] for line in lines(tmp_path))
    assert first == second != lines(tmp_path / "elsewhere")[0]["users"]
    assert user not in (tmp_path / "audit.jsonl").read_text(encoding="utf-8")


def test_a_given_key_hashes_alike_everywhere_and_is_never_shown(tmp_path):
    for path in (tmp_path / "one", tmp_path / "two"):
        with open_store(path, key="tr0ub4dor") as store:
            store.erase_users(["alice"])

    assert lines(tmp_path / "one")[0]["users"] == lines(tmp_path / "two")[0]["users"]
    assert "tr0ub4dor" not in repr(AuditObserver(tmp_path, key="tr0ub4dor"))
    assert not list((tmp_path / "one").glob("*.key"))


def test_ids_may_be_left_out(tmp_path):
    with open_store(tmp_path, ids="none") as store:
        store.save_messages([MESSAGE])

    assert {"users", "conversations"}.isdisjoint(lines(tmp_path)[0])


def test_only_the_owner_may_read(tmp_path):
    open_store(tmp_path).close()

    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_a_file_that_was_rotated_away_is_begun_anew(tmp_path):
    with open_store(tmp_path) as store:
        store.erase_users(["alice"])
        (tmp_path / "audit.jsonl").rename(tmp_path / "audit.jsonl.1")
        store.erase_users(["alice"])

    assert len(lines(tmp_path)) == 1


def test_a_disk_that_refuses_is_logged_once_and_fails_no_write(tmp_path, caplog):
    with open_store(tmp_path / "log") as store:
        for file in (tmp_path / "log").iterdir():
            file.unlink()
        (tmp_path / "log").rmdir()
        store.save_messages([MESSAGE])
        store.save_messages([MESSAGE])

        assert len(store.load_messages([Window("talk")])) == 1
    assert [record.getMessage() for record in caplog.records] == ["the audit file cannot be written"]


@pytest.fixture
def room(tmp_path: Path) -> Callable[[int | None], None]:
    """A function that lets the audit file grow by so many bytes; by any number, where it is told ``None``."""

    def limit(size: int | None) -> None:
        most = (tmp_path / "audit.jsonl").stat().st_size + size if size is not None else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    return limit


@pytest.mark.parametrize("restarted", [False, True])
def test_a_full_disk_that_takes_half_a_line_is_logged_and_takes_no_other_line_along(tmp_path, room, caplog, restarted):
    with open_store(tmp_path) as store:
        store.erase_users(["alice"])
        room(30)
        try:
            store.erase_users(["bob"])
        finally:
            room(None)
        if not restarted:
            store.erase_users(["carol"])
    if restarted:
        with open_store(tmp_path) as store:
            store.erase_users(["carol"])
    with open_store(tmp_path) as store:
        store.erase_users(["dora"])

    before, cut, *after = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["hook"] for line in (before, *after)] == ["erase_users"] * 3
    assert len(cut) == 30
    assert [record.getMessage() for record in caplog.records] == ["the audit file cannot be written"]


def test_lines_of_many_threads_stay_whole(tmp_path):
    with open_store(tmp_path) as store, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: store.save_messages([Message("talk", f"u{n}", "a", "x")] * 50), range(200)))

    assert len(lines(tmp_path)) == 200


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"path '.*audit\.jsonl' cannot be written"):
        open_store(tmp_path / "file" / "below")


def test_an_unknown_way_to_write_ids_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"driver 'audit'.*ids"):
        open_store(tmp_path, ids="rot13")
