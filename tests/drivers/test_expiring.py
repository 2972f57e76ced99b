"""Expiry in the SQL drivers: page by page, beside other writers, and never what changed since it was found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from whisper_persistence_drivers.sql import expired, expiring, removing
from whisper_persistence_drivers.sqlite_database import SqliteDatabase

from whisper_persistence import Message, PatternChange, StatisticsChange, Store, ValidationError, Window
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.plugins import Chain
from whisper_persistence.records import RECORD_KINDS, Retention
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples
from whisper_persistence.testing.retained import counted, exact, fill, kept, policies_of
from whisper_persistence.testing.scanning import scan_all

DAY = timedelta(days=1)
_numbers = count(1)


class Place:
    """A database of its own, and the driver that keeps it."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.driver: Any = build_driver(DriverSpec(name, options))
        self.store = Store(Chain.of({name: self.driver}), f"expiring {next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        opened = Place("sqlite", {"path": str(tmp_path / "memory.db")})
    else:
        opened = Place("postgres", {"url": request.getfixturevalue("postgres_shared_url")})
    yield opened
    opened.store.close()


def test_pages_and_transactions_of_any_size_remove_the_same(place, monkeypatch):
    chance, store = Random(11), place.store
    for things, found, removed in ((1, 3, 1), (2, 7, 2), (3, 1, 5), (100, 5, 500)):
        fill(store, SUBJECT_CAPABILITIES, chance)
        monkeypatch.setattr(expired, "_THINGS", things)
        monkeypatch.setattr(expiring, "_FOUND", found)
        monkeypatch.setattr(expiring, "_REMOVED", removed)
        policies = policies_of(RECORD_KINDS, chance)
        before = {kind: scan_all(store, kind, 500) for kind in RECORD_KINDS}
        scored = {score.user_id for score in before["scores"]}
        would, did = store.expire(policies, True), store.expire(policies, False)
        for kind in RECORD_KINDS:
            left = sorted(exact(kind, record) for record in scan_all(store, kind, 500))
            assert left == kept(kind, before[kind], [p for p in policies if p.kind == kind], scored)
            assert counted(would, kind) == counted(did, kind) == len(before[kind]) - len(left)


def test_what_changed_after_it_was_found_stays(place):
    store = place.store
    old, new = samples.MOMENT - 9 * DAY, samples.MOMENT
    store.update_patterns([PatternChange("alice", f"p{n}", timestamp=old) for n in (1, 2)])
    store.update_statistics(
        [StatisticsChange("alice", [samples.score(f"s{n}", 0.5, calculation_timestamp=old) for n in (1, 2)])]
    )

    def between(kind: Any) -> Any:
        policies = [Retention(kind, DAY, now=samples.MOMENT)]
        return place.driver._read(expired.find_expired, expired.KINDS[kind], policies, expired.Page("", "zzz"), 100)

    found = {kind: between(kind) for kind in ("patterns", "scores")}
    store.update_patterns([PatternChange("alice", "p1", timestamp=new)])
    store.update_statistics([StatisticsChange("alice", [samples.score("s1", 0.7, calculation_timestamp=new)])])
    gone = {kind: place.driver._write(removing.remove, kind, "user", rows) for kind, rows in found.items()}

    assert gone == {"patterns": 1, "scores": 1}
    assert [pattern.pattern_id for pattern in store.load_patterns(["alice"])["alice"]] == ["p1"]
    assert [score.memory_id for score in scan_all(store, "scores", 10)] == ["s1"]


def test_writers_go_on_beside_it_and_nothing_new_goes(place, monkeypatch):
    monkeypatch.setattr(expiring, "_REMOVED", 20)
    store, stop, written = place.store, threading.Event(), list[str]()
    old = [samples.message("talk", message_id=f"old {n}", timestamp=samples.MOMENT - 9 * DAY) for n in range(600)]
    store.save_messages(old)

    def write() -> None:
        while not stop.is_set() and len(written) < 2_000:
            name = f"new {len(written)}"
            store.save_messages([samples.message("talk", message_id=name, timestamp=samples.MOMENT)])
            written.append(name)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = store.expire([Retention("messages", DAY, now=samples.MOMENT)], False)
    finally:
        stop.set()
        writer.join()
    window = Window("talk", 10_000)

    assert counted(report, "messages") == 600
    assert [message.message_id for message in store.load_messages([window]).get(window, ())] == written


def test_another_namespace_is_left_alone(place):
    with Store(
        Chain.of({"other": build_driver(DriverSpec(place.driver.tier, _options(place.driver)))}), "other"
    ) as other:
        for store in (place.store, other):
            store.save_messages([samples.message(message_id="m", timestamp=samples.MOMENT)])
        place.store.expire([Retention("messages", DAY, now=samples.MOMENT + 9 * DAY)], False)

        assert (len(scan_all(place.store, "messages", 9)), len(scan_all(other, "messages", 9))) == (0, 1)
        other.erase_users(["alice"])


def _options(driver: Any) -> dict[str, Any]:
    return {"path": str(driver.path)} if driver.tier == "sqlite" else {"url": driver.url}


def test_more_policies_than_a_statement_holds_are_refused_by_name(place):
    policies = [Retention("messages", DAY, user_ids=(f"u{n}",)) for n in range(51)]
    with pytest.raises(ValidationError, match="51 for messages"):
        place.store.expire(policies, True)

    assert place.store.expire(policies[:50], True)


def test_ages_beyond_the_calendar_keep_everything(place):
    place.store.save_messages([Message("talk", "alice", "alice", "words", timestamp=samples.EDGES[0])])

    assert counted(place.store.expire([Retention("messages", timedelta.max)], False), "messages") == 0


def test_deleted_words_are_not_left_in_the_files(tmp_path):
    path = tmp_path / "memory.db"
    with Store(Chain.build([DriverSpec("sqlite", {"path": str(path)})])) as store:
        said = [Message("talk", "alice", "alice", f"canary-{n}", timestamp=samples.MOMENT) for n in range(50)]
        store.save_messages(said)
        (report,) = store.expire([Retention("messages", DAY, now=samples.MOMENT + 9 * DAY)], False)
        left = b"".join(file.read_bytes() for file in tmp_path.iterdir())

        assert report.rewritten == ("file", "wal")
        assert b"canary-" not in left


def test_what_an_interrupted_run_left_in_the_files_is_removed_by_the_next(tmp_path, monkeypatch):
    path = tmp_path / "memory.db"
    policies = [Retention("messages", DAY, now=samples.MOMENT + 9 * DAY)]

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    def opened() -> Store:
        return Store(Chain.build([DriverSpec("sqlite", {"path": str(path)})]))

    with opened() as store, monkeypatch.context() as interrupted:
        store.save_messages([Message("talk", "alice", "alice", "words", timestamp=samples.MOMENT) for _ in range(50)])
        interrupted.setattr(SqliteDatabase, "scrub", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.expire(policies, False)
    reports: list[Any] = []
    for _ in range(2):
        with opened() as store:
            reports += store.expire(policies, False)

    assert [(counted([report], "messages"), report.rewritten) for report in reports] == [(0, ("file", "wal")), (0, ())]
