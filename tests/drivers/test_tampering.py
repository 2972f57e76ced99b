"""Hash chains over conversations: what somebody changes past the store is found, what the store does is not."""

# The statements are constants, and a table reads best a row a line.
# ruff: noqa: E501, S608

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from click.testing import CliRunner
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import ConfigurationError, Message, Store
from whisper_persistence.cli import main
from whisper_persistence.errors import NotSupportedError
from whisper_persistence.operations import back_up, export_archive, import_archive
from whisper_persistence.plugins import Chain
from whisper_persistence.records import ClearMark, MessageEdit, MessageRedaction, Retention

KEY = "a key of the operator"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@attrs.frozen
class Place:
    """A database with hash chains, and a way past the store into it."""

    driver: Callable[..., Any]
    sql: Callable[..., None]

    def open(self, namespace: str = "default", **options: Any) -> Store:
        given = {"tamper_evidence": True, "tamper_key": KEY, **options}
        return Store(Chain.of({"sql": self.driver(**given)}), namespace)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        request.getfixturevalue("migrated_file")
        file = tmp_path / "memory.db"

        def run(*statements: str) -> None:
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                for statement in statements:
                    connection.execute(statement)

        return Place(lambda **options: SqliteDriver(file, **options), run)
    url = request.getfixturevalue("postgres_url")

    def ask(*statements: str) -> None:
        with psycopg.connect(url, autocommit=True, options="-c search_path=whisper_persistence") as connection:
            for statement in statements:
                connection.execute(statement.encode())

    return Place(lambda **options: PostgresDriver(url, **options), ask)


def verify(store: Store, *names: str, anchors: Any = None) -> Any:
    return store.chain.hook.verify_conversations(conversation_ids=list(names), anchors=anchors or {})


def talk(name: str = "talk", count: int = 6, user: str = "alice") -> list[Message]:
    return [Message(name, user, user, f"said {n}", message_id=f"m{n}") for n in range(count)]


def told(store: Store) -> None:
    """Let every kind of change happen to a conversation, beside another one."""
    store.save_messages([*talk(), *talk("other", 3, "bob")])
    store.save_messages(talk())
    store.update_messages([MessageEdit("talk", "m1", "edited"), MessageRedaction("talk", "m2")])
    store.update_messages([ClearMark("talk", through=1)])


