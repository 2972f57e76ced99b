"""How long the SQL drivers remember which changes were applied."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from whisper_persistence import PreferencesChange, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain


def test_applied_changes_are_forgotten_after_thirty_days_and_not_before(tmp_path):
    path = tmp_path / "memory.db"
    with Store(Chain.build([DriverSpec("sqlite", {"path": path})])) as store:
        store.update_preferences([PreferencesChange("alice", change_id=f"old {n}") for n in range(10)])
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE applied_changes SET applied_at = applied_at - 31 * 24 * 3600 * 1000000")
        store.update_preferences([PreferencesChange("alice", change_id="young")])
        changes = [PreferencesChange("bob", change_id=f"new {n}") for n in range(40_000)]
        for first in range(0, len(changes), 1_000):
            store.update_preferences(changes[first : first + 1_000])
        with closing(sqlite3.connect(path)) as connection:
            left = connection.execute("SELECT count(*) FROM applied_changes").fetchone()[0]

    assert left == 40_001
