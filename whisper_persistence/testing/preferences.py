"""Preferences: what a user wishes to be remembered."""

from __future__ import annotations

from datetime import timedelta

from whisper_persistence.records import Preferences, PreferencesChange
from whisper_persistence.store import Store
from whisper_persistence.testing import nasty, samples
from whisper_persistence.testing.base import Conformance, needs


@needs("statistics")
class PreferencesConformance(Conformance):
    """What `save_preferences` puts and `update_preferences` changes."""

    def test_preferences_come_back_in_every_field(self, store: Store) -> None:
        saved = {user: samples.full_preferences(user) for user in nasty.IDS}
        store.save_preferences(list(saved.values()))
        found = store.load_preferences(nasty.IDS)

        assert sorted(found) == sorted(saved)
        assert all(samples.same(found[user], saved[user]) for user in saved)

    def test_a_first_wish_needs_nothing_stored_before(self, store: Store) -> None:
        store.update_preferences([PreferencesChange("new", {"a": [1.0]}, timestamp=samples.MOMENT)])

        assert samples.same(store.load_preferences(["new"])["new"], Preferences("new", {"a": [1.0]}, samples.MOMENT))

    def test_wishes_are_set_and_taken_back_in_order(self, store: Store) -> None:
        store.update_preferences(
            [
                PreferencesChange("alice", {"a": 1, "b": {"x": 1}, "c" * 2_000: 1}),
                PreferencesChange("alice", {"a": 2}, removed=["a", "b", "never", "c" * 2_000]),
                PreferencesChange("bob", {"a": None}),
                PreferencesChange("alice", {"": "", "b": False}, extra={"e": 1}),
            ]
        )
        found = store.load_preferences(["alice", "bob", "nobody"])

        assert found["alice"].values == {"a": 2, "": "", "b": False}
        assert found["alice"].extra == {"e": 1}
        assert found["bob"].values == {"a": None}
        assert "nobody" not in found

    def test_a_wish_applied_twice_counts_once(self, store: Store) -> None:
        early = PreferencesChange("alice", {"a": 1})
        store.update_preferences([early, PreferencesChange("alice", {"a": 2})])
        store.update_preferences([early])

        assert store.load_preferences(["alice"])["alice"].values == {"a": 2}

    def test_a_wish_told_late_keeps_the_newer_time(self, store: Store) -> None:
        for days in (0, -1):
            moment = samples.MOMENT + timedelta(days=days)
            store.update_preferences([PreferencesChange("alice", {"a": days}, timestamp=moment)])
        found = store.load_preferences(["alice"])["alice"]

        assert (found.last_updated, found.values) == (samples.MOMENT, {"a": -1})

    def test_saving_preferences_replaces_them_and_the_last_wins(self, store: Store) -> None:
        store.save_preferences([samples.full_preferences(), Preferences("alice", {"x": 1}, samples.MOMENT)])

        assert store.load_preferences(["alice"]) == {"alice": Preferences("alice", {"x": 1}, samples.MOMENT)}
