"""Erasing: a user is gone from every read, nobody else is, and nothing comes back."""

from __future__ import annotations

from whisper_persistence.records import Message, StrategyChange, Thing, Window
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs
from whisper_persistence.testing.conversations import everything, ids, shown
from whisper_persistence.testing.declared import kinds_of
from whisper_persistence.testing.scanning import scan_all

_SAYS = (
    ("to alice by the bot", "alice", "bot", "assistant"),
    ("by alice", "alice", "alice", "user"),
    ("by alice about bob", "bob", "alice", "user"),
    ("by bob", "bob", "bob", "user"),
    ("to bob by the bot", "bob", "bot", "assistant"),
)


def _channel(store: Store) -> None:
    store.save_messages([Message("talk", user, author, what, role, what) for what, user, author, role in _SAYS])  # type: ignore[arg-type]


@needs("erase")
class EraseConformance(Conformance):
    """What `erase_users` forgets."""

    def test_a_user_is_gone_from_every_read(self, store: Store) -> None:
        samples.fill(store, self.capabilities)
        report = store.erase_users(["alice"])

        assert samples.read(store, self.capabilities) == {}
        assert sum(count for tier in report for count in tier.counts.values()) > 0

    def test_everyone_else_stays(self, store: Store) -> None:
        users = [user for user in nasty.IDS if user != "u"]
        for n, user in enumerate(nasty.IDS):
            samples.fill(store, self.capabilities, user, f"talk {n}")
        places = {user: f"talk {n}" for n, user in enumerate(nasty.IDS)}
        before = {user: samples.read(store, self.capabilities, user, places[user]) for user in users}
        store.erase_users(["u"])

        assert {user: samples.read(store, self.capabilities, user, places[user]) for user in users} == before
        assert samples.read(store, self.capabilities, "u", places["u"]) == {}

    def test_a_user_with_any_name_can_be_erased(self, store: Store) -> None:
        for user in nasty.IDS:
            samples.fill(store, self.capabilities, user, user)
        store.erase_users(nasty.IDS)

        assert [samples.read(store, self.capabilities, user, user) for user in nasty.IDS] == [{}] * len(nasty.IDS)

    @needs("scan")
    def test_a_user_is_gone_from_scans(self, store: Store) -> None:
        for user in ("u", "u_1"):
            samples.fill(store, self.capabilities, user, f"of {user}")
        store.erase_users(["u"])
        for kind in kinds_of(self.capabilities):
            assert {record.user_id for record in scan_all(store, kind, 3)} == {"u_1"}

    @needs("conversations")
    def test_messages_to_a_user_and_by_a_user_go_and_others_stay(self, store: Store) -> None:
        _channel(store)
        store.erase_users(["alice"])

        assert ids(everything(store)) == ["by bob", "to bob by the bot"]
        assert shown(store, Window("talk", user_id="alice")) == []
        assert ids(shown(store, Window("talk", 1, after=0))) == ["by bob"]

    @needs("conversations")
    def test_what_a_bot_answered_belongs_to_those_it_answered(self, store: Store) -> None:
        _channel(store)
        store.erase_users(["bot"])

        assert ids(everything(store)) == [what for what, *_ in _SAYS]

    @needs("conversations")
    def test_erasing_keeps_counting_where_it_was(self, store: Store) -> None:
        _channel(store)
        (before,) = store.save_messages([samples.message(message_id="last")])
        store.erase_users(["alice"])
        (after,) = store.save_messages([samples.message(message_id="new")])

        assert (before.sequence, after.sequence) == (6, 7)
        assert after.revision > before.revision + 1
        assert ids(everything(store)) == ["by bob", "to bob by the bot", "new"]

    @needs("conversations")
    def test_an_erased_message_can_be_sent_again(self, store: Store) -> None:
        store.save_messages(samples.talk(2))
        store.erase_users(["alice"])
        receipts = store.save_messages(samples.talk(2))

        assert ids(everything(store)) == ["m0", "m1"]
        assert receipts[0].sequence == 3

    @needs("strategies")
    def test_revision_and_epoch_only_grow_and_later_writes_work(self, store: Store) -> None:
        first = store.update_strategies([StrategyChange("alice", [samples.outcome(0.9, outcome_id="o")])])[0]
        receipts = [first]
        for n in range(3):
            store.erase_users(["alice"])
            receipts += store.update_strategies([StrategyChange("alice", [samples.outcome(outcome_id=f"o{n}")])])

            assert receipts[-1].revision > receipts[-2].revision + 1
            assert receipts[-1].epoch > receipts[-2].epoch
            assert store.load_strategies(["alice"])["alice"].interventions == 1

    @needs("revisions")
    def test_erasing_a_stranger_is_counted_too(self, store: Store) -> None:
        stranger = Thing("user", "never seen")
        store.erase_users(["never seen"])
        first = store.load_revisions([stranger])[stranger]
        store.erase_users(["never seen"])
        second = store.load_revisions([stranger])[stranger]

        assert min(first.revision, first.epoch) >= 1
        assert second.revision > first.revision
        assert second.epoch > first.epoch

    @needs("revisions", "conversations")
    def test_only_conversations_that_lost_something_get_a_new_revision(self, store: Store) -> None:
        _channel(store)
        store.save_messages(samples.talk(2, "of bob", "bob"))
        talk, other = Thing("conversation", "talk"), Thing("conversation", "of bob")
        before = store.load_revisions([talk, other])
        store.erase_users(["alice"])
        after = store.load_revisions([talk, other])

        assert after[talk].revision > before[talk].revision
        assert after[talk].sequence == before[talk].sequence
        assert after[other] == before[other]

    def test_erasing_nobody_erases_nothing(self, store: Store) -> None:
        samples.fill(store, self.capabilities)
        before = samples.read(store, self.capabilities)
        store.erase_users([])
        store.erase_users(["bob", "bob"])

        assert samples.read(store, self.capabilities) == before
