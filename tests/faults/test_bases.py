"""What a save of a whole record is based on, where the writes before it are brought in at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from fault_tools.servers import Place
from fault_tools.stores import PATIENCE, Opener, drained, write_nothing
from whisper_persistence_drivers.net import steps
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Durability, Store, Strategy, StrategyChange
from whisper_persistence.testing import samples


@attrs.frozen
class Outage:
    """A store over a database that takes nothing, another store that writes there all the same, and how it ends."""

    store: Store
    other: Store
    end: Callable[[], None]

    def save(self, name: str) -> None:
        """Save alice's strategy, where it waits."""
        assert self.store.save_strategies([Strategy("alice", name)])[0].durability is Durability.JOURNALED

    def found(self) -> tuple[str, int]:
        """Return which strategy is stored, and how many are kept beside it."""
        drained(self.store)
        details = self.other.check_health()[-1].details
        return self.other.load_strategies(["alice"])["alice"].strategy_id, details["conflicts"]


@pytest.fixture(params=["sqlite", "postgres"])
def outage(request: pytest.FixtureRequest, opened: Opener, tmp_path: Path) -> Outage:
    """One that begins once alice is known."""
    if request.param == "sqlite":
        return over_sqlite(opened, tmp_path / "memory.db")
    place: Place = request.getfixturevalue("postgres_place")
    other, store = opened.postgres(place.straight), opened.postgres(place.url)
    store.save_strategies([Strategy("alice", "first")])
    place.proxy.refuse()
    return Outage(store, other, place.proxy.heal)


def over_sqlite(opened: Opener, path: Path) -> Outage:
    """Return one of a file that one of two stores cannot write."""
    locked = SqliteDriver(path)
    store, other = opened(("sqlite", locked)), opened(("sqlite", SqliteDriver(path)))
    store.save_strategies([Strategy("alice", "first")])
    write_nothing(locked)
    return Outage(store, other, lambda: write_nothing(locked, "OFF"))


class Stop:
    """Stops whoever comes to a step, until it may go on."""

    def __init__(self, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step, self.reached, self.goes_on = step, threading.Event(), threading.Event()
        monkeypatch.setattr(steps, "at", self)

    def __call__(self, step: str) -> None:
        if step == self.step and not self.reached.is_set():
            self.reached.set()
            assert self.goes_on.wait(PATIENCE)


def test_what_waits_is_answered_with_the_last_revision_that_is_known(outage: Outage) -> None:
    changes = [StrategyChange("alice", [samples.outcome()]), StrategyChange("nobody yet", [samples.outcome()])]
    receipts = outage.store.update_strategies(changes)

    assert [(receipt.durability, receipt.revision) for receipt in receipts] == [
        (Durability.JOURNALED, 1),
        (Durability.JOURNALED, 0),
    ]


def test_a_save_whose_forerunner_is_brought_in_before_it_is_written_down_is_no_conflict(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage.save("in the outage")
    stop = Stop("journal: not written", monkeypatch)
    saving = threading.Thread(target=outage.store.save_strategies, args=([Strategy("alice", "last")],))
    saving.start()
    assert stop.reached.wait(PATIENCE)
    outage.end()
    drained(outage.store)
    stop.goes_on.set()
    saving.join()

    assert outage.found() == ("last", 0)


def test_a_save_is_based_on_its_forerunner_once_where_that_is_stored_and_not_cleared(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage.save("in the outage")
    stop = Stop("replay: committed, not cleared", monkeypatch)
    outage.end()
    assert stop.reached.wait(PATIENCE)
    outage.save("behind")
    stop.goes_on.set()

    assert outage.found() == ("behind", 0)


def test_a_newer_record_of_somebody_else_is_never_replaced_for_a_forerunner_counted_twice(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage.save("in the outage")
    stop = Stop("replay: committed, not cleared", monkeypatch)
    outage.end()
    assert stop.reached.wait(PATIENCE)
    outage.save("behind")
    outage.other.save_strategies([Strategy("alice", "newer")])
    stop.goes_on.set()

    assert outage.found() == ("newer", 1)
