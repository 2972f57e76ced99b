"""Threads: 32 at once lose nothing, double nothing and see only whole states."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Final, TypeVar

from whisper_persistence.records import PatternChange, PreferencesChange, StatisticsChange, StrategyChange
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything
from whisper_persistence.testing.statistics import check_recount

THREADS: Final = 32
T = TypeVar("T")


def at_once(work: Callable[[int], T], threads: int = THREADS) -> list[T]:
    """Return what ``work`` returns for each of some threads that start together, and take turns as often as can be."""
    start, seldom = Barrier(threads), sys.getswitchinterval()

    def run(number: int) -> T:
        start.wait()
        return work(number)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, range(threads)))
    finally:
        sys.setswitchinterval(seldom)


class ConcurrencyConformance(Conformance):
    """That many threads may use one store."""

    @needs("strategies")
    def test_every_outcome_of_every_thread_is_counted(self, store: Store) -> None:
        def learn(thread: int) -> list[int]:
            changes = [StrategyChange("alice", [samples.outcome(outcome_id=f"{thread} {n}")]) for n in range(4)]
            return [store.update_strategies([change])[0].revision for change in changes]

        revisions = [revision for told in at_once(learn) for revision in told]
        found = samples.read(store, frozenset({"strategies"}))

        assert sorted(revisions) == list(range(1, 4 * THREADS + 1))
        assert found["strategies"].interventions == 4 * THREADS
        assert len({o.outcome_id for o in found["outcomes"]}) == len(found["outcomes"]) == 4 * THREADS

    @needs("statistics")
    def test_statistics_of_many_threads_equal_a_recount(self, store: Store) -> None:
        def learn(thread: int) -> None:
            for n in range(3):
                scores = [samples.score(f"m{thread} {n}", thread / 100), samples.score("shared", 0.5)]
                store.update_statistics([StatisticsChange("alice", scores)])
            store.update_patterns([PatternChange("alice", "p", 0.5)])
            store.update_preferences([PreferencesChange("alice", {f"{thread}": thread})])

        at_once(learn)
        expected = [samples.score(f"m{t} {n}", t / 100) for t in range(THREADS) for n in range(3)]
        expected.append(samples.score("shared", 0.5))

        check_recount(store.load_statistics(["alice"])["alice"], {s.memory_id: s for s in expected})
        assert store.load_patterns(["alice"])["alice"][0].frequency == THREADS
        assert store.load_preferences(["alice"])["alice"].values == {f"{t}": t for t in range(THREADS)}

    @needs("conversations")
    def test_every_message_of_every_thread_has_a_place_of_its_own(self, store: Store) -> None:
        def speak(thread: int) -> list[int | None]:
            messages = [samples.message(message_id=f"{thread} {n}") for n in range(6)]
            return [store.save_messages([message])[0].sequence for message in messages]

        told = at_once(speak)
        found = everything(store)
        places = {message.message_id: message.sequence for message in found}

        assert len(found) == len(set(places.values())) == 6 * THREADS
        assert all(places[f"{t} {n}"] == sequence for t, own in enumerate(told) for n, sequence in enumerate(own))
        assert all(own == sorted(own, key=lambda sequence: sequence or 0) for own in told)

    @needs("conversations")
    def test_one_message_sent_by_every_thread_is_stored_once(self, store: Store) -> None:
        told = at_once(lambda _: store.save_messages(samples.talk(3)))

        assert {tuple(receipt.sequence for receipt in receipts) for receipts in told} == {(1, 2, 3)}
        assert len(everything(store)) == 3

    @needs("strategies")
    def test_one_change_sent_by_every_thread_is_applied_once(self, store: Store) -> None:
        change = StrategyChange("alice", [samples.outcome()])
        told = at_once(lambda _: store.update_strategies([change])[0])

        assert {receipt.revision for receipt in told} == {1}
        assert store.load_strategies(["alice"])["alice"].interventions == 1

    @needs("conversations")
    def test_a_batch_is_seen_whole_or_not_at_all(self, store: Store) -> None:
        written = [Event() for _ in range(8)]

        def work(thread: int) -> set[int]:
            pair, reads = divmod(thread, 2)
            if not reads:
                try:
                    store.save_messages(samples.talk(20, f"talk {pair}"))
                finally:  # also where the driver raises, or its reader would wait for ever
                    written[pair].set()
                return set()
            seen = {0}
            while not written[pair].is_set():
                seen.add(len(everything(store, f"talk {pair}")))
            return seen | {len(everything(store, f"talk {pair}"))}

        seen = at_once(work, 16)

        assert set().union(*seen) == {0, 20}
