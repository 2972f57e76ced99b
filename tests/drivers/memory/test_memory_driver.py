"""What is peculiar to the in-memory driver: it shares nothing, lends nothing, and bears threads and forks."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver

from whisper_persistence import Store, StoreClosedError
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import (
    ConversationSpecs,
    FollowerSpecs,
    LifecycleSpecs,
    StatisticsSpecs,
    StrategySpecs,
    hook_names,
)
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    ClearMark,
    Durability,
    MemoryScore,
    Outcome,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Revision,
    State,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
)
from whisper_persistence.records.kinds import RecordKind

from .remembering import ALICE, TALK, fill, open_store, say


def test_it_has_every_hook_that_it_promises() -> None:
    promised = hook_names([LifecycleSpecs, StrategySpecs, StatisticsSpecs, ConversationSpecs, FollowerSpecs])
    marked = {
        name
        for name in dir(MemoryFallbackDriver)
        if hasattr(getattr(MemoryFallbackDriver, name), "whisper_persistence_impl")
    }

    more = {"search_messages", "scan", "scan_messages", "erase_users", "expire", "aggregate"}
    assert marked == {*promised, *more} - {"inspect_schema"}


def test_it_answers_nothing_before_it_is_opened_and_after_it_is_closed() -> None:
    driver = MemoryFallbackDriver()
    with pytest.raises(StoreClosedError):
        driver.load_strategies(["alice"])
    chain = Chain.build([DriverSpec("memory-fallback")])
    Store(chain).close()
    with pytest.raises(StoreClosedError):
        chain.hook.load_strategies(user_ids=["alice"])


def test_instances_and_openings_share_nothing(store: Store) -> None:
    chain = Chain.build([DriverSpec("memory-fallback")])
    for current in (store, Store(chain)):
        current.save_strategies([Strategy("alice", "s")])
    chain.close()
    with Store(chain) as reopened, open_store() as other:
        assert not reopened.load_strategies(["alice"])
        assert not other.load_strategies(["alice"])
    assert store.load_strategies(["alice"])


def test_nothing_outside_reaches_what_is_stored(store: Store) -> None:
    values: dict[str, Any] = {"deep": {"list": [1, {"x": 2}]}}
    saved = Preferences("alice", values)
    store.save_preferences([saved])
    values["deep"]["list"].append("intruder")
    loaded = store.load_preferences(["alice"])["alice"]
    loaded.values["deep"]["list"][1]["x"] = "intruder"

    assert store.load_preferences(["alice"])["alice"].values == {"deep": {"list": [1, {"x": 2}]}}


def test_a_change_lends_nothing_to_what_it_changed(store: Store) -> None:
    extra: dict[str, Any] = {"tags": ["a"]}
    context: dict[str, Any] = {"mood": ["low"]}
    store.update_strategies([StrategyChange("alice", [Outcome("i", "gentle", 0.9, context=context)], extra=extra)])
    store.update_statistics([StatisticsChange("alice", [MemoryScore("alice", "m", 0.5, extra=extra)])])
    store.save_messages([say("q", extra=extra)])
    extra["tags"].append("intruder")
    context["mood"].append("intruder")
    kinds: tuple[RecordKind, ...] = ("strategies", "outcomes", "scores", "messages")
    first = [store.scan(kind, None, 9).records[0] for kind in kinds]
    first[0].extra["tags"].append("intruder")

    assert [store.scan(kind, None, 9).records[0].extra for kind in kinds] == [
        {"tags": ["a"]},
        {},
        {"tags": ["a"]},
        {"tags": ["a"]},
    ]
    assert first[1].context == {"mood": ["low"]}


def test_every_receipt_says_that_it_is_volatile(store: Store) -> None:
    receipts = [
        *store.save_strategies([Strategy("alice", "s")]),
        *store.update_strategies([StrategyChange("alice")]),
        *store.save_statistics([Statistics("alice")]),
        *store.update_statistics([StatisticsChange("alice")]),
        *store.save_patterns([Pattern("alice", "p")]),
        *store.update_patterns([PatternChange("alice", "p")]),
        *store.save_preferences([Preferences("alice")]),
        *store.update_preferences([PreferencesChange("alice")]),
    ]
    talk = [*store.save_messages([say("q")]), *store.update_messages([ClearMark("talk")])]

    assert {receipt.durability for receipt in [*receipts, *talk]} == {Durability.VOLATILE}
    assert [receipt.revision for receipt in receipts] == list(range(1, 9))
    assert [receipt.revision for receipt in talk] == [1, 2]


def test_health(store: Store) -> None:
    fill(store)
    (health,) = store.check_health()

    assert (health.tier, health.state) == ("memory-fallback", State.UP)
    assert health.details == {"users": 3, "conversations": 2, "messages": 12, "conflicts": 0, "pending": 0}


def test_32_threads_lose_nothing(store: Store) -> None:
    start = threading.Barrier(32)

    def work(number: int) -> None:
        start.wait()
        for n in range(20):
            store.save_messages([say(f"{number}-{n}"), say(f"shared-{n}")])
            store.update_strategies([StrategyChange("alice", [Outcome("i", "gentle", 1)])])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.load_strategies(["alice"])["alice"].interventions == 640
    assert store.load_revisions([TALK, ALICE]) == {TALK: Revision(660, 0, 660), ALICE: Revision(640, 0, 640)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_write_leaves_a_child_that_works(store: Store) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.save_messages([say(str(n)) for n in range(200)])

    writer = threading.Thread(target=write)
    writer.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        statuses = [_fork_and_read(store) for _ in range(20)]
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        writer.join()

    assert statuses == [0] * 20


def _fork_and_read(store: Store) -> int:
    child = os.fork()
    if child == 0:
        import faulthandler

        faulthandler.dump_traceback_later(10, exit=True)
        os._exit(0 if store.save_preferences([Preferences("alice")])[0].revision == 1 else 1)
    return os.waitpid(child, 0)[1]
