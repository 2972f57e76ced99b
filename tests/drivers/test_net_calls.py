"""The deadline of the net measures the drivers below, not what held its own process up."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest
from whisper_persistence_drivers.net.calls import Calls
from whisper_persistence_drivers.net.in_flight import InFlight, NotAskedError

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.origins import Origin


@pytest.fixture
def calls():
    made = InFlight(2)
    yield made
    made.close(0.6)


def hold_everybody_up(asked: threading.Event, seconds: float) -> None:
    """Let no other thread of this process run for a while, as a collection of garbage does."""
    asked.wait()
    before = sys.getswitchinterval()
    sys.setswitchinterval(10 * seconds)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    sys.setswitchinterval(before)


def test_an_answer_that_came_while_this_process_was_held_up_is_taken(calls):
    asked = threading.Event()

    def answer() -> str:
        asked.set()
        time.sleep(0.05)  # ends while everybody is held up
        time.sleep(0.05)  # what is left to do afterwards
        return "answer"

    holding = threading.Thread(target=hold_everybody_up, args=(asked, 0.8))
    holding.start()
    try:
        assert calls.timed(answer, 0.6) == "answer"
    finally:
        holding.join()


def test_who_finds_all_places_taken_waits_for_one_that_may_get_free(calls):
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda n: calls.timed(lambda: time.sleep(0.01) or n, 30.0), range(8))

    assert list(answers) == list(range(8))


def test_who_finds_all_places_taken_by_what_hangs_is_turned_away_at_once(calls):
    done = threading.Event()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            calls.timed(done.wait, 0.05)
    began = time.monotonic()

    with pytest.raises(NotAskedError):
        calls.timed(done.wait, 60.0)

    assert time.monotonic() - began < 30.0
    done.set()


class _Below:
    """Hooks that fail as they are told."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.save_strategies = self.load_strategies = self
        self.spec = SimpleNamespace(argnames=("asked",))

    def __call__(self, asked: Any) -> Any:
        if self.problem:
            raise self.problem
        return asked


def test_a_connection_that_is_refused_puts_the_other_lane_on_trial():
    below = _Below()
    calls = Calls.over(cast("Any", below), "it", local=False, deadline=30.0, in_flight=8)
    below.problem = StorageUnavailableError("refused")
    for _ in range(3):
        with pytest.raises(StorageUnavailableError):
            calls.write("save_strategies", (), Origin("change", "writer", 1))
    shut = calls.writes.breaker.is_open(), calls.reads.breaker.is_open()
    with pytest.raises(StorageUnavailableError):
        calls.read("load_strategies", ())

    assert shut == (True, False)
    assert calls.reads.breaker.is_open()
    calls.close()


def test_what_really_takes_longer_is_late(calls):
    done = threading.Event()

    with pytest.raises(TimeoutError):
        calls.timed(done.wait, 0.1)

    assert calls.late() == 1
    done.set()
