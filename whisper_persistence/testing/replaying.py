"""Replays: what was acknowledged in an outage comes in once, brings nothing erased back, and replaces nothing newer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from whisper_persistence.errors import ErasedMeanwhileError
from whisper_persistence.origins import Origin, written_from
from whisper_persistence.records import Message, PreferencesChange, Strategy, StrategyChange, fields
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything, ids


def _origin(number: int = 1, writer: str = "journal", **others: Any) -> Origin:
    return Origin(f"{writer} {number}", writer, number, others.pop("replayed", True), **others)


def _stored(store: Store) -> str | None:
    found = store.load_strategies(["alice"]).get("alice")
    return found.strategy_id if found else None


def _conflicts(store: Store) -> int:
    *_, record = store.check_health()
    return int(record.details.get("conflicts", 0))


@needs("replays")
class ReplayConformance(Conformance):
    """The rules of `whisper_persistence.origins`."""

    @needs("strategies")
    def test_a_save_of_one_origin_is_done_once(self, store: Store) -> None:
        for strategy_id in ("first", "again"):
            with written_from(_origin(replayed=False)):
                store.save_strategies([Strategy("alice", strategy_id)])

        assert _stored(store) == "first"

    @needs("strategies", "erase")
    def test_an_erase_of_one_origin_is_done_once(self, store: Store) -> None:
        for _ in range(2):
            with written_from(_origin(replayed=False)):
                store.erase_users(["alice"])
            store.save_strategies([Strategy("alice", "after")])

        assert _stored(store) == "after"

    @needs("conversations", "erase")
    def test_receipts_number_the_erases_of_the_namespace(self, store: Store) -> None:
        numbers = [store.save_messages([samples.message(user_id="bob")])[0].erasures]
        for user in ("alice", "nobody"):
            store.erase_users([user])
            numbers.append(store.save_messages([samples.message(user_id="bob")])[0].erasures)

        assert numbers == [0, 1, 2]

    @needs("strategies", "erase")
    def test_a_change_from_before_an_erase_stays_out(self, store: Store) -> None:
        change = StrategyChange("alice", [samples.outcome()])
        store.erase_users(["alice"])
        with written_from(_origin(erasures=0)):
            receipts = store.update_strategies([change, StrategyChange("bob", [samples.outcome()])])

        assert _stored(store) is None
        assert store.load_strategies(["bob"])["bob"].interventions == 1
        assert len(receipts) == 2

    @needs("conversations", "erase")
    def test_a_message_by_or_for_somebody_erased_since_stays_out(self, store: Store) -> None:
        store.erase_users(["alice"])
        to_alice = Message("talk", "alice", "bot", "to alice", "assistant", "to alice")
        by_alice = Message("talk", "bob", "alice", "by alice", "user", "by alice")
        of_bob = Message("talk", "bob", "bob", "of bob", "user", "of bob")
        with written_from(_origin(erasures=0)):
            receipts = store.save_messages([to_alice, by_alice, of_bob])

        assert ids(everything(store)) == ["of bob"]
        assert receipts[2].sequence == 1

    @needs("strategies", "erase")
    def test_a_change_that_followed_the_erase_is_kept(self, store: Store) -> None:
        store.erase_users(["alice"])
        (seen,) = store.update_preferences([PreferencesChange("bob", {"quiet": True})])
        with written_from(_origin(erasures=seen.erasures)):
            store.update_strategies([StrategyChange("alice", [samples.outcome()])])

        assert _stored(store) is not None

    @needs("strategies", "erase")
    def test_what_its_own_writer_wrote_after_an_erase_is_kept_and_what_before_is_not(self, store: Store) -> None:
        with written_from(_origin(5)):
            store.erase_users(["alice", "bob"])
        for number, user in ((4, "alice"), (6, "bob")):
            with written_from(_origin(number, erasures=0)):
                store.update_strategies([StrategyChange(user, [samples.outcome()])])

        assert list(store.load_strategies(["alice", "bob"])) == ["bob"]

    @needs("strategies", "erase")
    def test_where_no_erase_was_seen_the_clock_decides(self, store: Store) -> None:
        store.erase_users(["alice", "bob"])
        hour = timedelta(hours=1)
        for user, written_at in (("alice", fields.now() - hour), ("bob", fields.now() + hour)):
            with written_from(_origin(erasures=None, written_at=written_at)):
                store.update_strategies([StrategyChange(user, [samples.outcome()])])

        assert list(store.load_strategies(["alice", "bob"])) == ["bob"]

    @needs("strategies", "conversations", "erase")
    def test_a_call_that_comes_after_an_erase_it_did_not_follow_is_refused_and_told_the_number(
        self, store: Store
    ) -> None:
        writes: tuple[Callable[[], Any], ...] = (
            lambda: store.save_messages([samples.message()]),
            lambda: store.update_strategies([StrategyChange("alice", [samples.outcome()])]),
            lambda: store.save_strategies([Strategy("alice", "late")]),
        )
        for write in writes:
            write()
        store.erase_users(["alice"])
        for write in writes:
            with written_from(_origin(replayed=False, erasures=0)), pytest.raises(ErasedMeanwhileError) as refused:
                write()
            assert refused.value.erasures == 1

        assert _stored(store) is None
        assert not everything(store)

    @needs("strategies", "conversations", "erase")
    def test_a_call_that_followed_the_erase_or_is_about_others_is_done(self, store: Store) -> None:
        store.save_messages([samples.message()])
        store.erase_users(["alice"])
        with written_from(_origin(replayed=False, erasures=1)):
            store.save_messages([samples.message(message_id="again")])
            store.save_strategies([Strategy("alice", "again")])
        with written_from(_origin(2, replayed=False, erasures=0)):
            store.save_messages([Message("talk", "bob", "bob", "word", message_id="of bob")])
            store.update_strategies([StrategyChange("bob", [samples.outcome()])])

        assert ids(everything(store)) == ["again", "of bob"]
        assert _stored(store) == "again"
        assert list(store.load_strategies(["bob"])) == ["bob"]

    @needs("strategies", "erase")
    def test_a_call_after_an_erase_of_its_own_writer_is_done(self, store: Store) -> None:
        with written_from(_origin(5)):
            store.erase_users(["alice"])
        with written_from(_origin(6, replayed=False, erasures=0)):
            store.update_strategies([StrategyChange("alice", [samples.outcome()])])

        assert _stored(store) is not None

    @needs("strategies")
    def test_a_save_does_not_replace_what_others_wrote_since(self, store: Store) -> None:
        (based_on,) = store.save_strategies([Strategy("alice", "known")])
        store.save_strategies([Strategy("alice", "newer")])
        with written_from(_origin(based_on={"alice": based_on.revision})):
            store.save_strategies([Strategy("alice", "late"), Strategy("bob", "new")])

        assert _stored(store) == "newer"
        assert store.load_strategies(["bob"])["bob"].strategy_id == "new"
        assert _conflicts(store) == 1

    @needs("strategies")
    def test_a_save_that_nobody_overtook_is_kept(self, store: Store) -> None:
        (based_on,) = store.save_strategies([Strategy("alice", "known")])
        with written_from(_origin(based_on={"alice": based_on.revision})):
            store.save_strategies([Strategy("alice", "late")])

        assert _stored(store) == "late"

    @needs("strategies")
    def test_a_save_that_is_stored_already_is_no_conflict(self, store: Store) -> None:
        (based_on,) = store.save_strategies([Strategy("alice", "known")])
        (late,) = store.save_strategies(saved := [Strategy("alice", "late")])
        with written_from(_origin(based_on={"alice": based_on.revision})):
            (again,) = store.save_strategies(saved)

        assert (_stored(store), again.revision) == ("late", late.revision)
        assert _conflicts(store) == 0

    @needs("strategies", "erase")
    def test_what_is_left_out_or_kept_beside_counts_as_a_write_of_its_user(self, store: Store) -> None:
        (newer,) = store.save_strategies([Strategy("alice", "newer")])
        with written_from(_origin(1)):
            (beside,) = store.save_strategies([Strategy("alice", "late")])
        store.erase_users(["bob"])
        with written_from(_origin(2, erasures=0)):
            (left_out,) = store.update_strategies([StrategyChange("bob", [samples.outcome()])])

        assert (beside.revision, left_out.revision) == (newer.revision + 1, 2)
        assert _stored(store) == "newer"
