"""Restarts: what was stored is there again, or, where that is not claimed, honestly gone."""

from __future__ import annotations

from pathlib import Path

from whisper_persistence.records import ClearMark, Follower, MessageEdit, StatisticsChange, StrategyChange
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything, ids


def _exactly(store: Store, claimed: frozenset[str]) -> dict[str, object]:
    """Return all that is shown, in a form that differs where anything differs."""
    found = samples.read(store, claimed)
    return {name: [samples.exact(record) for record in samples.members(shown)] for name, shown in found.items()}


class RestartConformance(Conformance):
    """What a store opened again on the same path holds."""

    def test_a_restart_keeps_what_the_claim_of_durability_says(self, path: Path) -> None:
        claimed = self.capabilities
        with self.open_store(path) as store:
            samples.fill(store, claimed)
            before = _exactly(store, claimed)
        with self.open_store(path) as store:
            assert before != {}
            assert _exactly(store, claimed) == (before if "durable" in claimed else {})

    @needs("durable")
    def test_a_restart_after_every_write_loses_nothing(self, path: Path) -> None:
        for n in range(4):
            with self.open_store(path) as store:
                samples.fill(store, self.capabilities, nasty.IDS[n], f"talk {n}")
        with self.open_store(path) as store:
            assert all(samples.read(store, self.capabilities, nasty.IDS[n], f"talk {n}") for n in range(4))

    @needs("durable", "strategies")
    def test_revisions_and_applied_changes_are_remembered(self, path: Path) -> None:
        change = StrategyChange("alice", [samples.outcome(outcome_id="same")])
        with self.open_store(path) as store:
            store.update_strategies([change])
        with self.open_store(path) as store:
            replayed, later = store.update_strategies([change, StrategyChange("alice", [samples.outcome()])])

            assert (replayed.revision, later.revision) == (1, 2)
            assert store.load_strategies(["alice"])["alice"].interventions == 2

    @needs("durable", "statistics")
    def test_statistics_go_on_exactly(self, path: Path) -> None:
        for value in (0.1, 0.2, 0.7):
            with self.open_store(path) as store:
                store.update_statistics([StatisticsChange("alice", [samples.score(f"{value}", value)])])
        with self.open_store(path) as store:
            found = store.load_statistics(["alice"])["alice"]

            assert (found.total_memories_scored, found.score_sum) == (3, 1_000_000_000)
            assert (found.minimum, found.median, found.maximum) == (0.1, 0.2, 0.7)

    @needs("durable", "conversations")
    def test_a_conversation_goes_on_where_it_was(self, path: Path) -> None:
        edit = MessageEdit("talk", "m1", "edited")
        with self.open_store(path) as store:
            store.save_messages(samples.talk(3))
            store.update_messages([ClearMark("talk", 1), edit])
        with self.open_store(path) as store:
            receipts = [*store.save_messages([*samples.talk(3), samples.message(message_id="new")])]
            (again,) = store.update_messages([edit])

            assert [receipt.sequence for receipt in receipts] == [1, 2, 3, 4]
            assert (receipts[0].revision, receipts[3].revision, again.revision) == (5, 6, 6)
            assert ids(everything(store)) == ["m1", "m2", "new"]
            assert everything(store)[0].content == "edited"

    @needs("durable", "followers")
    def test_followers_and_their_pending_work_are_remembered(self, path: Path) -> None:
        with self.open_store(path) as store:
            store.register_follower(Follower("f", ("strategies", "preferences", "messages")))
            samples.fill(store, self.capabilities)
            pending = store.load_pending("f", 100)
        with self.open_store(path) as store:
            assert pending != ()
            assert store.load_pending("f", 100) == pending
            assert store.register_follower(Follower("f", ("messages",))) is False

    @needs("durable", "erase")
    def test_an_erased_user_stays_erased(self, path: Path) -> None:
        with self.open_store(path) as store:
            samples.fill(store, self.capabilities)
            store.erase_users(["alice"])
        with self.open_store(path) as store:
            assert samples.read(store, self.capabilities) == {}

    @needs("durable")
    def test_a_namespace_is_found_again_however_it_is_spelt(self, path: Path) -> None:
        with self.open_store(path, " Bot ") as store:
            samples.fill(store, self.capabilities)
        with self.open_store(path, "bot") as store:
            assert samples.read(store, self.capabilities) != {}
