"""The contract, and what is peculiar to conversations in files."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from whisper_persistence_jsonl.folder import Folder

from whisper_persistence import ConfigurationError, StorageDamagedError, StorageUnavailableError, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations import erase_again, erase_users
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageEdit,
    MessageRedaction,
    Outcome,
    State,
    StrategyChange,
    Thing,
    Window,
)
from whisper_persistence.testing import DriverConformance

CLAIMS = frozenset({"conversations", "scan", "erase", "expire", "durable", "processes"})
HOSTILE = ["../../etc/passwd", "con", ".", "a/b\\c:d*e?f", "🦊" * 128, " ", "-rf", "new\nline", "A", "a", "%00"]


def open_store(path: Path, namespace: str = "default", **options: object) -> Store:
    return Store(Chain.build([DriverSpec("jsonl", {"directory": str(path / "talks"), **options})]), namespace)


def say(text: str, message_id: str, conversation_id: str = "talk") -> Message:
    return Message(conversation_id, "alice", "alice", text, message_id=message_id)


def texts(store: Store, conversation_id: str = "talk") -> list[str]:
    window = Window(conversation_id, limit=100)
    return [message.content for message in store.load_messages([window]).get(window, ())]


def files(path: Path) -> list[Path]:
    return sorted(path.glob("talks/*/*.jsonl"))


class TestJsonl(DriverConformance):
    capabilities = CLAIMS

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return open_store(path, namespace)


def test_ids_never_reach_the_file_system(tmp_path):
    with open_store(tmp_path) as store:
        store.save_messages([say(name, "1", name) for name in HOSTILE])

        assert [texts(store, name) for name in HOSTILE] == [[name] for name in HOSTILE]
    assert len(files(tmp_path)) == len(HOSTILE)
    assert all(set(file.stem) <= set("0123456789abcdef") for file in files(tmp_path))


def test_only_the_owner_may_read(tmp_path):
    with open_store(tmp_path) as store:
        store.save_messages([say("secret", "1")])

    assert stat.S_IMODE(files(tmp_path)[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(files(tmp_path)[0].parent.stat().st_mode) == 0o700


def test_any_line_separator_stays_within_its_line(tmp_path):
    nasty = "a\nb\r\nc\u2028d\u2029e\x85f\x0bg"
    with open_store(tmp_path) as store:
        store.save_messages([say(nasty, "1"), say("next", "2")])
    with open_store(tmp_path) as store:
        assert texts(store) == [nasty, "next"]
    assert len(files(tmp_path)[0].read_bytes().split(b"\n")) == 4


@pytest.mark.parametrize("torn", [1, 2, 20])
def test_a_torn_last_line_is_dropped_and_written_over(tmp_path, torn):
    with open_store(tmp_path) as store:
        store.save_messages([say("whole", "1"), say("torn", "2")])
    file = files(tmp_path)[0]
    os.truncate(file, file.stat().st_size - torn)

    with open_store(tmp_path) as store:
        assert texts(store) == ["whole"]
        assert store.save_messages([say("again", "2")])[0].sequence == 2
    with open_store(tmp_path) as store:
        assert texts(store) == ["whole", "again"]


def test_a_line_torn_in_the_very_first_write_is_as_if_nothing_was_written(tmp_path):
    with open_store(tmp_path) as store:
        store.save_messages([say("lost", "1")])
    os.truncate(files(tmp_path)[0], 5)

    with open_store(tmp_path) as store:
        assert texts(store) == []
        store.save_messages([say("first", "2")])

        assert texts(store) == ["first"]


@pytest.mark.parametrize("line", [0, 1])
def test_a_line_that_cannot_be_read_is_damage_and_tells_nothing(tmp_path, line):
    with open_store(tmp_path) as store:
        store.save_messages([say("private words", "1"), say("more", "2")])
    file = files(tmp_path)[0]
    lines = file.read_bytes().splitlines(keepends=True)
    lines[line] = b'{"private words": \n'
    file.write_bytes(b"".join(lines))

    with open_store(tmp_path) as store, pytest.raises(StorageDamagedError) as caught:
        texts(store)
    assert "private" not in str(caught.value)


def test_a_batch_that_the_journal_holds_is_finished_by_the_next_call(tmp_path):
    with open_store(tmp_path) as store:
        store.save_messages([say("one", "1", "a"), say("two", "1", "b")])
    before = {file: file.read_bytes() for file in files(tmp_path)}
    with open_store(tmp_path) as store:
        store.save_messages([say("three", "2", "a"), say("four", "2", "b")])
    added = {file: file.read_bytes()[len(before[file]) :].decode() for file in files(tmp_path)}
    for file, content in before.items():
        file.write_bytes(content + added[file].encode()[:7])
    journal = {file.name: [len(before[file]), text] for file, text in added.items()}
    (files(tmp_path)[0].parent / "journal").write_text(json.dumps(journal) + "\n", encoding="utf-8")

    with open_store(tmp_path) as store:
        assert (texts(store, "a"), texts(store, "b")) == (["one", "three"], ["two", "four"])


@pytest.mark.parametrize("journal", ["{", '{"x.jsonl": [0, "half', "\0\0\0\0"])
def test_a_batch_whose_journal_was_never_finished_never_was(tmp_path, journal):
    with open_store(tmp_path) as store:
        store.save_messages([say("one", "1")])
    (files(tmp_path)[0].parent / "journal").write_text(journal, encoding="utf-8")

    with open_store(tmp_path) as store:
        assert texts(store) == ["one"]
    assert len(files(tmp_path)) == 1


WRITER = """
import sys
from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message

