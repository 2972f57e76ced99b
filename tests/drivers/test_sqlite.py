"""What is peculiar to SQLite: one file, its locks, its upgrades, and what may happen to it."""

from __future__ import annotations

import gc
import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from whisper_persistence_drivers.sql import schema
from whisper_persistence_drivers.sql.tables import INSTALLATION_TABLE, VERSION_TABLE, tables
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    ConfigurationError,
    IncompatibleSchemaError,
    MemoryScore,
    OutcomeQuery,
    PatternChange,
    PersistenceError,
    PreferencesChange,
    ScoreQuery,
    StatisticsChange,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    Store,
    StoreClosedError,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

TALK = Window("talk", 1_000)
PREAMBLE = """
import sys
from pathlib import Path
from whisper_persistence import Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

def opened(path=sys.argv[1]):
    return Store(Chain.build([DriverSpec("sqlite", {"path": path})]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


def opened(path: Path, namespace: str = "default", **options: Any) -> Store:
    return Store(Chain.of({"sqlite": SqliteDriver(path, **options)}), namespace)


def database(store: Store) -> Any:
    return store.chain.drivers["sqlite"]._database


def files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def ids(store: Store) -> list[str]:
    return [message.message_id for message in store.load_messages([TALK]).get(TALK, ())]


def python(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PREAMBLE) + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)  # noqa: S603


def whole(error: BaseException | None) -> str:
    """Return all that an error and those behind it say, also those that a traceback would not show."""
    return "" if error is None else f"{error!r} {error} {whole(error.__context__)} {whole(error.__cause__)}"


def told(code: str, *arguments: object) -> str:
    """Return what a process of its own prints."""
    process = python(code, *arguments)
    answer, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    return answer.strip()


# Locks: SQLite's belong to the process, and are lost with any descriptor of the file.


def test_two_stores_of_one_process_lose_nothing_when_another_process_comes_and_goes(path):
    with opened(path, "one") as one, opened(path, "two") as two:
        one.save_messages(samples.talk(3))
        with opened(path, "three"):
            told("opened().close()", path)
        one.save_messages(samples.talk(10))
        two.save_messages(samples.talk(5))

        assert told("print(len(samples.__name__), end=''); opened().close()", path)
    with opened(path, "one") as one, opened(path, "two") as two:
        assert (len(ids(one)), len(ids(two))) == (10, 5)


@contextmanager
def forked() -> Iterator[tuple[int, socket.socket]]:
    """Fork; the child gets 0, and ends with the block; the parent the child's id; each gets its end of a line."""
    here, there = socket.socketpair()
    child = os.fork()
    if child:
        there.close()
        with here:
            yield child, here
        return
    status = 1
    try:
        here.close()
        yield child, there
        status = 0
    finally:
        os._exit(status)


forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@forks
def test_what_a_forked_child_writes_after_its_parent_closed_is_kept(path):
    store = opened(path)
    store.save_messages(samples.talk(3))
    with forked() as (child, line):
        if not child:
            store.save_messages(samples.talk(5))
            line.sendall(b"open")
            assert line.recv(6) == b"closed"
            store.save_messages(samples.talk(10))
            return
        assert line.recv(4) == b"open"
        store.close()
        line.sendall(b"closed")

    assert os.waitpid(child, 0)[1] == 0
    with opened(path) as store:
        assert len(ids(store)) == 10


@forks
def test_a_fork_while_other_threads_write_loses_nothing_on_either_side(path):
    enough = threading.Event()
    written: list[str] = []

    def write(store: Store, name: int) -> None:
        while not enough.is_set():
            message_id = f"{name} {len(written)}"
            store.save_messages([samples.message(message_id=message_id)])
            written.append(message_id)

    with opened(path) as store, ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, store, name) for name in range(3)]
        for n in range(5):
            with forked() as (child, _):
                if not child:
                    assert ids(store) is not None
                    store.save_messages([samples.message(message_id=f"child {n}")])
            assert os.waitpid(child, 0)[1] == 0
        enough.set()
        assert all(future.result() is None for future in writing)

        assert set(ids_of_all(store)) == {*written, *(f"child {n}" for n in range(5))}


def ids_of_all(store: Store) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = store.scan("messages", cursor, 500)
        found += [message.message_id for message in page.records]
        if page.cursor is None:
            assert len(found) == len(set(found))
            return found
        cursor = page.cursor


