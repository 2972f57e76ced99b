"""Installing and upgrading: beside what is there already, one process at a time, all or nothing."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine, inspect
from whisper_persistence_drivers.sql import schema
from whisper_persistence_drivers.sql.tables import INSTALLATION_TABLE, VERSION_TABLE, tables

from whisper_persistence import IncompatibleSchemaError, PersistenceError, Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

TALK = Window("talk", 1_000)
NAMES = sorted(table.name for table in tables().metadata.tables.values())


def ids(store: Store) -> list[str]:
    return [message.message_id for message in store.load_messages([TALK]).get(TALK, ())]


def asked(url: str, query: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def told(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def tables_in(url: str, name: str) -> list[str]:
    found = asked(url, f"SELECT tablename FROM pg_tables WHERE schemaname = '{name}' ORDER BY 1")  # noqa: S608
    return [row[0] for row in found]


def open_first(url: str, together: Any, answers: Any) -> None:
    """Open a store at the same moment as others do, write to it, and say what was logged."""
    said: list[str] = []

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log = logging.getLogger(schema.__name__)
    log.addHandler(Told())
    log.setLevel(logging.INFO)
    together.wait(30)
    with Store(Chain.build([DriverSpec("postgres", {"url": url})])) as store:
        store.save_messages([samples.message(message_id=str(os.getpid()))])
    answers.put((os.getpid(), said))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_of_many_processes_that_open_an_empty_database_one_installs_and_all_work(postgres_url, opened):
    fork = multiprocessing.get_context("fork")
    together, answers = fork.Barrier(8), fork.Queue()
    processes = [fork.Process(target=open_first, args=(postgres_url, together, answers)) for _ in range(8)]
    for process in processes:
        process.start()
    said = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(said) == sorted(process.pid for process in processes)
    assert [logged for logged in said.values() if logged] == [["database schema upgraded"]]
    assert sorted(ids(opened(postgres_url, "default"))) == sorted(map(str, said))


# Beside what is there already.


def occupy(url: str, place: str) -> None:
    """Make tables of our names in another shape, with rows."""
    statements = [f"CREATE SCHEMA IF NOT EXISTS {place}"]
    for name in (*NAMES, "conversation_history_user"):
        columns = "id serial PRIMARY KEY, user_id integer DEFAULT 7, record bytea"
        statements += [f"CREATE TABLE {place}.{name} ({columns})"]
        statements += [
            f"INSERT INTO {place}.{name} (record) SELECT sha256(n::text::bytea) FROM generate_series(1, 9) n"  # noqa: S608
        ]
    told(url, *statements)


def dump(url: str, place: str) -> dict[str, Any]:
    """Return all columns, constraints and indexes of a schema, and every row as it lies there."""
    with psycopg.connect(url) as connection:
        names = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [place])]
        about = {
            "columns": "SELECT * FROM information_schema.columns WHERE table_schema = %s ORDER BY table_name, 5",
            "indexes": "SELECT * FROM pg_indexes WHERE schemaname = %s ORDER BY 1, 2, 3",
            "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = %s::regnamespace ORDER BY 1",
        }
        found: dict[str, Any] = {name: connection.execute(query, [place]).fetchall() for name, query in about.items()}
        for name in sorted(names):
            rows = sql.SQL("SELECT ctid, xmin, * FROM {} ORDER BY ctid").format(sql.Identifier(place, name))
            found[name] = connection.execute(rows).fetchall()
        return found


def test_tables_of_our_names_in_public_stay_as_they_are_to_the_byte(postgres_url, opened):
    occupy(postgres_url, "public")
    before = dump(postgres_url, "public")
    store = opened(postgres_url)
    samples.fill(store, SUBJECT_CAPABILITIES)
    samples.fill(store, SUBJECT_CAPABILITIES, "bob", "other")
    store.erase_users(["alice"])

    assert samples.read(store, SUBJECT_CAPABILITIES, "bob", "other")
    assert dump(postgres_url, "public") == before
    assert len(before) >= len(NAMES) + 3
    assert len(before["conversation_history"]) == 9


def test_tables_of_our_names_in_our_schema_stay_as_they_are_and_ours_get_a_prefix(postgres_url, opened):
    told(postgres_url, "CREATE SCHEMA theirs", "CREATE TABLE theirs.outbox (id integer)")
    told(postgres_url, "INSERT INTO theirs.outbox VALUES (7)", "CREATE VIEW theirs.revisions AS SELECT 1 AS one")
    before = asked(postgres_url, "SELECT ctid, xmin, * FROM theirs.outbox")
    for _ in range(2):
        with opened(postgres_url, schema="theirs") as store:
            samples.fill(store, SUBJECT_CAPABILITIES)

    with opened(postgres_url, schema="theirs") as store:
        assert samples.read(store, SUBJECT_CAPABILITIES)
    assert asked(postgres_url, "SELECT ctid, xmin, * FROM theirs.outbox") == before
    ours = [name for name in tables_in(postgres_url, "theirs") if name != "outbox"]
    assert len(ours) == len(NAMES) + 1
    assert all(name.startswith(schema.PREFIX) for name in ours)


def test_nothing_is_made_outside_the_schema(postgres_url, opened):
    everything = "SELECT nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    query = f"{everything} WHERE nspname NOT LIKE 'pg_%' AND nspname <> 'information_schema'"
    samples.fill(opened(postgres_url), SUBJECT_CAPABILITIES)

    assert {place for place, _ in asked(postgres_url, query)} == {"whisper_persistence"}


@pytest.mark.parametrize("name", ["another", "user", "order", "_x", "a" * 63])
def test_a_schema_of_another_name(postgres_url, opened, name):
    for _ in range(2):
        with opened(postgres_url, schema=name) as store:
            samples.fill(store, SUBJECT_CAPABILITIES)

            assert samples.read(store, SUBJECT_CAPABILITIES)
    assert tables_in(postgres_url, name) == sorted([*NAMES, VERSION_TABLE])
    assert tables_in(postgres_url, "whisper_persistence") == []


def test_two_schemas_of_one_database_are_two_stores(postgres_url, opened):
    one, other = (opened(postgres_url, "same", schema=name) for name in ("one", "other"))
    one.save_messages(samples.talk(3))
    other.save_messages(samples.talk(5))

    assert (len(ids(one)), len(ids(other))) == (3, 5)


@pytest.mark.parametrize("name", ['"; DROP TABLE x; --', "Upper", "with space", "a" * 64, "1st", "", "x\n"])
def test_a_schema_that_would_need_quotes_is_refused(postgres_url, opened, name):
    with pytest.raises(ValueError, match="schema"):
        opened(postgres_url, schema=name)


@pytest.mark.parametrize("name", ["made", "user"])
def test_a_role_that_may_make_no_schema_works_in_one_that_was_made_for_it(postgres_url, opened, name):
    role = f"guest_of_{postgres_url.partition('?')[0].rpartition('/')[2]}"
    told(postgres_url, f"CREATE ROLE {role} LOGIN", f'CREATE SCHEMA "{name}" AUTHORIZATION {role}')
    try:
        url = postgres_url.replace("//postgres:@", f"//{role}@")
        store = opened(url, schema=name, row_level_security=True, history_partitions=2)
        samples.fill(store, SUBJECT_CAPABILITIES)

        assert samples.read(store, SUBJECT_CAPABILITIES)
        store.close()
    finally:
        told(postgres_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


# The migrations, and the releases that know them.


def described(url: str, place: str) -> dict[str, Any]:
    """Return what SQLAlchemy sees of every table of a schema, with the schema's own name left out."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    inspector = inspect(engine)
    found = {
        name: {
            "columns": [
                {**column, "type": repr(column["type"])} for column in inspector.get_columns(name, schema=place)
            ],
            "primary": str(inspector.get_pk_constraint(name, schema=place)),
            "foreign": sorted(str(key).replace(place, "") for key in inspector.get_foreign_keys(name, schema=place)),
            "unique": sorted(map(str, inspector.get_unique_constraints(name, schema=place))),
            "indexes": sorted(map(str, inspector.get_indexes(name, schema=place))),
            "checks": inspector.get_check_constraints(name, schema=place),
        }
        for name in inspector.get_table_names(schema=place)
    }
    engine.dispose()
    return found