_TALK = "conversation_id = 'talk'"
_MOVES = [
    f"UPDATE conversation_history SET sequence = {to} WHERE {_TALK} AND sequence = {at}"
    for at, to in ((2, 99), (3, 2), (99, 3))
]
#: Of the chain of "talk", which is the one with the clear mark.
_THING = "thing = (SELECT thing FROM message_links WHERE action = 'clear')"
_LAST = f"(SELECT max(position) FROM message_links WHERE {_THING})"
_ROLLED = (
    f"UPDATE message_heads SET position = position - 1, link = (SELECT link FROM message_links l WHERE l.thing = "
    f"message_heads.thing AND l.position = message_heads.position - 1) WHERE {_THING}"
)
#: What somebody does past the store, what is said to be wrong, and with which message, by its sequence.
TAMPERED: dict[str, tuple[list[str], str, int | None]] = {
    "a text": ([f"UPDATE conversation_history SET record = replace(record, 'said 3', 'paid 3') WHERE {_TALK}"], "altered", 4),
    "a user": ([f"UPDATE conversation_history SET user_id = 'bob' WHERE {_TALK} AND sequence = 5"], "altered", 5),
    "an author": ([f"UPDATE conversation_history SET other_author = 'eve' WHERE {_TALK} AND sequence = 6"], "altered", 6),
    "an id": ([f"UPDATE conversation_history SET message_id = 'm9' WHERE {_TALK} AND sequence = 1"], "altered", 1),
    "an edited text": ([f"UPDATE conversation_history SET record = replace(record, '\"edited\"', '\"said 1\"') WHERE {_TALK} AND sequence = 2"], "altered", 2),
    "a message removed": ([f"DELETE FROM conversation_history WHERE {_TALK} AND sequence = 3"], "missing", 3),
    "the newest removed": ([f"DELETE FROM conversation_history WHERE {_TALK} AND sequence > 4"], "missing", 5),
    "all removed": ([f"DELETE FROM conversation_history WHERE {_TALK}"], "missing", 1),
    "two exchanged": (_MOVES, "reordered", 2),
    "one added": ([f"INSERT INTO conversation_history SELECT namespace, conversation_id, 90, 'new', user_id, other_author, record, checksum FROM conversation_history WHERE {_TALK} AND sequence = 1"], "added", 90),
    "one moved to another conversation": (["UPDATE conversation_history SET conversation_id = 'other', sequence = 50, message_id = 'x' WHERE conversation_id = 'talk' AND sequence = 6"], "added", 50),
    "the mark moved": (["UPDATE revisions SET cleared = 4 WHERE cleared = 1"], "altered", None),
    "a digest": ([f"UPDATE message_links SET digest = 'ab' WHERE {_THING} AND position = 4"], "altered", 4),
    "a link removed": ([f"DELETE FROM message_links WHERE {_THING} AND position = 3"], "missing", None),
    "a removal forged": ([f"INSERT INTO message_links SELECT namespace, thing, position + 1, 'remove', 4, '', 'ab' FROM message_links WHERE {_THING} AND position = {_LAST}", f"DELETE FROM conversation_history WHERE {_TALK} AND sequence = 4"], "altered", 4),
    "the end cut": ([f"DELETE FROM message_links WHERE {_THING} AND position = {_LAST}"], "missing", None),
    "the end cut with the head moved": ([_ROLLED, f"DELETE FROM message_links WHERE {_THING} AND position = {_LAST}"], "altered", None),
    "a head removed": ([f"DELETE FROM message_heads WHERE {_THING}"], "missing", None),
    "a chain removed": ([f"DELETE FROM message_heads WHERE {_THING}", f"DELETE FROM message_links WHERE {_THING}"], "added", 1),
    "a salt": (["UPDATE message_salts SET salt = 'ab' WHERE sequence = 6"], "altered", 6),
}  # fmt: skip


def test_whatever_is_changed_past_the_store_is_found(place):
    with place.open() as store:
        told(store)
        assert verify(store).problems == ()
    for name, (statements, kind, sequence) in TAMPERED.items():
        place.sql(*_KEEP, *statements)
        with place.open() as store:
            found = [(problem.kind, problem.sequence) for problem in verify(store).problems]
        place.sql(*_PUT_BACK)
        moved = [("missing", 6)] if name == "one moved to another conversation" else []

        assert sorted(found) == sorted([(kind, sequence), *moved]), name
    with place.open() as store:
        assert verify(store).problems == ()


_TABLES = ("conversation_history", "revisions", "message_links", "message_salts", "message_heads")
_KEEP = [f"CREATE TABLE kept_{table} AS SELECT * FROM {table}" for table in _TABLES]
_PUT_BACK = [
    statement
    for table in _TABLES
    for statement in (
        f"DELETE FROM {table}",
        f"INSERT INTO {table} SELECT * FROM kept_{table}",
        f"DROP TABLE kept_{table}",
    )
]


def test_a_writer_goes_on_after_a_broken_chain_and_mends_no_evidence(place):
    with place.open() as store:
        told(store)
    for statements in (
        TAMPERED["the end cut with the head moved"],
        TAMPERED["a head removed"],
        TAMPERED["the end cut"],
    ):
        place.sql(*_KEEP, *statements[0])
        with place.open() as store:
            store.save_messages(talk("talk", 8))
            store.update_messages([MessageEdit("talk", "m7", "edited")])
            (problem,) = verify(store).problems
        place.sql(*_PUT_BACK)

        assert (problem.conversation_id, problem.kind) in (("talk", "altered"), ("talk", "missing"))