HOLDING = """
import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def test_a_write_waits_for_another_process(path):
    with opened(path, busy_timeout=60) as store, ThreadPoolExecutor(1) as pool:
        other = python(HOLDING, path)
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        writing = pool.submit(store.save_messages, samples.talk(1))
        assert not store.load_messages([TALK])
        assert not writing.done()
        other.communicate("go on\n", timeout=60)

        assert [receipt.sequence for receipt in writing.result(60)] == [1]


def test_a_write_that_waits_too_long_for_another_process_is_an_outage(path):
    with opened(path, busy_timeout=0.05) as store:
        other = python(HOLDING, path)
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StorageUnavailableError, match="did not answer") as caught:
            store.save_messages(samples.talk(1))
        other.communicate("go on\n", timeout=60)

        assert "locked" not in str(caught.value)
        assert len(store.save_messages(samples.talk(1))) == 1


OPENING = """
import logging
class Told(logging.Handler):
    def emit(self, record):
        if "upgraded" in record.getMessage():
            print("upgraded", flush=True)
logging.getLogger("whisper_persistence_drivers.sql.schema").addHandler(Told())
logging.getLogger("whisper_persistence_drivers.sql.schema").setLevel("INFO")
import alembic.command
print("ready", flush=True)
sys.stdin.readline()
with opened() as store:
    store.save_messages([samples.message(message_id=sys.argv[2])])
"""


def test_of_many_processes_that_open_an_empty_path_one_installs_and_all_work(path):
    processes = [python(OPENING, path, n) for n in range(8)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 8
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * 8
    assert sorted(answers) == [""] * 7 + ["upgraded\n"]
    with opened(path) as store:
        assert sorted(ids(store)) == [str(n) for n in range(8)]


# The file: where it is, whose it is, and what it may turn out to be.


@pytest.mark.parametrize("place", ["folder", "file/memory.db", "/proc/nowhere/memory.db"])
def test_a_path_that_cannot_be_written_says_so(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"cannot write .*: name a path that can be written") as caught:
        opened(tmp_path / place)

    assert str(tmp_path / place) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_is_only_readable_is_refused(path):
    opened(path).close()
    path.chmod(0o400)

    with pytest.raises(ConfigurationError, match="Permission denied"):
        opened(path)


def test_what_is_made_is_its_owners_alone(tmp_path):
    before = os.umask(0)
    try:
        with opened(tmp_path / "new" / "memory.db") as store:
            store.save_messages(samples.talk(1))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert modes == {"memory.db": 0o600, "memory.db-wal": 0o600, "memory.db-shm": 0o600}


def test_an_empty_file_is_a_new_store(path):
    path.touch()
    with opened(path) as store:
        store.save_messages(samples.talk(2))

        assert ids(store) == ["m0", "m1"]


def full(path: Path) -> bytes:
    """Return a file's bytes after much was written to it."""
    with opened(path) as store:
        for n in range(5):
            store.save_messages([samples.message(message_id=f"{n} {m}", content="word " * 200) for m in range(200)])
    return path.read_bytes()


