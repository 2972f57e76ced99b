"""What a PostgreSQL driver does without the limits of a statement: installing, and writing tables anew."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest
from whisper_persistence_drivers.postgres import PostgresDriver

from whisper_persistence import Message, PreferencesChange, Store
from whisper_persistence.plugins import Chain
from whisper_persistence.records import TierReport

HISTORY = '"whisper_persistence"."conversation_history"'


def opened(url: str, **options: bool) -> Store:
    return Store(Chain.of({"postgres": PostgresDriver(url, **options)}))


def erased(store: Store, *users: str) -> TierReport:
    store.save_messages([Message("talk", user, user, f"said by {user}") for user in users])
    return store.erase_users(users)[0]


def test_what_an_open_transaction_still_sees_is_not_told_as_gone(postgres_url: str) -> None:
    with opened(postgres_url, rewrite_on_erase=True) as store:
        with closing(psycopg.connect(postgres_url)) as other:
            other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            other.execute("SELECT 1 FROM pg_class")
            during = erased(store, "alice")
        after = erased(store, "bob")

    assert HISTORY not in during.rewritten
    assert any(HISTORY in left and "no transaction is open" in left for left in during.remaining)
    assert HISTORY in after.rewritten
    assert not any(HISTORY in left for left in after.remaining)


@pytest.fixture
def owners_url(postgres_url: str) -> str:
    """The URL of the same database, in which every session is that of a role which is no superuser."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        database = connection.info.dbname
        with suppress(psycopg.errors.DuplicateObject):
            connection.execute("CREATE ROLE memory_owner")
        connection.execute(f'GRANT CREATE ON DATABASE "{database}" TO memory_owner'.encode())
    return f"{postgres_url}&options=-c%20role%3Dmemory_owner"


@pytest.mark.parametrize("protected", [False, True])
def test_the_planner_keeps_no_sample_of_who_was_erased(postgres_url: str, owners_url: str, protected: bool) -> None:
    with opened(owners_url, rewrite_on_erase=True, row_level_security=protected) as store:
        store.update_preferences([PreferencesChange(user, {"likes": "CANARY"}) for user in ("alice", "bob")])
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("ANALYZE")
            assert sampled(connection)
            erased(store, "alice", "bob")
            assert not sampled(connection)


def sampled(connection: psycopg.Connection[Any]) -> list[Any]:
    """Return what the planner has of values in our tables that only two users have."""
    found = connection.execute(
        """SELECT c.relname, s.stavalues1::text, s.stavalues2::text FROM pg_statistic s
        JOIN pg_class c ON c.oid = s.starelid
        WHERE c.relname IN ('user_emotional_profiles', 'user_memory_preferences')"""
    ).fetchall()
    return [row for row in found if "alice" in str(row) or "CANARY" in str(row)]


def test_what_the_url_says_of_a_session_holds_while_installing_too(postgres_url: str, owners_url: str) -> None:
    opened(owners_url).close()
    with psycopg.connect(postgres_url) as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'whisper_persistence'"
        )

        assert owners.fetchall() == [("memory_owner",)]


def test_whoever_installs_gives_locks_up_when_stopped_and_is_bound_by_no_statement(postgres_url: str) -> None:
    database = PostgresDriver(postgres_url, statement_timeout=1.0, lock_timeout=1.0).connect()
    with closing(database._connect_plainly()) as connection:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        told = [connection.execute(f"SHOW {name}".encode()).fetchall()[0][0] for name in names]
    database.close()

    assert told == ["0", "0", "1min"]