@pytest.mark.parametrize("prefix", ["", schema.PREFIX])
def test_migrations_make_what_the_tables_say(postgres_url, opened, prefix):
    told(postgres_url, "CREATE SCHEMA made", "CREATE SCHEMA migrated")
    if prefix:
        told(postgres_url, "CREATE TABLE migrated.outbox (theirs integer)")
    opened(postgres_url, schema="migrated")
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:", 1))
    tables("made", prefix).metadata.create_all(engine)
    engine.dispose()

    migrated, made = described(postgres_url, "migrated"), described(postgres_url, "made")
    if prefix:
        del migrated["outbox"]
    del migrated[VERSION_TABLE]

    assert migrated == made
    assert INSTALLATION_TABLE in made
    assert "collation='C'" in made[f"{prefix}outbox"]["columns"][0]["type"]


def test_a_newer_schema_is_refused_and_stays_as_it_is(postgres_url, opened):
    with opened(postgres_url) as store:
        store.save_messages(samples.talk(3))
    told(postgres_url, f"UPDATE whisper_persistence.{VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    before = dump(postgres_url, "whisper_persistence")

    with pytest.raises(IncompatibleSchemaError, match=r"schema version 9999 .* install a newer release"):
        opened(postgres_url)
    assert dump(postgres_url, "whisper_persistence") == before
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert asked(postgres_url, sessions) == [(0,)]


def install_next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, broken: bool = False) -> None:
    """Become the release after this one, which has one migration more."""
    shutil.copytree(Path(schema.__file__).with_name("migrations"), tmp_path / "next" / "migrations")
    script = tmp_path / "next" / "migrations" / "versions" / "9999_next.py"
    source = f"""
        from alembic import context, op
        from sqlalchemy import Column, Integer

        revision = "9999"
        down_revision = "{schema.SCHEMA_VERSION}"

        def upgrade():
            schema = context.config.attributes["schema"]
            prefix = context.config.attributes["prefix"]
            op.create_table(prefix + "new_table", Column("id", Integer, primary_key=True), schema=schema)
            op.add_column(prefix + "conversation_history", Column("new_column", Integer), schema=schema)
            if {broken}:
                op.execute("SELECT no_such_column FROM pg_class")
    """  # noqa: S608
    script.write_text(textwrap.dedent(source), encoding="utf-8")
    monkeypatch.setattr(schema, "__file__", str(tmp_path / "next" / "schema.py"))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", "9999")