def test_without_the_key_a_whole_chain_is_not_made_anew(place):
    with place.open() as store:
        told(store)
    place.sql("DELETE FROM message_heads", "DELETE FROM message_links", "DELETE FROM message_salts")
    with place.open(tamper_key=None) as store:
        assert verify(store).problems == ()
    with pytest.raises(ConfigurationError, match="tamper_key is not the key"):
        place.open()


def test_what_was_set_back_or_removed_as_a_whole_is_found_by_heads_that_were_kept_elsewhere(place):
    with place.open() as store:
        told(store)
    place.sql(*_KEEP)
    with place.open() as store:
        store.save_messages(talk("talk", 8))
        kept = verify(store).heads
        assert verify(store, anchors=kept).problems == ()
    place.sql(*_PUT_BACK)
    with place.open() as store:
        (problem,) = verify(store, anchors=kept).problems
        assert (verify(store).problems, problem.kind, problem.conversation_id) == ((), "missing", "talk")
    place.sql(f"DELETE FROM conversation_history WHERE {_TALK}", "DELETE FROM revisions WHERE cleared = 1")
    place.sql(*(f"DELETE FROM message_{part} WHERE {_THING}" for part in ("heads", "salts", "links")))
    with place.open() as store:
        (problem,) = verify(store, anchors=kept).problems
        assert (verify(store).problems, problem.kind) == ((), "missing")


