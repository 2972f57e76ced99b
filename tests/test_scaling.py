"""What ``docs/scaling.md`` says of partitions, row-level security and backups is so."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege

from whisper_persistence import Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

#: The tables that say whose a row is.
KEPT_APART = """
SELECT format('%I.%I', table_schema, table_name) FROM information_schema.columns
WHERE table_schema = 'kept' AND column_name = 'namespace'
"""
#: What must neither show nor touch a row of another namespace.
FORGED = (
    "SELECT 1 FROM TABLE WHERE namespace = 'marcus' OR namespace <> 'elena'",
    "DELETE FROM TABLE WHERE namespace = 'marcus' OR namespace <> 'elena'",
    "UPDATE TABLE SET namespace = 'elena' WHERE namespace = 'marcus'",
)


def open_store(url: str, namespace: str = "elena", **options: Any) -> Store:
    return Store(Chain.build([DriverSpec("postgres", {"url": url, "schema": "kept", **options})]), namespace)


def ask(url: str, *statements: str) -> list[Any]:
    """Run statements and return the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def guest_url(postgres_url: str) -> Iterator[str]:
    """The URL of a role that is nothing but the owner of a schema."""
    role = f"bot_of_{postgres_url.partition('?')[0].rpartition('/')[2]}"
    ask(postgres_url, f"CREATE ROLE {role} LOGIN", f"CREATE SCHEMA kept AUTHORIZATION {role}")
    yield postgres_url.replace("//postgres:@", f"//{role}@")
    ask(postgres_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_conversation_lies_in_one_partition_and_only_that_is_read(postgres_url):
    partitions = (
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'kept.conversation_history'::regclass"
    )
    reads = (
        "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'kept' AND relname LIKE 'conversation_history_%' "
        "AND coalesce(seq_scan, 0) + coalesce(idx_scan, 0) > 0"
    )
    with open_store(postgres_url, history_partitions=8) as store:
        for n in range(50):
            store.save_messages(samples.talk(5, f"talk {n}"))
    filled = [name for (name,) in ask(postgres_url, partitions) if ask(postgres_url, f"TABLE {name} LIMIT 1")]
    ask(postgres_url, "SELECT pg_stat_reset()")
    with open_store(postgres_url, pool_size=1) as store:
        for _ in range(10):
            found = store.load_messages([Window("talk 7")])
        with store.chain.drivers["postgres"]._database.reading() as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")

    assert len(filled) == 8
    assert [len(messages) for messages in found.values()] == [5]
    assert len(ask(postgres_url, reads)) == 1


@pytest.mark.parametrize("partitions", [0, 3])
def test_another_namespace_can_neither_be_read_nor_written_also_by_forged_statements(guest_url, partitions):
    options: dict[str, Any] = {"row_level_security": True, "history_partitions": partitions}
    with open_store(guest_url, "elena", **options) as elena, open_store(guest_url, "marcus", **options) as marcus:
        for store in (elena, marcus):
            samples.fill(store, SUBJECT_CAPABILITIES)
        before = samples.read(marcus, SUBJECT_CAPABILITIES)
        tables = [name for (name,) in ask(guest_url, KEPT_APART)]
        with elena.chain.drivers["postgres"]._database.reading() as connection:
            for table in tables:
                touched = [connection.execute(forged.replace("TABLE", table)).rowcount for forged in FORGED]
                assert touched == [0, 0, 0], table
            with pytest.raises(InsufficientPrivilege):
                connection.execute("INSERT INTO kept.user_emotional_profiles VALUES ('marcus', 'forged', 0)")
            with pytest.raises(InsufficientPrivilege):
                connection.execute("UPDATE kept.conversation_history SET namespace = 'marcus'")

        assert len(tables) == 19 + 3 * partitions
        assert samples.read(marcus, SUBJECT_CAPABILITIES) == before
    assert ask(guest_url, "SELECT count(*) FROM kept.conversation_history") == [(0,)]


def test_a_backup_by_the_owner_of_kept_apart_tables_fails_loudly(guest_url, postgres_url, tmp_path, postgres_programs):
    with open_store(guest_url, row_level_security=True) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)

    def dump(url: str) -> subprocess.CompletedProcess[str]:
        command = [str(postgres_programs / "pg_dump"), "--schema=kept", f"--file={tmp_path}/memory.sql", url]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert "row-level security policy" in dump(guest_url).stderr
    assert dump(postgres_url).returncode == 0


def test_a_url_that_names_two_servers_reaches_the_one_that_takes_writes(postgres_url):
    page = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)\n```$", page, re.MULTILINE)
    servers, known = conninfo_to_dict(shown), conninfo_to_dict(postgres_url)
    both = {**known, "host": f"/absent,{known['host']}", "target_session_attrs": "read-write"}

    assert (servers["host"], servers["target_session_attrs"]) == ("db1.example,db2.example", "read-write")
    with open_store(f"postgresql://?{urlencode(both)}") as store:
        assert store.save_messages(samples.talk(1))


def test_a_role_can_carry_the_settings_that_a_pooler_leaves_out(guest_url, postgres_url):
    page = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
    statements = re.findall(r"ALTER ROLE bot [^;]+", page)
    role = guest_url.partition("//")[2].partition("@")[0]
    ask(postgres_url, *(statement.replace("bot", role) for statement in statements))
    with psycopg.connect(guest_url, autocommit=True) as connection:
        names = [statement.split()[4] for statement in statements]
        found = {name: connection.execute(f"SHOW {name}".encode()).fetchall()[0][0] for name in names}

    assert found == {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "1min",
        "timezone": "UTC",
        "whisper_persistence.namespace": "elena",
    }