store = Store(Chain.build([DriverSpec("jsonl", {"directory": sys.argv[1]})]))
for number in range(10_000):
    pair = [Message(name, "alice", "alice", str(number), message_id=str(number)) for name in ("a", "b")]
    store.save_messages(pair)
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill_and_no_batch_is_kept_in_part(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "talks")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:  # noqa: S603
        assert writer.stdout is not None
        acknowledged = [int(line) for _, line in zip(range(30), writer.stdout, strict=False)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout]

    with open_store(tmp_path) as store:
        kept = [[message.content for message in page] for page in _both(store)]
    assert kept[0] == kept[1]
    assert kept[0][: len(acknowledged)] == [str(number) for number in acknowledged]
    assert len(kept[0]) - len(acknowledged) in (0, 1)


def _both(store: Store) -> list[tuple[Message, ...]]:
    windows = [Window("a", limit=10_000), Window("b", limit=10_000)]
    found = store.load_messages(windows)
    return [found[window] for window in windows]


def test_another_store_sees_what_was_appended_edited_and_erased(tmp_path):
    with open_store(tmp_path) as one, open_store(tmp_path) as two:
        one.save_messages([say("hello", "1"), say("there", "2")])
        assert texts(two) == ["hello", "there"]
        one.update_messages([MessageEdit("talk", "1", "good day")])
        assert texts(two) == ["good day", "there"]
        two.save_messages([say("you", "3")])
        assert texts(one) == ["good day", "there", "you"]
        one.erase_users(["alice"])

        assert texts(two) == []


@pytest.mark.parametrize("change", [MessageEdit("talk", "1", "-"), MessageRedaction("talk", "1"), "erase"])
def test_no_byte_of_what_was_removed_is_left(tmp_path, change):
    with open_store(tmp_path) as store:
        store.save_messages([say("the very secret", "1"), Message("talk", "bob", "bob", "stays")])
        if change == "erase":
            store.erase_users(["alice"])
        else:
            store.update_messages([change])

        assert "stays" in texts(store)
    left = b"".join(file.read_bytes() for file in (tmp_path / "talks").rglob("*") if file.is_file())
    assert b"the very secret" not in left


def test_counters_survive_an_erase_and_hold_no_id(tmp_path):
    with open_store(tmp_path) as store:
        _, before = store.save_messages([say("one", "1"), say("two", "2")])
        store.erase_users(["alice"])
    with open_store(tmp_path) as store:
        (after,) = store.save_messages([say("new", "1")])

        assert after.revision > before.revision + 1
        assert after.epoch > before.epoch
        assert after.sequence == 3
        store.erase_users(["alice"])
    assert b"talk" not in files(tmp_path)[0].read_bytes()
    assert b"alice" not in files(tmp_path)[0].read_bytes()


def test_a_mark_is_not_applied_twice_over_newer_messages(tmp_path):
    mark = ClearMark("talk")
    with open_store(tmp_path) as store:
        store.save_messages([say("old", "1")])
        store.update_messages([mark])
        store.save_messages([say("new", "2")])
        store.update_messages([mark])
    with open_store(tmp_path) as store:
        assert texts(store) == ["new"]


def test_what_is_not_ours_stays_with_the_driver_below(tmp_path):
    below = DriverSpec("sqlite", {"path": str(tmp_path / "memory.db")})
    chain = Chain.build([DriverSpec("jsonl", {"directory": str(tmp_path / "talks")}), below])
    with Store(chain) as store:
        store.save_messages([say("hello", "1")])
        store.update_strategies([StrategyChange("alice", [Outcome("1", "gentle", 0.9)])])
        revisions = store.load_revisions([Thing("user", "alice"), Thing("conversation", "talk")])
        reports = store.erase_users(["alice"])

        assert [tier.tier for tier in store.check_health()] == ["jsonl", "sqlite"]
    assert len(revisions) == 2
    assert [(report.tier, bool(report.counts)) for report in reports] == [("jsonl", True), ("sqlite", True)]


def test_an_erase_by_receipt_says_that_it_does_not_reach_the_folder(tmp_path):
    net = DriverSpec("memory-fallback", {"journal_directory": str(tmp_path / "journals")})
    below = DriverSpec("sqlite", {"path": str(tmp_path / "memory.db")})
    chain = Chain.build([DriverSpec("jsonl", {"directory": str(tmp_path / "talks")}), net, below])
    with Store(chain) as store:
        receipt = erase_users(store, ["alice"], lambda *_: None)
        again = erase_again(store, [receipt])

    assert [(report.tier, bool(report.counts)) for report in again] == [("sqlite", True), ("jsonl", False)]
    assert "erase the users by their ids" in again[1].remaining[0]


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "talks").write_text("a file", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"directory '.*talks' cannot be written"):
        open_store(tmp_path)


def test_files_locked_for_too_long_are_an_outage(tmp_path):
    with open_store(tmp_path, timeout=0.05) as store:
        store.save_messages([say("hello", "1")])
        with Folder(files(tmp_path)[0].parent, timeout=1).locked():
            with pytest.raises(StorageUnavailableError, match=r"locked for more than 0\.05 s"):
                texts(store)

            assert [tier.state for tier in store.check_health()] == [State.DOWN]
        assert texts(store) == ["hello"]


def test_a_folder_without_its_key_is_not_taken_for_an_empty_one(tmp_path):
    with open_store(tmp_path) as store:
        store.save_messages([say("hello", "1")])
    (files(tmp_path)[0].parent / "key").unlink()

    with pytest.raises(StorageDamagedError, match="key"):
        open_store(tmp_path)
