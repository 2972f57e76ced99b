"""Expiring: what a policy no longer keeps goes, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Final

import attrs

from whisper_persistence.records import Follower, Message, Retention, StatisticsChange, StrategyChange, Thing
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything, ids
from whisper_persistence.testing.declared import kinds_of
from whisper_persistence.testing.retained import USERS, counted, exact, fill, kept, policies_of
from whisper_persistence.testing.scanning import scan_all

_DAY: Final = timedelta(days=1)


def _talks(store: Store) -> None:
    """Append five messages to each of two conversations, each a day older than the one before it."""
    moments = [samples.MOMENT - timedelta(days=n) for n in range(5)]
    for talk in ("a", "b"):
        batch = [samples.message(talk, message_id=f"m{n}", timestamp=moment) for n, moment in enumerate(moments)]
        store.save_messages(batch)


@needs("expire")
class ExpiryConformance(Conformance):
    """What `expire` removes."""

    @needs("conversations")
    def test_a_dry_run_counts_and_removes_nothing(self, store: Store) -> None:
        _talks(store)
        policy = Retention("messages", timedelta(days=2, hours=1), now=samples.MOMENT)

        assert counted(store.expire([policy], True)) == 4
        assert len(everything(store, "a")) == 5
        assert counted(store.expire([policy], False)) == 4
        assert counted(store.expire([policy], False)) == 0

    @needs("conversations")
    def test_age_is_by_the_clock_of_the_record(self, store: Store) -> None:
        _talks(store)
        store.expire([Retention("messages", timedelta(days=2, hours=1), now=samples.MOMENT)], False)

        assert ids(everything(store, "a")) == ids(everything(store, "b")) == ["m0", "m1", "m2"]

    @needs("conversations")
    def test_a_record_of_exactly_the_greatest_age_stays(self, store: Store) -> None:
        ages = [_DAY, _DAY + timedelta(microseconds=1), _DAY - timedelta(microseconds=1)]
        whole = samples.MOMENT.replace(microsecond=0)
        for n, age in enumerate(ages):
            for name, now in (("a", samples.MOMENT), ("whole", whole)):
                store.save_messages([samples.message(name, message_id=f"m{n}", timestamp=now - age)])
        store.expire([Retention("messages", _DAY, now=samples.MOMENT)], False)

        assert ids(everything(store, "a")) == ["m0", "m2"]
        assert ids(everything(store, "whole")) == []

    @needs("conversations")
    def test_number_is_by_the_order_of_the_conversation(self, store: Store) -> None:
        _talks(store)
        store.expire([Retention("messages", max_per_thing=2)], False)

        assert ids(everything(store, "a")) == ids(everything(store, "b")) == ["m3", "m4"]

    @needs("conversations")
    def test_expired_messages_raise_the_revision_and_keep_the_counting(self, store: Store) -> None:
        _talks(store)
        store.expire([Retention("messages", max_per_thing=1)], False)
        (receipt,) = store.save_messages([samples.message("a", message_id="new")])

        assert receipt.sequence == 6
        assert receipt.revision > 6

    @needs("conversations")
    def test_a_policy_without_limits_keeps_everything(self, store: Store) -> None:
        _talks(store)

        assert counted(store.expire([Retention("messages")], False)) == 0
        assert len(everything(store, "a")) == 5

    @needs("conversations")
    def test_messages_that_concern_a_kept_user_or_were_written_by_them_stay(self, store: Store) -> None:
        for user, author, role in (("bob", "bob", "user"), ("bob", "alice", "user"), ("alice", "bot", "assistant")):
            store.save_messages([Message("talk", user, author, "old", role, f"{user} by {author}", samples.MOMENT)])  # type: ignore[arg-type]
        later = samples.MOMENT + 2 * _DAY
        only = Retention("messages", _DAY, now=later)
        store.expire([attrs.evolve(only, user_ids=("carol",)), attrs.evolve(only, kept_users=("alice",))], False)

        assert ids(everything(store)) == ["bob by alice", "alice by bot"]
        store.expire([attrs.evolve(only, user_ids=("alice",))], False)
        assert everything(store) == []

    @needs("conversations")
    def test_at_most_so_many_go_at_once_the_oldest_first(self, store: Store) -> None:
        _talks(store)
        policy = Retention("messages", max_per_thing=1, limit=3)
        gone = [(counted(store.expire([policy], True)), counted(store.expire([policy], False))) for _ in range(4)]

        assert gone == [(3, 3), (3, 3), (2, 2), (0, 0)]
        assert ids(everything(store, "a")) == ids(everything(store, "b")) == ["m4"]

    @needs("scan")
    def test_exactly_what_no_policy_keeps_goes_of_every_kind(self, store: Store) -> None:
        chance = Random(7)  # noqa: S311
        kinds = kinds_of(self.capabilities)
        fill(store, self.capabilities, chance)
        for _ in range(4):
            policies = policies_of(kinds, chance)
            before = {kind: scan_all(store, kind, 500) for kind in kinds}
            scored = {score.user_id for score in before.get("scores", ())}
            expected = {
                kind: kept(kind, before[kind], [p for p in policies if p.kind == kind], scored) for kind in kinds
            }
            would, did = store.expire(policies, True), store.expire(policies, False)
            left = {kind: sorted(exact(kind, record) for record in scan_all(store, kind, 500)) for kind in kinds}

            assert left == expected
            for kind in kinds:
                assert counted(would, kind) == counted(did, kind) == len(before[kind]) - len(left[kind])
            fill(store, self.capabilities, chance)

    @needs("revisions")
    def test_only_what_lost_something_gets_a_new_revision(self, store: Store) -> None:
        things = [*(Thing("user", user) for user in USERS), *(Thing("conversation", talk) for talk in ("a", "a_1"))]
        for user in USERS:
            samples.fill(store, self.capabilities, user, {"alice": "a", "bob": "a_1"}.get(user, "b"))
        before = store.load_revisions(things)
        late = samples.MOMENT + timedelta(days=9_000)
        policies = [Retention(kind, _DAY, 1, late, ("alice",)) for kind in kinds_of(self.capabilities)]
        store.expire(policies, True)
        assert store.load_revisions(things) == before
        store.expire(policies, False)
        after = store.load_revisions(things)

        for thing in before:
            lost = thing.thing_id in ("alice", "a")
            assert (after[thing].revision > before[thing].revision) is lost
            assert after[thing].epoch == before[thing].epoch
            assert after[thing].sequence >= before[thing].sequence

    @needs("followers")
    def test_followers_are_told_what_went(self, store: Store) -> None:
        samples.fill(store, self.capabilities)
        kinds = kinds_of(self.capabilities)
        store.register_follower(Follower("f", (*kinds, "conversations", "amendments")))
        late = samples.MOMENT + timedelta(days=9_000)
        store.expire([Retention(kind, _DAY, now=late) for kind in kinds], True)
        assert store.load_pending("f", 1_000) == ()
        store.expire([Retention(kind, _DAY, now=late) for kind in kinds], False)
        told = {(pending.kind, pending.item) for pending in store.load_pending("f", 1_000)}
        expected = {
            "strategies": {("strategies", ""), ("outcomes", "o1")},
            "statistics": {("scores", "memory"), ("patterns", "pattern"), ("patterns", "second"), ("preferences", "")},
            "conversations": {("messages", "full"), ("messages", "m0"), ("conversations", ""), ("amendments", "")},
        }

        for subject, items in expected.items():
            if subject in self.capabilities:
                assert items <= told

    @needs("statistics")
    def test_expired_scores_leave_the_statistics_and_may_be_given_again(self, store: Store) -> None:
        scores = [samples.score(f"s{n}", n / 10, calculation_timestamp=samples.MOMENT - n * _DAY) for n in range(1, 5)]
        store.update_statistics([StatisticsChange("alice", scores, timestamp=samples.MOMENT)])
        policies = [Retention(kind, 2 * _DAY, now=samples.MOMENT) for kind in ("scores", "statistics")]
        store.expire(policies, False)
        found = store.load_statistics(["alice"])["alice"]

        assert (found.total_memories_scored, found.minimum, found.maximum, found.median) == (2, 0.1, 0.2, 0.15)
        assert found.last_updated == samples.MOMENT
        store.update_statistics([StatisticsChange("alice", scores, timestamp=samples.MOMENT)])
        assert store.load_statistics(["alice"])["alice"].total_memories_scored == 4

    @needs("statistics")
    def test_statistics_stay_as_long_as_any_of_their_scores(self, store: Store) -> None:
        score = samples.score("s", 0.5, calculation_timestamp=samples.MOMENT)
        store.update_statistics([StatisticsChange("alice", [score], timestamp=samples.MOMENT - 9 * _DAY)])
        policies = [Retention("statistics", _DAY, now=samples.MOMENT)]
        store.expire(policies, False)
        assert store.load_statistics(["alice"])
        store.update_statistics([StatisticsChange("alice", forgotten=["s"], timestamp=samples.MOMENT - 9 * _DAY)])
        store.expire(policies, False)

        assert store.load_statistics(["alice"]) == {}

    @needs("strategies")
    def test_a_user_whose_strategy_expired_can_be_learned_about_again(self, store: Store) -> None:
        store.update_strategies([StrategyChange("alice", [samples.outcome(0.9)], timestamp=samples.MOMENT)])
        store.expire([Retention("strategies", _DAY, now=samples.MOMENT + 2 * _DAY)], False)
        assert store.load_strategies(["alice"]) == {}
        store.update_strategies([StrategyChange("alice", [samples.outcome(0.9)])])

        assert store.load_strategies(["alice"])["alice"].interventions == 1