def test_an_old_database_is_upgraded_in_place_with_all_its_data_while_another_process_works_on_it(
    postgres_url, opened, tmp_path, monkeypatch
):
    old = opened(postgres_url)
    samples.fill(old, SUBJECT_CAPABILITIES)
    for _ in range(7):  # until its statements are prepared
        old.save_messages([samples.message("other")])
        before = samples.read(old, SUBJECT_CAPABILITIES)
    install_next_release(tmp_path, monkeypatch)
    together = threading.Barrier(4)

    def upgrade(_: int) -> Any:
        together.wait()
        return samples.read(opened(postgres_url), SUBJECT_CAPABILITIES)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, range(4))) == [before] * 4
    assert "new_table" in tables_in(postgres_url, "whisper_persistence")
    assert asked(postgres_url, f"SELECT version_num FROM whisper_persistence.{VERSION_TABLE}") == [("9999",)]  # noqa: S608
    assert samples.read(old, SUBJECT_CAPABILITIES) == before
    assert old.save_messages([samples.message("other")])[0].sequence == 8


def test_the_records_of_an_older_release_are_given_their_checksums_where_the_server_can(postgres_url, opened):
    with opened(postgres_url) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        before = samples.read(store, SUBJECT_CAPABILITIES)
    checked = [table.name for table in tables().metadata.sorted_tables if "checksum" in table.c]
    rows = " UNION ALL ".join(f"SELECT '{name}', checksum FROM whisper_persistence.{name}" for name in checked)  # noqa: S608
    wanted = asked(postgres_url, f"{rows} ORDER BY 1, 2")
    told(
        postgres_url,
        *(f"ALTER TABLE whisper_persistence.{name} DROP COLUMN checksum" for name in checked),
        "DROP TABLE whisper_persistence.follower_leases",
        f"UPDATE whisper_persistence.{VERSION_TABLE} SET version_num = '0005'",  # noqa: S608
    )

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(opened, [postgres_url] * 4))
    assert [samples.read(store, SUBJECT_CAPABILITIES) for store in stores] == [before] * 4
    ((version,),) = asked(postgres_url, "SHOW server_version_num")
    found = asked(postgres_url, f"{rows} ORDER BY 1, 2")
    assert found == (wanted if int(version) >= 180_000 else [(name, None) for name, _ in wanted])
    assert {name for name, checksum in wanted if checksum is not None} == set(checked)


def test_an_upgrade_that_fails_changes_nothing(postgres_url, opened, tmp_path, monkeypatch):
    store = opened(postgres_url)
    samples.fill(store, SUBJECT_CAPABILITIES)
    before = dump(postgres_url, "whisper_persistence")
    with monkeypatch.context() as patch:
        install_next_release(tmp_path, patch, broken=True)
        with pytest.raises(PersistenceError):
            opened(postgres_url)

    assert dump(postgres_url, "whisper_persistence") == before
    assert samples.read(opened(postgres_url), SUBJECT_CAPABILITIES) == samples.read(store, SUBJECT_CAPABILITIES)
