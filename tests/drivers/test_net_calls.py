"""The deadline of the net measures the drivers below, not what held its own process up."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from whisper_persistence_drivers.net.in_flight import InFlight


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


def test_what_really_takes_longer_is_late(calls):
    done = threading.Event()

    with pytest.raises(TimeoutError):
        calls.timed(done.wait, 0.1)

    assert calls.late() == 1
    done.set()