def random_operation(store: Store, rng: random.Random, number: int) -> None:
    name, user = rng.choice(["talk", "channel", "quiet"]), rng.choice(["alice", "bob", "carol"])
    said = [
        Message(name, user, rng.choice([user, "bob"]), f"{n}", message_id=f"m{n}", timestamp=LONG_AGO)
        for n in rng.choices(range(number // 2, number + 3), k=rng.randint(1, 4))
    ]
    some = f"m{rng.randrange(number + 1)}"
    choice = rng.random()
    if choice < 0.6:
        store.save_messages(said)
    elif choice < 0.75:
        store.update_messages([MessageEdit(name, some, f"edited {number}"), MessageRedaction("channel", some)])
    elif choice < 0.85:
        store.update_messages([ClearMark(name, through=rng.choice([None, 3]))])
    elif choice < 0.93:
        store.expire([Retention("messages", max_per_thing=rng.randint(3, 9))], rng.random() < 0.3)
    else:
        store.erase_users([user])


def never_alarms(place: Place, operations: int) -> None:
    rng, messages = random.Random(11), 0
    with place.open() as store:
        for number in range(operations):
            random_operation(store, rng, number)
            if number % 10 == 0:
                report = verify(store)
                messages += report.messages
                assert report.problems == ()
        assert verify(store).problems == ()
    assert messages > operations // 2


def test_what_the_store_does_never_raises_an_alarm(place):
    never_alarms(place, 80)


@pytest.mark.long
def test_a_thousand_operations_of_the_store_never_raise_an_alarm(place):
    never_alarms(place, 1_000)


_WRITER = """
import sys
from whisper_persistence import Message, Store
from whisper_persistence.records import MessageEdit
name = sys.argv[1]
with Store.from_settings(drivers=[sys.argv[2]], options={sys.argv[2]: {sys.argv[3]: sys.argv[4],
                         "tamper_evidence": True, "tamper_key": sys.argv[5]}}) as store:
    for n in range(25):
        store.save_messages([Message("talk", name, name, "said", message_id=f"{name} {n}")])
        store.update_messages([MessageEdit("talk", f"{name} {n}", "edited")])
    store.erase_users(["writer 1"])
"""


def test_several_processes_write_one_chain(place):
    driver = place.driver()
    where = ("path", str(driver.path)) if driver.tier == "sqlite" else ("url", driver.url)
    with place.open() as store:
        store.save_messages(talk())
        names = [f"writer {n}" for n in range(2)]
        command = [sys.executable, "-c", _WRITER]
        writers = [subprocess.Popen([*command, name, driver.tier, *where, KEY]) for name in names]  # noqa: S603
        alarms = set()
        while any(writer.poll() is None for writer in writers):
            alarms.update(verify(store).problems)
            time.sleep(0.05)  # between two looks the writers have the machine
        report = verify(store)

        assert [writer.returncode for writer in writers] == [0, 0]
        assert (alarms, report.problems, len(report.heads)) == (set(), (), 1)
        assert report.messages >= 6 + 25


def test_what_was_there_before_is_linked_as_it_was_and_who_knows_nothing_of_chains_is_refused(place):
    with place.open(tamper_evidence=False) as store:
        told(store)
        with pytest.raises(NotSupportedError, match="tamper_evidence = true"):
            verify(store)
    with place.open() as store:
        assert (verify(store).problems, verify(store).messages) == ((), 9)
        assert verify(store, "talk").messages == 6
    with pytest.raises(ConfigurationError, match="set tamper_evidence = true"):
        place.open(tamper_evidence=False)
    place.sql(*TAMPERED["a text"][0])
    with place.open() as store:
        assert [problem.kind for problem in verify(store, "talk").problems] == ["altered"]
        assert verify(store, "other").problems == ()


def test_chains_are_switched_off_for_one_namespace_and_on_again(place):
    with place.open() as store, place.open("other bot") as other:
        told(store)
        told(other)
        assert (store.chain.hook.remove_chains(), verify(other).problems) == (2, ())
        store.save_messages(talk("talk", 7))
        with pytest.raises(NotSupportedError, match="tamper_evidence = true"):
            verify(store)
    with place.open(tamper_evidence=False) as store:
        store.update_messages([MessageEdit("talk", "m4", "edited without a chain")])
        store.erase_users(["bob"])
        with pytest.raises(NotSupportedError, match="tamper_evidence = true"):
            store.chain.hook.remove_chains()
    with pytest.raises(ConfigurationError, match="tamper_key is not the key"):
        place.open("other bot", tamper_key="another key, also long")
    with place.open(tamper_key="another key, also long") as store:
        assert (verify(store).problems, verify(store).messages) == ((), 7)
    place.sql(*TAMPERED["a text"][0])
    with place.open(tamper_key="another key, also long") as store:
        assert [problem.kind for problem in verify(store).problems] == ["altered"]
    with place.open("other bot") as other:
        assert [problem.kind for problem in verify(other).problems] == ["altered"]


def test_chains_are_kept_where_there_are_some_and_begun_nowhere(place):
    with place.open(tamper_evidence="kept") as store:
        told(store)
        with pytest.raises(NotSupportedError, match="tamper_evidence = true"):
            verify(store)
    with place.open():
        pass
    with place.open(tamper_evidence="kept") as store:
        store.save_messages(talk("talk", 8))
        assert (verify(store).problems, verify(store).messages) == ((), 11)


def test_nothing_of_a_removed_message_can_be_told_from_its_links(place):
    with place.open() as store:
        told(store)
        store.expire([Retention("messages", max_age=timedelta(0))], dry_run=False)
        store.erase_users(["alice", "bob"])
    found: list[Any] = []
    if place.driver().tier == "sqlite":
        with closing(sqlite3.connect(place.driver().path)) as connection:
            found = connection.execute("SELECT * FROM message_salts").fetchall()
            links = str(connection.execute("SELECT * FROM message_links").fetchall())
        assert not [word for word in ("alice", "talk", "said") if word in links]
    assert found == []


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Callable[..., Store]:
    options = {"tamper_evidence": True, "tamper_key": KEY}
    return lambda name: Store(Chain.of({"sqlite": SqliteDriver(tmp_path / name, **options)}))


def test_a_restored_backup_brings_its_chains_and_who_is_erased_again_is_linked_as_erased(sqlite_place, tmp_path):
    with sqlite_place("memory.db") as store:
        told(store)
        back_up(store, tmp_path / "backup.db")
        store.erase_users(["bob"])
    driver = SqliteDriver(tmp_path / "memory.db", tamper_evidence=True, tamper_key=KEY)
    report = driver.restore(str(tmp_path / "backup.db"), overwrite=True)
    with sqlite_place("memory.db") as store:
        assert report.erased_again == 1
        assert (verify(store).problems, verify(store).messages) == ((), 6)
        store.save_messages(talk("other"))
        assert verify(store).problems == ()


def backed_up(tmp_path: Path, **options: Any) -> SqliteDriver:
    """Return the driver of a memory with these options, whose bob was erased after a backup was made of it."""
    driver = SqliteDriver(tmp_path / "memory.db", **options)
    with Store(Chain.of({"sqlite": driver})) as store:
        told(store)
        back_up(store, tmp_path / "backup.db")
        store.erase_users(["bob"])
    return driver


@pytest.mark.parametrize("options", [{}, {"tamper_evidence": True, "tamper_key": "another key, also long"}])
def test_a_backup_with_chains_is_not_restored_under_settings_that_would_break_them(options, tmp_path):
    backed_up(tmp_path, tamper_evidence=True, tamper_key=KEY)
    before = (tmp_path / "memory.db").read_bytes()
    with pytest.raises(ConfigurationError, match="hash chains"):
        SqliteDriver(tmp_path / "memory.db", **options).restore(str(tmp_path / "backup.db"), overwrite=True)

    assert (tmp_path / "memory.db").read_bytes() == before
    assert not list(tmp_path.glob("*.restoring*"))


def test_a_backup_without_chains_is_restored_and_linked_as_it_is(sqlite_place, tmp_path):
    driver = backed_up(tmp_path)
    sqlite_place("memory.db").close()
    driver = SqliteDriver(tmp_path / "memory.db", tamper_evidence=True, tamper_key=KEY)
    assert driver.restore(str(tmp_path / "backup.db"), overwrite=True).erased_again == 1
    with sqlite_place("memory.db") as store:
        assert (verify(store).problems, verify(store).messages) == ((), 6)


@pytest.mark.parametrize("chained", ["source", "destination"])
def test_copies_and_archives_bring_conversations_and_chains_begin_where_settings_say(chained, tmp_path, monkeypatch):
    keys = {"WHISPER_PERSISTENCE_SQLITE_TAMPER_EVIDENCE": "true", "WHISPER_PERSISTENCE_SQLITE_TAMPER_KEY": KEY}
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("from", "to", "imported")]
    if chained == "source":
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
    with Store.from_settings(url=urls[0]) as store:
        told(store)
        export_archive(store, tmp_path / "archive", None, lambda *_: None)
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    ends = f"{urls[1]}?tamper_evidence=false" if chained == "source" else urls[1]
    copied = CliRunner().invoke(main, ["copy", "--from", urls[0], "--to", ends])
    with Store.from_settings(url=urls[2]) as store:
        import_archive(store, tmp_path / "archive", lambda *_: None)
        assert (verify(store).problems, verify(store).messages) == ((), 9)
    found = []
    for url in urls[:2]:
        with Store.from_settings(url=f"{url}?tamper_evidence=kept") as store, suppress(NotSupportedError):
            assert (verify(store).problems, verify(store).messages) == ((), 9)
            found.append(url)

    assert copied.exit_code == 0, copied.output
    assert found == (urls[:1] if chained == "source" else urls[1:2])


def test_a_short_key_is_refused_and_a_key_is_never_shown(tmp_path):
    with pytest.raises(ValueError, match="tamper_key"):
        SqliteDriver(tmp_path / "memory.db", tamper_evidence=True, tamper_key="short")
    assert KEY not in repr(SqliteDriver(tmp_path / "memory.db", tamper_evidence=True, tamper_key=KEY))
