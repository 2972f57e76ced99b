"""The schema, and its upgrades."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import stat
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from whisper_persistence_drivers.sql import schema
from whisper_persistence_drivers.sql.tables import INSTALLATION_TABLE, VERSION_TABLE, tables

from whisper_persistence import PersistenceError
from whisper_persistence.operations import find_unreadable
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

from .stores import ids, opened, told


def described(path: Path) -> dict[str, Any]:
    """Return every table of a file as SQLAlchemy sees it, and whether it is clustered."""
    engine = create_engine(f"sqlite:///{path}")
    inspector = inspect(engine)
    found = {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            "primary": inspector.get_pk_constraint(name),
            "foreign": sorted(map(str, inspector.get_foreign_keys(name))),
            "unique": sorted(map(str, inspector.get_unique_constraints(name))),
            "indexes": sorted(_spelled(index) for index in inspector.get_indexes(name)),
            "checks": inspector.get_check_constraints(name),
        }
        for name in inspector.get_table_names()
    }
    with engine.connect() as connection:
        for row in connection.exec_driver_sql("PRAGMA table_list").mappings():
            if row["name"] in found:
                found[row["name"]]["clustered"] = row["wr"]
    engine.dispose()
    return found


def _spelled(index: Any) -> str:
    options = {name: str(value) for name, value in index.pop("dialect_options", {}).items()}
    return f"{index} {options}"


@pytest.mark.parametrize("prefix", ["", schema.PREFIX])
def test_migrations_make_what_the_tables_say(tmp_path, prefix):
    if prefix:
        with closing(sqlite3.connect(tmp_path / "migrated.db")) as connection, connection:
            connection.execute("CREATE TABLE outbox (theirs)")
    opened(tmp_path / "migrated.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    tables(None, prefix).metadata.create_all(engine)
    engine.dispose()

    migrated, made = described(tmp_path / "migrated.db"), described(tmp_path / "made.db")
    if prefix:
        del migrated["outbox"]
    del migrated[VERSION_TABLE]

    assert migrated == made
    assert INSTALLATION_TABLE in made


def migrations() -> Path:
    return Path(schema.__file__).with_name("migrations")


def test_the_release_knows_its_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(migrations()))

    assert ScriptDirectory.from_config(config).get_heads() == [schema.SCHEMA_VERSION]


def install_next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, broken: bool = False) -> None:
    """Become the release after this one, which has one migration more."""
    shutil.copytree(migrations(), tmp_path / "next" / "migrations")
    script = tmp_path / "next" / "migrations" / "versions" / "9999_next.py"
    source = f"""
        from alembic import op
        from sqlalchemy import Column, Integer

        revision = "9999"
        down_revision = "{schema.SCHEMA_VERSION}"

        def upgrade():
            op.create_table("new_table", Column("id", Integer, primary_key=True))
            if {broken}:
                op.execute("SELECT no_such_column FROM conversation_history")
    """  # noqa: S608
    script.write_text(textwrap.dedent(source), encoding="utf-8")
    monkeypatch.setattr(schema, "__file__", str(tmp_path / "next" / "schema.py"))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", "9999")


def state(path: Path) -> tuple[str, bool, int]:
    """Return a file's schema version, whether the next release's table is there, and how many messages."""
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()[0]  # noqa: S608
        new = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'new_table'").fetchone()[0]
        return version, bool(new), connection.execute("SELECT count(*) FROM conversation_history").fetchone()[0]


def test_an_upgrade_keeps_what_is_there_and_a_copy_from_before(path, tmp_path, monkeypatch):
    this = schema.SCHEMA_VERSION
    with opened(path) as store:
        store.save_messages(samples.talk(30))
    install_next_release(tmp_path, monkeypatch)

    with opened(path) as store:
        assert len(ids(store)) == 30

    copy = path.with_name(f"memory.db.before-{this}")
    assert state(path) == ("9999", True, 30)
    assert state(copy) == (this, False, 30)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(path.parent.glob("*.unfinished*"))


def test_of_stores_that_upgrade_at_once_none_spoils_the_copy(path, tmp_path, monkeypatch):
    this = schema.SCHEMA_VERSION
    with opened(path) as store:
        store.save_messages(samples.talk(30))
    install_next_release(tmp_path, monkeypatch)
    together = threading.Barrier(4)

    def upgrade(_: int) -> int:
        together.wait()
        with opened(path) as store:
            return len(ids(store))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, range(4))) == [30] * 4
    assert state(path.with_name(f"memory.db.before-{this}")) == (this, False, 30)


def checksums(path: Path) -> dict[str, list[Any]]:
    """Return the checksums of every table that has any."""
    with closing(sqlite3.connect(path)) as connection:
        checked = [table.name for table in tables().metadata.sorted_tables if "checksum" in table.c]
        return {name: connection.execute(f"SELECT checksum FROM {name} ORDER BY 1").fetchall() for name in checked}  # noqa: S608


def read_all(path: Path) -> tuple[str, int]:
    """Return all there is, and how much of it cannot be read; as another process is to say it."""
    with opened(path) as store:
        return repr(samples.read(store, SUBJECT_CAPABILITIES)), len(find_unreadable(store, lambda *_: None).unreadable)


def test_eight_processes_at_once_give_the_records_of_an_older_release_their_checksums(path):
    with opened(path) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
    before, wanted = read_all(path), checksums(path)
    assert all(rows and (None,) not in rows for rows in wanted.values())
    with closing(sqlite3.connect(path)) as connection, connection:
        for name in wanted:
            connection.execute(f"ALTER TABLE {name} DROP COLUMN checksum")
        connection.execute("DROP TABLE follower_leases")
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0005'")  # noqa: S608

    with multiprocessing.get_context("fork").Pool(8) as processes:
        assert processes.map(read_all, [path] * 8, chunksize=1) == [before] * 8
    assert checksums(path) == wanted
    with closing(sqlite3.connect(f"{path}.before-0005")) as copy, pytest.raises(sqlite3.OperationalError):
        copy.execute("SELECT checksum FROM conversation_history")


def test_an_upgrade_that_fails_changes_nothing(path, tmp_path, monkeypatch):
    this = schema.SCHEMA_VERSION
    with opened(path) as store:
        store.save_messages(samples.talk(3))
    with monkeypatch.context() as patch:
        install_next_release(tmp_path, patch, broken=True)
        with pytest.raises(PersistenceError):
            opened(path)

    assert state(path) == (this, False, 3)
    with opened(path) as store:
        assert len(ids(store)) == 3


def test_opening_what_is_up_to_date_loads_neither_alembic_nor_a_library_of_another_driver(path):
    opened(path).close()

    loaded = told(
        """
        with opened() as store:
            store.load_messages([Window("talk")])
        print(*sys.modules)
        """,
        path,
    ).split()
    assert {"sqlalchemy", "whisper_persistence.records"} <= set(loaded)
    assert "sqlalchemy.dialects.postgresql" not in loaded
    assert not {"alembic", "redis", "chromadb", "duckdb", "psycopg", "psycopg_pool", "numpy"} & set(loaded)
