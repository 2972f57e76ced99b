"""Erasing users: in every tier, read again, for good, and finished whatever happens in between."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.sql import erasures as sql_erasures
from whisper_persistence_drivers.sqlite import SqliteDriver
from whisper_persistence_drivers.sqlite_tombstones import add_tombstones, list_of, read_tombstones

from whisper_persistence import ConfigurationError, Message, Store, StrategyChange
from whisper_persistence.cli.erasing import run_erase
from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.operations import ErasureReceipt, erase_again, erase_users, erasure
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Follower, Thing, Tombstone
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

STEPS = Path(__file__).parent / "faults" / "interrupted_erase.py"


def nothing(*_: Any) -> None:
    """Be told of the work and say nothing."""


def opened(folder: Path, namespace: str = "bot") -> Store:
    return Store(Chain.of({"sqlite": SqliteDriver(folder / "memory.db")}), namespace)


def kills(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return what is found after an erase was killed at one step after the other."""
    command = [sys.executable, str(STEPS), str(folder), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)  # noqa: S603
    return [told for line in ran.stdout.splitlines() if "step" in (told := json.loads(line))]


def check_kills(found: list[dict[str, Any]]) -> None:
    """Check that an erase was not begun or is finished, and that it stays begun at every later step."""
    erased = [not told["left"] for told in found]

    assert [told["ended"] for told in found] == [-9] * (len(found) - 1) + [0]
    assert erased == sorted(erased)
    assert erased[-1]
    for told in found:
        rest = {"strategies": 1, "outcomes": 3, "statistics": 1, "scores": 3, "patterns": 0, "preferences": 0}
        both = 1 if not told["left"] else 2
        assert told["others"] == {kind: n * both for kind, n in {**rest, "messages": 5}.items()}, told


@pytest.mark.parametrize("chain", ["sqlite", "jsonl"])
def test_an_erase_that_is_killed_is_finished_by_the_next_open(chain, tmp_path):
    if chain == "jsonl":
        pytest.importorskip("whisper_persistence_jsonl", reason="contrib/whisper-persistence-jsonl is not installed")
    check_kills(kills(tmp_path, "3", "43", chain))


@pytest.mark.long
@pytest.mark.parametrize("chain", ["sqlite", "jsonl"])
def test_an_erase_that_is_killed_at_any_step_is_finished_by_the_next_open(chain, tmp_path):
    found = kills(tmp_path, "1", "1", chain)

    assert len(found) > 100
    check_kills(found)


