"""The circuit breaker, against a plain description of what it must do, at any order of calls, answers and waits."""

from __future__ import annotations

import logging
import os
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from whisper_persistence_drivers.breaker import FAILURES, Breaker, Outcome

SHORTEST, LONGEST = 1.0, 15.0


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin and end in any order, while a clock of our own goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.luck = 100.0, 0.0
        self.breaker = Breaker("it", SHORTEST, LONGEST, lambda: self.now, lambda: self.luck)
        self.on_their_way: list[tuple[int, bool]] = []  # ticket, and whether the last change of state came before it
        self.failures = 0
        self.wait = 0.0  # 0 while closed
        self.since = 0.0
        self.probing = False

    def change(self) -> None:
        self.on_their_way = [(ticket, False) for ticket, _ in self.on_their_way]
        self.failures, self.probing = 0, False

    @rule(luck=st.floats(0, 1))
    def call(self, luck: float) -> None:
        self.luck = luck
        ticket = self.breaker.enter()

        waited = self.now - self.since
        if self.wait and (self.probing or waited < self.wait / 2):
            assert ticket is None
        elif not self.wait or waited >= self.wait:
            assert ticket is not None
        if ticket is not None:
            self.probing = bool(self.wait)
            self.on_their_way.append((ticket, True))

    @precondition(lambda self: self.on_their_way)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome), luck=st.floats(0, 1))
    def answer(self, data: st.DataObject, outcome: Outcome, luck: float) -> None:
        self.luck = luck
        ticket, counts = self.on_their_way.pop(data.draw(st.integers(0, len(self.on_their_way) - 1)))
        self.breaker.leave(ticket, outcome)

        if not counts:
            return
        if self.wait:
            self._probed(outcome)
            return
        self.failures = {Outcome.OK: 0, Outcome.UNKNOWN: self.failures}.get(outcome, self.failures + 1)
        if outcome is Outcome.LATE or self.failures == FAILURES:
            self.wait, self.since = SHORTEST, self.now
            self.change()

    def _probed(self, outcome: Outcome) -> None:
        if outcome is Outcome.UNKNOWN:
            self.probing, self.since = False, self.now - self.wait
        elif outcome is Outcome.OK:
            self.wait = 0.0
            self.change()
        else:
            self.wait, self.since = min(2 * self.wait, LONGEST), self.now
            self.change()

    @rule()
    def others_saw_it_fail(self) -> None:
        self.breaker.suspect()

        self.failures = max(self.failures, FAILURES - 1)

    @rule()
    def others_saw_it_answer(self) -> None:
        self.breaker.hurry()

        if self.wait and not self.probing:
            self.since = min(self.since, self.now - self.wait)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.0, 7.5, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def is_open_when_it_waits(self) -> None:
        assert self.breaker.is_open() == bool(self.wait)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)


def opened(**options: object) -> Breaker:
    breaker = Breaker("it", **options)  # type: ignore[arg-type]
    ticket = breaker.enter()
    assert ticket is not None
    breaker.leave(ticket, Outcome.LATE)
    return breaker


def test_every_change_of_state_is_logged_once(caplog):
    now = [0.0]
    with caplog.at_level(logging.DEBUG, logger="whisper_persistence_drivers"):
        breaker = opened(clock=lambda: now[0], jitter=lambda: 0.0)
        for _ in range(3):
            now[0] += 60
            breaker.leave(breaker.enter(), Outcome.FAILED)
        now[0] += 60
        breaker.leave(breaker.enter(), Outcome.OK)

    assert [record.message for record in caplog.records] == [
        "it: does not answer and is left alone",
        "it: answers again",
    ]
    assert breaker.opened == 1


def test_of_many_threads_one_probes():
    breaker = opened(shortest=0.0)
    start, tickets = threading.Barrier(16), []

    def enter() -> None:
        start.wait(30)
        tickets.append(breaker.enter())

    threads = [threading.Thread(target=enter) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len([ticket for ticket in tickets if ticket is not None]) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    breaker = opened(shortest=0.0)
    probe = breaker.enter()
    with breaker._lock:
        child = os.fork()
        if not child:
            os._exit(0 if breaker.enter() is not None else 1)
        _, status = os.waitpid(child, 0)

    assert (probe is not None, os.waitstatus_to_exitcode(status)) == (True, 0)
