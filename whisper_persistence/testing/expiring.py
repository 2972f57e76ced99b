"""Expiring: what a policy no longer keeps goes, and nothing else."""

from __future__ import annotations

from datetime import timedelta

from whisper_persistence.records import Retention, TierReport
from whisper_persistence.store import Store
from whisper_persistence.testing import samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything, ids


def _counted(reports: tuple[TierReport, ...]) -> int:
    return sum(report.counts.get("messages", 0) for report in reports)


def _talks(store: Store) -> None:
    """Append five messages to each of two conversations, each a day older than the one before it."""
    moments = [samples.MOMENT - timedelta(days=n) for n in range(5)]
    for talk in ("a", "b"):
        batch = [samples.message(talk, message_id=f"m{n}", timestamp=moment) for n, moment in enumerate(moments)]
        store.save_messages(batch)


@needs("expire", "conversations")
class ExpiryConformance(Conformance):
    """What `expire` removes."""

    def test_a_dry_run_counts_and_removes_nothing(self, store: Store) -> None:
        _talks(store)
        policy = Retention("messages", timedelta(days=2, hours=1), now=samples.MOMENT)

        assert _counted(store.expire([policy], True)) == 4
        assert len(everything(store, "a")) == 5
        assert _counted(store.expire([policy], False)) == 4
        assert _counted(store.expire([policy], False)) == 0

    def test_age_is_by_the_clock_of_the_record(self, store: Store) -> None:
        _talks(store)
        store.expire([Retention("messages", timedelta(days=2, hours=1), now=samples.MOMENT)], False)

        assert ids(everything(store, "a")) == ids(everything(store, "b")) == ["m0", "m1", "m2"]

    def test_number_is_by_the_order_of_the_conversation(self, store: Store) -> None:
        _talks(store)
        store.expire([Retention("messages", max_per_thing=2)], False)

        assert ids(everything(store, "a")) == ids(everything(store, "b")) == ["m3", "m4"]

    def test_expired_messages_raise_the_revision_and_keep_the_counting(self, store: Store) -> None:
        _talks(store)
        store.expire([Retention("messages", max_per_thing=1)], False)
        (receipt,) = store.save_messages([samples.message("a", message_id="new")])

        assert receipt.sequence == 6
        assert receipt.revision > 6

    def test_a_policy_without_limits_keeps_everything(self, store: Store) -> None:
        _talks(store)

        assert _counted(store.expire([Retention("messages")], False)) == 0
        assert len(everything(store, "a")) == 5
