"""The rows of the failure matrix about a database that is there and takes nothing: its schema, its space, its codes."""

from __future__ import annotations

import shutil
import sqlite3
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from fault_tools.servers import Place
from fault_tools.stores import Opener, drained, net_of, until, write_nothing
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sql import schema
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Durability, StorageRefusedError, StorageUnavailableError, Store, Strategy, Window
from whisper_persistence.records import State
from whisper_persistence.testing import samples

TALK = Window("talk", 1_000)
#: A schema of PostgreSQL's that other tests leave alone.
OWN = "takes_nothing"
_VERSION = f"UPDATE {{}}{schema.VERSION_TABLE} SET version_num = '{{}}' WHERE version_num = '{{}}'"  # noqa: S608


@attrs.define(eq=False)
class Record:
    """A database of record, and what an operator does to it by hand."""

    driver: Callable[[], object]
    execute: Callable[[str], Any]
    prefix: str = ""

    def open(self, opener: Opener) -> Store:
        name = "postgres" if self.prefix else "sqlite"
        return opener((name, self.driver()), deadline=20.0)

    def become(self, version: str, before: str) -> None:
        self.execute(_VERSION.format(self.prefix, version, before))


def over_sqlite(path: Path) -> Record:
    def execute(statement: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    return Record(lambda: SqliteDriver(path), execute)


def over_postgres(place: Place) -> Record:
    def execute(statement: str) -> None:
        with psycopg.connect(place.straight, autocommit=True) as connection:
            connection.execute(statement.encode())

    return Record(lambda: PostgresDriver(place.straight, schema=OWN), execute, f"{OWN}.")


@pytest.fixture(params=["sqlite", "postgres"])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Record]:
    if request.param == "sqlite":
        yield over_sqlite(tmp_path / "memory.db")
        return
    own = over_postgres(request.getfixturevalue("postgres_place"))
    yield own
    own.execute(f"DROP SCHEMA IF EXISTS {OWN} CASCADE")


def say(store: Store, *ids: str) -> Durability:
    return store.save_messages([samples.message(message_id=one) for one in ids])[0].durability


def said(store: Store) -> list[str]:
    return [message.message_id for message in store.load_messages([TALK]).get(TALK, ())]


def brought_in(store: Store) -> None:
    drained(store)
    until(lambda: net_of(store)._prober.is_open)


def test_schema_newer_than_the_code(opened: Opener, record: Record) -> None:
    first = record.open(opened)
    assert say(first, "a") is Durability.DURABLE
    first.close()
    record.become("9876", schema.SCHEMA_VERSION)
    store = record.open(opened)

    assert [say(store, "b"), say(store, "c")] == [Durability.JOURNALED] * 2
    net, below = store.check_health()
    assert (net.state, below.state) == (State.DEGRADED, State.DOWN)
    assert "version 9876" in below.details["error"]
    record.become(schema.SCHEMA_VERSION, "9876")
    brought_in(store)
    assert said(store) == ["a", "b", "c"]


def become_next_release(folder: Path, patch: pytest.MonkeyPatch, *, broken: bool) -> None:
    """Become the release after this one, which has one migration more."""
    scripts = Path(schema.__file__).with_name("migrations")
    shutil.copytree(scripts, folder / "migrations")
    source = f"""
        from alembic import op

        revision, down_revision = "9999", "{schema.SCHEMA_VERSION}"

        def upgrade():
            op.execute("SELECT {"no_such_column" if broken else "1"}")
    """
    (folder / "migrations" / "versions" / "9999_next.py").write_text(textwrap.dedent(source), encoding="utf-8")
    patch.setattr(schema, "__file__", str(folder / "schema.py"))
    patch.setattr(schema, "SCHEMA_VERSION", "9999")


