"""Namespaces: no bot reads, changes or erases what another remembers."""

from __future__ import annotations

from pathlib import Path

from whisper_persistence.records import ClearMark, Follower, StrategyChange, Thing
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.declared import kinds_of


class NamespaceConformance(Conformance):
    """That two stores of different namespaces on one path never meet."""

    def test_nothing_is_seen_from_another_namespace(self, path: Path) -> None:
        claimed = self.capabilities
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            samples.fill(one, claimed)

            assert samples.read(one, claimed) != {}
            assert samples.read(two, claimed) == {}

    def test_the_same_ids_are_kept_apart(self, path: Path) -> None:
        claimed = self.capabilities
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            samples.fill(one, claimed)
            before = samples.read(one, claimed)
            samples.fill(two, claimed)
            samples.fill(two, claimed, "bob", "talk")

            assert samples.read(one, claimed) == before
            assert samples.read(one, claimed, "bob", "nowhere") == {}

    def test_names_that_would_join_to_the_same_key_are_kept_apart(self, path: Path) -> None:
        claimed = self.capabilities
        with self.open_store(path, "a") as one, self.open_store(path, "a:b") as two:
            samples.fill(one, claimed, "b:c", "b:c")

            assert samples.read(two, claimed, "c", "c") == {}

    @needs("strategies")
    def test_changes_are_counted_apart(self, path: Path) -> None:
        change = StrategyChange("alice", [samples.outcome()], change_id="c")
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            receipts = [store.update_strategies([change])[0] for store in (one, two)]

            assert [receipt.revision for receipt in receipts] == [1, 1]
            assert two.load_strategies(["alice"])["alice"].interventions == 1

    @needs("conversations")
    def test_sequences_and_marks_are_kept_apart(self, path: Path) -> None:
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            one.save_messages(samples.talk(5))
            two.save_messages(samples.talk(2))
            one.update_messages([ClearMark("talk")])

            assert len(samples.read(two, frozenset({"conversations"}))["messages"]) == 2
            assert two.save_messages([samples.message()])[0].sequence == 3

    @needs("scan")
    def test_a_scan_stays_in_its_namespace(self, path: Path) -> None:
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            samples.fill(one, self.capabilities)

            assert [two.scan(kind, None, 10).records for kind in kinds_of(self.capabilities)] == [()] * len(
                kinds_of(self.capabilities)
            )

    @needs("erase")
    def test_an_erase_stays_in_its_namespace(self, path: Path) -> None:
        claimed = self.capabilities
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            samples.fill(one, claimed)
            samples.fill(two, claimed)
            before = samples.read(two, claimed)
            one.erase_users(["alice"])

            assert samples.read(one, claimed) == {}
            assert samples.read(two, claimed) == before

    @needs("followers", "revisions")
    def test_followers_and_revisions_stay_in_their_namespace(self, path: Path) -> None:
        with self.open_store(path, "one") as one, self.open_store(path, "two") as two:
            one.register_follower(Follower("f", ("strategies", "preferences", "messages")))
            samples.fill(one, self.capabilities)

            assert two.load_pending("f", 100) == ()
            assert two.register_follower(Follower("f", ("messages",))) is True
            assert two.load_revisions([Thing("user", "alice"), Thing("conversation", "talk")]) == {}