def garbage(whole: bytes) -> bytes:
    return b"this is no database. " * (len(whole) // 21)


def half(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def third(whole: bytes) -> bytes:
    return whole[: 4096 * 3 + 100]


def bad_header(whole: bytes) -> bytes:
    return b"\xff" * 100 + whole[100:]


def scribbled(whole: bytes) -> bytes:
    return whole[:4096] + b"\xa5" * (len(whole) - 4096)


@pytest.mark.parametrize("damage", [garbage, half, third, bad_header, scribbled])
def test_a_damaged_file_says_so_and_what_to_do(path, damage):
    spoilt = damage(full(path))
    path.write_bytes(spoilt)

    with (
        pytest.raises(StorageDamagedError, match=r"is damaged or is none .*: restore a backup") as caught,
        opened(path) as store,
    ):
        ids_of_all(store)
    assert str(path) in str(caught.value)
    assert "word" not in whole(caught.value)
    assert path.read_bytes() == spoilt


def test_a_newer_schema_is_left_alone(path):
    opened(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9876'")  # noqa: S608
    before = path.read_bytes()

    with pytest.raises(IncompatibleSchemaError, match=r"version 9876 .*up to .*: install a newer release"):
        opened(path)
    assert path.read_bytes() == before


FOREIGN = ["CREATE TABLE conversation_history (id INTEGER, text TEXT)", "CREATE VIEW Outbox AS SELECT 1 AS one"]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_tables_of_others_with_our_names_are_left_alone(path, foreign):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(foreign)
        if "TABLE" in foreign:
            connection.execute("INSERT INTO conversation_history VALUES (1, 'theirs')")

    for n in range(2):
        with opened(path) as store:
            store.save_messages(samples.talk(n + 1))
            assert len(ids(store)) == n + 1

    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT sql FROM sqlite_master WHERE name IN ('conversation_history', 'Outbox')")
        assert kept.fetchall() == [(foreign,)]
        if "TABLE" in foreign:
            assert connection.execute("SELECT * FROM conversation_history").fetchall() == [(1, "theirs")]
        ours = connection.execute("SELECT count(*) FROM whisper_persistence_conversation_history")
        assert ours.fetchone() == (2,)


# The schema, and its upgrades.


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
    assert not {"alembic", "redis", "chromadb", "duckdb", "psycopg", "psycopg_pool", "numpy"} & set(loaded)
    assert "sqlalchemy.dialects.postgresql" not in loaded


# Connections: how they are set, and what they search.


@pytest.mark.parametrize(("synchronous", "number"), [("full", 2), ("normal", 1)])
def test_every_connection_is_set_as_promised(path, synchronous, number):
    with opened(path, synchronous=synchronous, busy_timeout=7) as store:
        lent = database(store)
        with lent.reading() as one, lent.reading() as other, lent.writing() as writer:
            for connection in (one, other, writer):
                pragmas = ("synchronous", "foreign_keys", "secure_delete", "journal_mode", "busy_timeout")
                found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas}

                assert found == {
                    "synchronous": number,
                    "foreign_keys": 1,
                    "secure_delete": 1,
                    "journal_mode": "wal",
                    "busy_timeout": 7_000,
                }


def use_everything(store: Store) -> None:
    samples.fill(store, frozenset({"strategies", "statistics", "conversations"}))
    samples.fill(store, frozenset({"strategies", "statistics", "conversations"}))
    message = store.load_messages([Window("talk", 1)])[Window("talk", 1)][0]
    windows = [Window("talk"), Window("talk", before=3), Window("talk", after=1), Window("talk", user_id="alice")]
    store.load_messages([*windows, Window("talk", after=1, user_id="alice")])
    store.save_messages([samples.message(in_reply_to="m0"), message])
    store.load_messages([Window("talk", 1)])
    store.load_strategies(["alice", "bob"])
    store.load_outcomes([OutcomeQuery("alice")])
    (score,) = store.load_scores([ScoreQuery("alice", limit=1)])[ScoreQuery("alice", limit=1)]
    store.load_scores([ScoreQuery("alice", "top", after=score), ScoreQuery("alice", "recent", after=score)])
    store.load_statistics(["alice"])
    store.load_patterns(["alice"])
    store.load_preferences(["alice"])
    store.erase_users(["alice"])


def scan_everything(store: Store) -> None:
    for kind in ("strategies", "outcomes", "statistics", "scores", "patterns", "preferences", "messages"):
        store.scan(kind, store.scan(kind, None, 1).cursor, 1)


def plans(path: Path, use: Callable[[Store], None]) -> dict[str, list[str]]:
    """Return how SQLite goes about each statement of what a store is used for."""
    statements: set[str] = set()

    def note(statement: str) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            statements.add(statement)

    with opened(path) as store:
        with database(store).reading() as reader, database(store).writing() as writer:
            reader.set_trace_callback(note)
            writer.set_trace_callback(note)
        use(store)
    with closing(sqlite3.connect(path)) as connection:
        return {
            statement: [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            for statement in statements
        }


#: Tables of a handful of rows, which are read as a whole on purpose, and lists of ids.
SMALL = re.compile(r"SCAN CONSTANT ROW|SCAN \w+ VIRTUAL TABLE INDEX 1:|SEARCH (followers|erasures) USING PRIMARY KEY")


def test_every_statement_searches_by_an_index(path):
    found = plans(path, use_everything)
    walking = ("SCAN", "TEMP B-TREE", "(namespace=?)")

    assert len(found) > 30
    for statement, steps in found.items():
        assert not [step for step in steps if any(map(step.__contains__, walking)) and not SMALL.match(step)], statement


def test_a_page_of_a_scan_is_read_in_the_order_of_an_index(path):
    with opened(path) as store:
        samples.fill(store, frozenset({"strategies", "statistics", "conversations"}))
    found = plans(path, scan_everything)

    assert len(found) >= 10
    for statement, steps in found.items():
        assert steps[0].startswith("SEARCH"), statement
        assert not [step for step in steps if "TEMP B-TREE" in step], statement


def test_a_read_sees_one_state_of_the_file_from_first_to_last(path):
    scores = [MemoryScore("alice", f"memory {n}", n / 10) for n in range(5)]
    forget = StatisticsChange("alice", forgotten=[score.memory_id for score in scores])
    with opened(path) as store:
        store.update_statistics([StatisticsChange("alice", scores)])
        seen: list[str] = []

        def disturb(statement: str) -> None:
            if "memory_importance_scores" in statement and "OFFSET" in statement and not seen:
                seen.append(statement)
                store.update_statistics([forget])

        with database(store).reading() as reader:
            reader.set_trace_callback(disturb)
        before = store.load_statistics(["alice"])["alice"]
        after = store.load_statistics(["alice"])["alice"]

        assert seen
        assert (before.total_memories_scored, before.minimum, before.median, before.maximum) == (5, 0.0, 0.2, 0.4)
        assert (after.total_memories_scored, after.minimum, after.median, after.maximum) == (0, None, None, None)


# What goes wrong, and what is said of it.


def test_a_full_disk_is_an_outage_that_stores_nothing_of_the_batch_and_tells_nothing_of_it(path):
    secret = "a private word " * 5_000
    with opened(path) as store:
        store.save_messages(samples.talk(3))
        with database(store).writing() as writer:
            pages = writer.execute("PRAGMA page_count").fetchone()[0]
        with database(store)._writing:
            database(store)._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageUnavailableError, match="SQLITE_FULL") as caught:
            store.save_messages([samples.message(message_id=f"new {n}", content=secret) for n in range(20)])
        with database(store)._writing:
            database(store)._writer.execute("PRAGMA max_page_count = 1000000")

        assert "private" not in whole(caught.value)
        assert ids(store) == ["m0", "m1", "m2"]
        assert len(store.save_messages([samples.message(content=secret)])) == 1


def test_a_table_that_somebody_dropped_tells_no_private_word(path):
    with opened(path) as store:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE conversation_history")
        with pytest.raises(PersistenceError) as caught:
            store.save_messages([samples.message(content="a private word", user_id="private user")])

        assert "private" not in whole(caught.value)


def test_a_call_that_comes_after_closing_opens_nothing_anew(path):
    store = opened(path)
    driver = store.chain.drivers["sqlite"]
    assert isinstance(driver, SqliteDriver)
    store.close()
    before = files()

    for call in (
        lambda: driver.save_messages(samples.talk(1)),
        lambda: driver.load_messages([TALK]),
        lambda: driver.erase_users(["alice"]),
    ):
        with pytest.raises(StoreClosedError):
            call()
    assert files() == before


# What is forgotten.

MARK = "MARKER-7f3a"
FIND = """
found = [path.name for path in Path(sys.argv[1]).iterdir() if sys.argv[2].encode() in path.read_bytes()]
print(*sorted(found))
"""


def test_no_byte_of_an_erased_user_is_left_in_any_file(path):
    user = f"{MARK}-user"
    with opened(path) as store:
        store.save_messages(samples.talk(50, user_id="somebody else"))
        for n in range(40):
            said = samples.message(f"{MARK}-talk", f"{MARK} words " * 100, user, message_id=f"{MARK} {n}")
            overheard = samples.message("talk", f"{MARK} words", "somebody else", message_id=f"{MARK} {n}")
            answer = samples.message("talk", f"{MARK} words", user, author_id="bot", role="assistant")
            store.save_messages([attrs.evolve(said, author_name=MARK), attrs.evolve(overheard, author_id=user), answer])
            outcome = samples.outcome(0.9, MARK, outcome_id=f"{MARK}{n}", user_response=MARK, context={MARK: MARK})
            store.update_strategies([StrategyChange(user, [outcome], change_id=f"{MARK} 1 {n}")])
            score = samples.score(f"{MARK}{n}", 0.5, user, score_explanation=MARK)
            store.update_statistics([StatisticsChange(user, [score], change_id=f"{MARK} 2 {n}")])
            store.update_patterns([PatternChange(user, f"{MARK}{n}", keywords=[MARK], change_id=f"{MARK} 3 {n}")])
            store.update_preferences([PreferencesChange(user, {MARK: n}, change_id=f"{MARK} 4 {n}")])

        assert told(FIND, path.parent, MARK)
        store.erase_users([user])
        assert told(FIND, path.parent, MARK) == ""
        assert len(ids(store)) == 50
    assert told(FIND, path.parent, MARK) == ""


def test_opening_and_closing_a_thousand_times_leaves_nothing_behind(path):
    def again(times: int) -> None:
        for _ in range(times):
            with opened(path) as store:
                store.load_messages([TALK])

    def counted() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), files()

    again(50)
    before = counted()
    again(850)
    assert counted() == before
    tracemalloc.start()
    try:
        again(20)
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0]
        again(80)
        gc.collect()

        assert tracemalloc.get_traced_memory()[0] - memory < 64_000
    finally:
        tracemalloc.stop()


def test_a_total_that_outgrows_a_database_is_refused_and_what_was_there_stays(path):
    full = Strategy("alice", "s", interventions=2**63 - 1)
    with opened(path) as store:
        store.save_strategies([full])
        with pytest.raises(StorageRefusedError, match="OverflowError"):
            store.update_strategies([StrategyChange("alice", [samples.outcome()])])

        assert store.load_strategies(["alice"])["alice"].interventions == full.interventions
        assert store.load_outcomes([OutcomeQuery("alice")]) == {}