def test_a_receipt_says_what_each_tier_did_and_names_nobody(tmp_path):
    with opened(tmp_path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES, "alice@example.org", "secret talk")
        samples.fill(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        receipt = erase_users(store, ["alice@example.org"], nothing)
        receipt.save(tmp_path / "receipt.json")
    text = (tmp_path / "receipt.json").read_text(encoding="utf-8")
    (tier,) = receipt.tiers

    assert receipt.is_complete()
    assert (tmp_path / "receipt.json").stat().st_mode & 0o777 == 0o600
    assert tier.counts["messages"] == 3
    assert set(tier.rewritten) == {"file", "wal"}
    assert receipt.checks[0].asked[-3:] == ("load_messages", "scan_messages", "load_revisions")
    assert len(receipt.tombstones()) == 1
    assert not [secret for secret in ("alice", "secret", "bob") if secret in text]
    assert ErasureReceipt.load(tmp_path / "receipt.json") == receipt


def test_an_erase_that_is_interrupted_while_it_is_checked_leaves_its_receipt(tmp_path, monkeypatch):
    def interrupt(*_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr(erasure, "check_tiers", interrupt)
    with opened(tmp_path) as store:
        store.save_messages(samples.talk(3))
        with pytest.raises(KeyboardInterrupt):
            run_erase(store, ["alice"], tmp_path / "receipt.json", shown=False)
    receipt = ErasureReceipt.load(tmp_path / "receipt.json")

    assert len(receipt.tombstones()) == 1
    assert [check.problem for check in receipt.checks] == ["it was not read again"]
    assert not receipt.is_complete()
    assert [path.name for path in tmp_path.glob("receipt*")] == ["receipt.json"]


def test_a_receipt_overwrites_nothing_and_only_a_receipt_is_read(tmp_path):
    receipt = ErasureReceipt("bot", 0, (), ())
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"mine\.json cannot be written \(File exists\): name a new file"):
        receipt.save(tmp_path / "mine.json")
    with pytest.raises(ConfigurationError, match=r"mine\.json is not the receipt of an erase"):
        ErasureReceipt.load(tmp_path / "mine.json")
    with pytest.raises(ConfigurationError, match=r"absent\.json cannot be read"):
        ErasureReceipt.load(tmp_path / "absent.json")


@attrs.define(eq=False)
class Forgetful(MemoryFallbackDriver):
    """Says that it erased, and keeps everything."""

    bears_outages = False  # it is no net, which would be refused below a store that asks nobody

    @hookimpl
    def erase_users(self, user_ids):
        """Lie."""
        return ()


def test_a_tier_that_kept_something_is_found_out_behind_one_that_erased(tmp_path):
    with Store(Chain.of({"sqlite": SqliteDriver(tmp_path / "memory.db"), "hoarder": Forgetful()})) as store:
        hoarder = store.chain.starting_at("hoarder")
        hoarder.save_strategies(strategies=[samples.full_strategy()])
        hoarder.save_messages(messages=samples.talk(3))
        samples.fill(store, SUBJECT_CAPABILITIES)
        receipt = erase_users(store, ["alice"], nothing)

    assert [(check.tier, check.is_clean()) for check in receipt.checks] == [("sqlite", True), ("hoarder", False)]
    assert receipt.checks[1].found == {
        "load_strategies": 1,
        "load_messages": 6,
        "scan_messages": 3,
        "load_revisions": 1,
    }
    assert not receipt.is_complete()


@attrs.define(eq=False)
class Mute(MemoryFallbackDriver):
    """Erases, and does not answer afterwards."""

    @hookimpl
    def load_strategies(self, user_ids):
        """Be away."""
        raise StorageUnavailableError("nobody is there")


def test_a_tier_that_cannot_be_read_again_is_no_success():
    with Store(Chain.of({"mute": Mute()})) as store:
        (check,) = erase_users(store, ["alice"], nothing).checks

    assert (check.problem, check.is_clean()) == ("nobody is there", False)


def test_erasing_twice_is_erasing_once_and_who_comes_back_starts_afresh(tmp_path):
    with opened(tmp_path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        first = erase_users(store, ["alice", "alice"], nothing)
        second = erase_users(store, ["alice"], nothing)

        assert (first.users, first.is_complete(), second.is_complete()) == (1, True, True)
        assert set(second.tiers[0].counts.values()) == {0}
        store.update_strategies([StrategyChange("alice", [samples.outcome(0.9)])])
        assert store.load_strategies(["alice"])["alice"].interventions == 1


def test_a_note_is_gone_once_the_erase_is_settled_and_an_outage_leaves_it(tmp_path, caplog):
    with opened(tmp_path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        store.chain.hook.note_erasures(user_ids=["alice"])
    broken = Chain.of({"upper": Stuck(), "sqlite": SqliteDriver(tmp_path / "memory.db")})
    with Store(broken, "bot") as store:
        assert store.chain.hook.load_erasures() == ("alice",)
        assert "interrupted erases are not finished yet" in caplog.text
    with opened(tmp_path) as store:
        assert store.chain.hook.load_erasures() == ()
        assert samples.read(store, SUBJECT_CAPABILITIES) == {}


@attrs.define(eq=False)
class Stuck:
    """A layer that cannot erase at present."""

    @hookimpl
    def erase_users(self, user_ids):
        """Be away."""
        raise StorageUnavailableError("nobody is there")


@pytest.fixture
def followed(tmp_path) -> Any:
    """A store whose follower has not seen that alice was erased."""
    with opened(tmp_path) as store:
        store.register_follower(Follower("index", ("scores", "messages")))
        samples.fill(store, SUBJECT_CAPABILITIES)
        erase_users(store, ["alice"], nothing)
        yield store


def waiting(store: Store) -> list[Any]:
    with store.chain.drivers["sqlite"]._database.reading() as connection:  # type: ignore[attr-defined]
        return connection.execute("SELECT subject, revision FROM erasures").fetchall()


def test_what_followers_have_yet_to_see_is_waited_for_by_hash_alone(followed):
    assert len(waiting(followed)) == 2
    assert not [subject for subject, _ in waiting(followed) if subject in ("alice", "talk")]
    pending = followed.load_pending("index", 100)
    followed.clear_pending(pending[:1])
    assert waiting(followed)
    followed.clear_pending(pending)
    assert waiting(followed) == []


def test_a_user_who_came_back_keeps_nobody_waiting(followed):
    samples.fill(followed, SUBJECT_CAPABILITIES)
    followed.clear_pending(followed.load_pending("index", 100))

    assert waiting(followed) == []


def test_a_follower_that_does_not_come_for_a_month_is_forgotten_and_begins_anew(followed, monkeypatch):
    moment = datetime.now(UTC) + timedelta(days=29)
    monkeypatch.setattr(sql_erasures, "_now", lambda: sql_erasures.to_micros(moment))
    followed.erase_users(["somebody"])
    assert len(followed.load_pending("index", 100)) > 1
    moment += timedelta(days=2)
    followed.erase_users(["somebody"])

    assert followed.load_pending("index", 100) == ()
    assert waiting(followed) == []
    assert followed.register_follower(Follower("index", ("scores",)))


def test_a_tombstone_erases_what_is_older_and_leaves_what_is_newer(tmp_path):
    with opened(tmp_path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        samples.fill(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        receipt = erase_users(store, ["alice"], nothing)
        samples.fill(store, SUBJECT_CAPABILITIES)
        before = samples.read(store, SUBJECT_CAPABILITIES)
        (newer,) = erase_again(store, [receipt])
        tombstone = attrs.evolve(receipt.tombstones()[0], epoch=receipt.tombstones()[0].epoch + 2)
        later = attrs.evolve(receipt, tiers=(attrs.evolve(receipt.tiers[0], tombstones=(tombstone,)),))

        assert set(newer.counts.values()) == {0}
        assert samples.read(store, SUBJECT_CAPABILITIES) == before
        (older,) = erase_again(store, [later, receipt])
        assert older.counts["messages"] == 3
        assert samples.read(store, SUBJECT_CAPABILITIES) == {}
        assert samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        assert store.load_revisions([Thing("user", "alice")])[Thing("user", "alice")].epoch == tombstone.epoch


def test_a_receipt_of_another_bot_is_refused_and_its_tombstones_concern_nobody(tmp_path):
    with opened(tmp_path) as store, opened(tmp_path, "other bot") as other:
        samples.fill(store, SUBJECT_CAPABILITIES)
        samples.fill(other, SUBJECT_CAPABILITIES)
        receipt = erase_users(store, ["alice"], nothing)
        with pytest.raises(ConfigurationError, match="of namespace 'bot' and the memory was opened in 'other bot'"):
            erase_again(other, [receipt])
        other.chain.hook.erase_again(tombstones=receipt.tombstones())

        assert samples.read(other, SUBJECT_CAPABILITIES)


def test_an_author_without_a_record_of_their_own_is_erased_again(tmp_path):
    with opened(tmp_path) as store:
        receipt = erase_users(store, ["guest"], nothing)
        tombstone = attrs.evolve(receipt.tombstones()[0], epoch=9)
        store.save_messages([Message("talk", "bob", "guest", "hello")])
        store.chain.hook.erase_again(tombstones=[tombstone])

        assert store.scan("messages", None, 9).records == ()


def test_the_list_beside_the_file_names_nobody_and_survives_a_torn_line(tmp_path):
    path = tmp_path / "memory.db"
    with opened(tmp_path) as store:
        erase_users(store, ["alice"], nothing)
        with list_of(path).open("ab") as file:
            file.write(b'\n{"thing": "torn')
        erase_users(store, ["bob"], nothing)

    assert [tombstone.epoch for tombstone in read_tombstones(path)] == [1, 1]
    assert b"alice" not in list_of(path).read_bytes()
    assert list_of(path).stat().st_mode & 0o777 == 0o600
    assert read_tombstones(tmp_path / "absent") == []


def test_copies_of_upgrades_are_named_and_removed_when_they_are_old(tmp_path):
    young, old = tmp_path / "memory.db.before-0001", tmp_path / "memory.db.before-0000"
    with opened(tmp_path) as store:
        for copy in (young, old):
            copy.write_bytes(b"an older schema")
        os.utime(old, (1, 1))
        (tier,) = erase_users(store, ["alice"], nothing).tiers

    assert [str(young) in told for told in tier.remaining] == [True, False]
    assert (young.exists(), old.exists()) == (True, False)


def test_a_disk_that_takes_a_part_of_the_list_only_fails_the_erase(tmp_path):
    path = tmp_path / "memory.db"
    add_tombstones(path, [Tombstone("one", 1)])
    most = list_of(path).stat().st_size + 30
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        with pytest.raises(StorageUnavailableError, match="make room for it and erase again"):
            add_tombstones(path, [Tombstone("two", 1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    add_tombstones(path, [Tombstone("three", 1)])

    assert [tombstone.thing for tombstone in read_tombstones(path)] == ["one", "three"]