def test_schema_older_than_the_code_that_cannot_be_upgraded_yet(
    opened: Opener, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record.open(opened)
    say(first, "a")
    first.close()
    become_next_release(tmp_path / "next", monkeypatch, broken=True)
    store = record.open(opened)

    assert [say(store, "b"), say(store, "c")] == [Durability.JOURNALED] * 2
    _, below = store.check_health()
    assert below.state is State.DOWN
    assert "could not be opened yet" in below.details["error"]
    script = tmp_path / "next" / "migrations" / "versions" / "9999_next.py"
    script.write_text(script.read_text(encoding="utf-8").replace("no_such_column", "1"), encoding="utf-8")
    brought_in(store)
    assert said(store) == ["a", "b", "c"]


def test_sql_disk_full(opened: Opener, tmp_path: Path) -> None:
    driver = SqliteDriver(tmp_path / "memory.db")
    store = opened(("sqlite", driver))
    say(store, "a")

    def grow_to(pages: int) -> None:
        with driver._database.writing():
            pass
        with driver._database._writing:
            driver._database._writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    grow_to(1)  # as many as there are
    told = [store.save_messages([samples.message(message_id=f"m{n}", content="x" * 9_000)])[0] for n in range(30)]
    assert told[-1].durability is Durability.JOURNALED
    assert said(store) == ["a", *(f"m{n}" for n in range(30))]
    assert store.check_health()[0].state is State.DEGRADED
    grow_to(1_000_000)
    drained(store)
    assert said(store) == ["a", *(f"m{n}" for n in range(30))]
    assert say(store, "b") is Durability.DURABLE


def test_sql_file_removed(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    store = opened(("sqlite", SqliteDriver(path)))
    say(store, "a")
    path.rename(tmp_path / "elsewhere")

    assert say(store, "b") is Durability.JOURNALED
    assert store.check_health()[1].state is State.DOWN
    (tmp_path / "elsewhere").rename(path)
    drained(store)
    assert said(store) == ["a", "b"]


@pytest.mark.parametrize("part", [{}, {"after": 2}, {"before": 9}], ids=str)
@pytest.mark.parametrize("others", [3, 30])
def test_a_window_is_filled_up_again_while_an_erase_waits(
    opened: Opener, tmp_path: Path, part: dict[str, int], others: int
) -> None:
    driver, window = SqliteDriver(tmp_path / "memory.db"), Window("talk", 4, **part)
    store = opened(("sqlite", driver))
    say(store, *"abcdef")
    store.save_messages([samples.message(message_id=f"b{n}", user_id="bob", author_id="bob") for n in range(others)])
    say(store, "g")
    write_nothing(driver)
    store.load_messages([window])
    store.erase_users(["bob"])
    say(store, "h")
    waiting = store.load_messages([window])[window]
    write_nothing(driver, "OFF")
    drained(store)

    assert [message.message_id for message in waiting] == [m.message_id for m in store.load_messages([window])[window]]


class Unheard:
    """SQLite's writer, whose COMMIT is done and says that it is not."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        answer = self._connection.execute(statement, *values)
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return answer


def test_commit_done_reply_lost_over_a_file(opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = SqliteDriver(tmp_path / "memory.db")
    store = opened(("sqlite", driver))
    store.save_strategies([Strategy("alice", "before")])
    database: Any = driver._database
    with monkeypatch.context() as outage:
        outage.setattr(net_of(store)._relay, "ready", lambda: False)
        outage.setattr(database, "_writer", Unheard(database._writer))
        outage.setattr(driver, "_read", refuse)
        (receipt,) = store.save_strategies([Strategy("alice", "in the outage")])
        assert receipt.durability is Durability.JOURNALED
    drained(store)

    assert store.load_strategies(["alice"])["alice"].strategy_id == "in the outage"
    assert store.check_health()[0].details["conflicts"] == 0


def refuse(*_: Any) -> Any:
    raise StorageUnavailableError("planted: nothing is read")


#: What PostgreSQL says when it refuses for now (serialization, disk full, memory, shutdown), and for good.
FOR_NOW, FOR_GOOD = ("40001", "53100", "53200", "57P01"), ("22001", "23514", "42501")
_REFUSE = f"""
    CREATE FUNCTION {OWN}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.message_id LIKE 'bad%' THEN RAISE EXCEPTION 'planted' USING ERRCODE = substr(NEW.message_id, 4); END IF;
        RETURN NEW;
    END $$"""
_TRIGGER = (
    f"CREATE TRIGGER refuse BEFORE INSERT ON {OWN}.conversation_history FOR EACH ROW EXECUTE FUNCTION {OWN}.refuse()"
)


def test_sql_refuses_for_now_or_for_good_by_its_code(opened: Opener, postgres_place: Place) -> None:
    record = over_postgres(postgres_place)
    try:
        store = record.open(opened)
        record.execute(_REFUSE)
        record.execute(_TRIGGER)
        net_of(store)._relay.pause = 5.0
        for state in FOR_NOW:
            assert say(store, f"bad{state}") is Durability.JOURNALED
        record.execute(f"ALTER TABLE {OWN}.conversation_history DISABLE TRIGGER refuse")
        net_of(store)._relay.pause = 0.05
        drained(store)
        record.execute(f"ALTER TABLE {OWN}.conversation_history ENABLE TRIGGER refuse")
        assert store.check_health()[0].details["dead_letters"] == 0
        for state in FOR_GOOD:
            with pytest.raises(StorageRefusedError):
                say(store, f"bad{state}")
        assert said(store) == [f"bad{state}" for state in FOR_NOW]
    finally:
        record.execute(f"DROP SCHEMA IF EXISTS {OWN} CASCADE")
