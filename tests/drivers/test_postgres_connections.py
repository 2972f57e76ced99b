"""Connections: what the options make of them, and that none is left behind."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import Any

import psycopg
import pytest
from whisper_persistence_drivers import postgres_connection, postgres_lending
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sql import scanning

from whisper_persistence import (
    ConfigurationError,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    Store,
    Window,
)
from whisper_persistence.discovery import DriverSpec, build_driver
from whisper_persistence.records import Thing
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

TALK = Window("talk", 1_000)


def database(store: Store) -> Any:
    return store.chain.drivers["postgres"]._database


def shown(store: Store, query: str) -> Any:
    """Return the one value that a query on a connection of the store's pool shows."""
    with database(store).reading() as connection:
        return connection.execute(query.encode()).fetchone()[0]


def sessions(url: str) -> int:
    """Return how many sessions of ours there are in a database; one that asked this before may still be ending."""
    with psycopg.connect(url, autocommit=True) as connection:
        ours = "datname = current_database() AND application_name = 'whisper-persistence'"
        return connection.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}".encode()).fetchall()[0][0]  # noqa: S608


def settled(url: str, expected: int) -> int:
    """Return how many sessions there are once there are as many as expected, or after thirty seconds."""
    until = time.monotonic() + 30
    while sessions(url) != expected and time.monotonic() < until:
        time.sleep(0.01)
    return sessions(url)


def use(store: Store, times: int = 8) -> None:
    for n in range(times):
        store.save_messages([samples.message(message_id=f"used {n}")])
        store.load_messages([TALK])


# Settings of a session.


def test_a_session_is_set_as_promised(opened):
    store = opened(statement_timeout=7, lock_timeout=0.25)

    assert shown(store, "SHOW statement_timeout") == "7s"
    assert shown(store, "SHOW lock_timeout") == "250ms"
    assert shown(store, "SHOW idle_in_transaction_session_timeout") == "1min"
    assert shown(store, "SHOW timezone") == "UTC"
    assert shown(store, "SHOW application_name") == "whisper-persistence"
    assert shown(store, "SHOW client_encoding") == "UTF8"
    assert shown(store, "SHOW transaction_isolation") == "read committed"


@pytest.mark.parametrize("option", ["statement_timeout", "lock_timeout"])
def test_the_shortest_timeout_is_still_one(option):
    driver: Any = build_driver(DriverSpec("postgres", {option: 0.000_1}))

    assert f"-c {option}=1 " in driver.connect().arguments["options"]  # no server answers in so little, to be asked


def test_what_the_database_sets_for_everybody_does_not_change_how_we_work(postgres_url, opened):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        (name,) = connection.execute("SELECT current_database()").fetchall()[0]
        for setting in ("default_transaction_isolation = serializable", "timezone = 'Asia/Tokyo'", "search_path = ''"):
            connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    store = opened(postgres_url)

    assert shown(store, "SHOW transaction_isolation") == "read committed"
    use(store)
    assert len(store.load_messages([TALK])[TALK]) == 8


NASTY = [
    "two words",
    "a\tb",
    "line\nfeed",
    "back\\slash",
    "quote's",
    '"',
    "x -c statement_timeout=1ms",
    "\u00fc\U0001f600",
]


@pytest.mark.parametrize("name", [*NASTY, "x\t-c\tstatement_timeout=1ms", "a\u00a0b", "\\ -c jit=on", "n" * 512])
def test_a_namespace_is_kept_to_the_letter_and_says_nothing_else_to_the_server(opened, name):
    store = opened(namespace=name)

    assert shown(store, "SHOW whisper_persistence.namespace") == name
    assert shown(store, "SHOW statement_timeout") == "10s"
    assert shown(store, "SHOW jit") == "off"


def test_statements_are_prepared_on_the_server_unless_a_pooler_is_between(opened):
    prepared = "SELECT count(*) FROM pg_prepared_statements"
    with opened(pool_size=1) as with_them, opened(pool_size=1, prepare=False) as without:
        for store in (with_them, without):
            use(store)
            samples.fill(store, SUBJECT_CAPABILITIES)

        assert shown(with_them, prepared) >= 2
        assert shown(without, prepared) == 0


@pytest.mark.parametrize("reset", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_who_resets_what_the_server_prepared_is_noticed_by_nobody(opened, reset):
    with opened(pool_size=1) as store:
        use(store)
        before = store.load_revisions([Thing("conversation", "talk")])
        for _ in range(3):
            with database(store).reading() as connection:
                connection.execute(reset)

            assert store.load_revisions([Thing("conversation", "talk")]) == before != {}


def test_a_connection_keeps_no_more_statements_prepared_than_it_should(opened, monkeypatch):
    monkeypatch.setattr(postgres_connection, "_KEPT", 20)
    with opened(pool_size=1) as store, database(store).reading() as connection:
        for number in 2 * list(range(30)):
            for _ in range(2):
                assert connection.run(f"SELECT $1::BIGINT + {number}", [1]).fetchall() == [(number + 1,)]
        kept = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchall()[0][0]

        assert 0 < kept <= 21


# Who we are and where the server is.


def test_who_looked_out_for_an_answer_in_vain_sleeps_for_those_that_follow(opened):
    """Ever longer, as a server deserves that is far away, or has to write."""
    late = "SELECT $1::BIGINT FROM pg_sleep(0.005)"
    with database(opened()).reading() as connection:
        rests = []
        for number in range(10):
            assert connection.run(late, [number]).fetchall() == [(number,)]
            (known,) = (known for (text, _), known in connection._known.items() if text == late.encode())
            rests.append((known.lookout.rest, known.lookout.left))

    assert rests == [(0, 0), (1, 1), (1, 0), (3, 3), (3, 2), (3, 1), (3, 0), (7, 7), (7, 6), (7, 5)]


def test_what_a_url_says_of_the_connection_holds(opened, postgres_shared_url):
    more = "&application_name=my-bot&options=-c%20work_mem%3D5MB"
    store = opened(postgres_shared_url + more)

    assert shown(store, "SHOW application_name") == "my-bot"
    assert shown(store, "SHOW work_mem") == "5MB"
    assert shown(store, "SHOW statement_timeout") == "10s"


@pytest.fixture
def guest(private_server) -> Iterator[tuple[str, str]]:
    """The URL of somebody who needs a password on a server without TLS, and the password."""
    with psycopg.connect(private_server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'a pass word' SUPERUSER")
        try:
            yield f"postgresql://guest@127.0.0.1:{private_server.port}/postgres?connect_timeout=2", "a pass word"
        finally:
            connection.execute("DROP OWNED BY guest CASCADE")
            connection.execute("DROP ROLE guest")


@pytest.mark.parametrize("said", ["option", "url", "both"])
def test_encryption_that_is_asked_for_is_never_left_out(guest, opened, said):
    url, password = guest
    asked = url if said == "option" else f"{url}&sslmode=require"
    options = {} if said == "url" else {"sslmode": "require"}

    assert shown(opened(url, password=password, schema="guest"), "SELECT current_user") == "guest"
    with pytest.raises(StorageUnavailableError, match="did not answer"):
        opened(asked, password=password, schema="guest", **options)


def test_a_password_beside_the_url_is_used_unless_the_url_has_one(guest, opened, monkeypatch):
    url, password = guest
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", url)
    monkeypatch.setenv("WHISPER_PERSISTENCE_POSTGRES_PASSWORD", password)
    monkeypatch.setenv("WHISPER_PERSISTENCE_POSTGRES_SCHEMA", "guest")
    with Store.from_settings() as store:
        assert shown(store, "SELECT current_user") == "guest"

    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", url.replace("guest@", "guest:wrong@"))
    with pytest.raises(ConfigurationError, match="check user and password"):
        Store.from_settings()


def test_a_password_that_is_changed_while_the_store_is_open_is_an_outage(guest, opened):
    url, password = guest
    store = opened(url, password=password, schema="guest", max_lifetime=0.001)
    database(store).arguments["password"] = password[::-1]

    with pytest.raises(StorageUnavailableError, match="check user and password"):
        store.load_messages([TALK])


def test_an_option_is_stronger_than_the_url(postgres_shared_url):
    driver = PostgresDriver(f"{postgres_shared_url}&sslmode=require&sslrootcert=/none", sslmode="disable")
    arguments = driver.connect().arguments

    assert (arguments["sslmode"], arguments["sslrootcert"]) == ("disable", "/none")


def test_options_that_are_text_are_understood(postgres_shared_url):
    options = {"url": postgres_shared_url, "pool_size": "3", "prepare": "false", "max_lifetime": "60", "port": "5433"}
    driver: Any = build_driver(DriverSpec("postgres", options))

    assert (driver.pool_size, driver.prepare, driver.max_lifetime, driver.port) == (3, False, 60.0, 5433)


@pytest.mark.parametrize(
    ("option", "value"),
    [("pool_size", 0), ("max_lifetime", 0), ("statement_timeout", -1), ("lock_timeout", 0), ("connect_timeout", 0)],
)
def test_a_limit_that_is_none_is_refused(option, value):
    with pytest.raises(ConfigurationError, match=option):
        build_driver(DriverSpec("postgres", {option: value}))


def test_a_server_that_never_answers_is_an_outage_after_the_timeout(opened):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(StorageUnavailableError, match="did not answer"):
            opened(f"postgresql://someone@127.0.0.1:{silent.getsockname()[1]}/memory", connect_timeout=2)

        assert time.monotonic() - began < 30  # and not for ever


# How many there are, and how long they live.


def test_what_is_counted_are_our_sessions_and_not_those_that_count(postgres_url, opened):
    with psycopg.connect(postgres_url):
        assert sessions(postgres_url) == 0
    with closing(opened(postgres_url)):
        assert sessions(postgres_url) == 1


def test_there_are_never_more_connections_than_the_pool_is_wide(postgres_url, opened):
    store = opened(postgres_url, pool_size=3, pool_timeout=30, lock_timeout=30, statement_timeout=30)
    store.save_messages(samples.talk(1))
    with ThreadPoolExecutor(12) as pool, psycopg.connect(postgres_url) as other:
        other.execute("SELECT * FROM whisper_persistence.revisions FOR UPDATE")
        writing = [pool.submit(store.save_messages, [samples.message(message_id=str(n))]) for n in range(12)]

        assert settled(postgres_url, 3) == 3
        other.rollback()
        assert sorted(future.result(30)[0].sequence or 0 for future in writing) == list(range(2, 14))
    assert sessions(postgres_url) == 3


def test_who_waits_too_long_for_a_connection_is_told_of_an_outage(opened):
    store = opened(pool_size=1, pool_timeout=0.05)
    with database(store).reading(), pytest.raises(StorageUnavailableError, match="did not answer"):
        store.load_messages([TALK])

    assert store.load_messages([TALK]) == {}


def test_a_connection_is_renewed_when_it_is_old(opened):
    mine = "SELECT pg_backend_pid()"
    with opened(max_lifetime=0.001) as short, opened() as usual:
        assert shown(usual, mine) == shown(usual, mine)
        assert len({shown(short, mine) for _ in range(3)}) == 3


def test_a_connection_that_was_cut_while_it_rested_is_replaced_before_anybody_notices(postgres_url, opened):
    store = opened(postgres_url, pool_size=1)
    store.save_messages(samples.talk(3))
    before = shown(store, "SELECT pg_backend_pid()")
    lender = store.chain.drivers["postgres"]._database._lender
    lender.give_back(lent := lender.take())
    lent.info["looked_at"] = lent.info["rested"] = time.monotonic() - 60
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])

    assert len(store.load_messages([TALK])[TALK]) == 3
    assert shown(store, "SELECT pg_backend_pid()") != before


def test_a_connection_that_is_cut_in_the_middle_fails_one_call_and_is_replaced(postgres_url, opened):
    store = opened(postgres_url, pool_size=1)
    store.save_messages(samples.talk(3))
    before = shown(store, "SELECT pg_backend_pid()")
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])

    with pytest.raises(StorageUnavailableError, match=r"did not answer \(AdminShutdown 57P01\): try again"):
        store.load_messages([TALK])
    assert len(store.load_messages([TALK])[TALK]) == 3


def test_who_waits_longest_for_a_connection_gets_it_first(opened):
    store, got = opened(pool_size=1), list[int]()
    lender = database(store)._lender

    def ask(number: int) -> None:
        lent = lender.take()
        got.append(number)
        lender.give_back(lent)

    lent = lender.take()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(lender._waiting) <= number:
            time.sleep(0.001)
    lender.give_back(lent)
    for thread in threads:
        thread.join(30)

    assert got == [0, 1, 2, 3, 4]
    assert (lender.lent, lender.pool.checkedout()) == (0, 1)


class Interrupted(SimpleQueue[Any]):
    """A place at which somebody is interrupted after something else happened."""

    before: Callable[[], None]

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if timeout is None:
            return super().get(block)
        self.before()
        raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["while waiting", "as it was handed over", "just after taking it"])
def test_who_is_interrupted_while_waiting_for_a_connection_leaves_it_to_others(opened, monkeypatch, when):
    store = opened(pool_size=1, pool_timeout=0.5)
    lender, before = database(store)._lender, shown(store, "SELECT pg_backend_pid()")
    lent = [lender.take()]
    monkeypatch.setattr(postgres_lending, "SimpleQueue", Interrupted)

    def hand_over() -> None:
        (place,) = lender._waiting
        if when != "while waiting":
            lender.give_back(lent.pop())
        if when == "just after taking it":
            place.get_nowait()

    monkeypatch.setattr(Interrupted, "before", staticmethod(hand_over), raising=False)
    with pytest.raises(KeyboardInterrupt):
        lender.take()
    monkeypatch.undo()
    for left in lent:
        lender.give_back(left)

    assert (lender.lent, len(lender._waiting)) == (0, 0)
    for _ in range(2):
        assert shown(store, "SELECT pg_backend_pid()") == before


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT 1 / 0"])
def test_an_error_between_statements_of_one_state_costs_no_connection(opened, monkeypatch, query):
    store = opened(pool_size=1)
    samples.fill(store, SUBJECT_CAPABILITIES)
    before = shown(store, "SELECT pg_backend_pid()")

    def load(session: Any, user_ids: Any) -> Any:
        session.connection.execute(query)
        raise StorageDamagedError("a record cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(scanning, "load_statistics", load)
        with pytest.raises((StorageDamagedError, StorageRefusedError)):
            store.scan("statistics", None, 10)

    assert shown(store, "SELECT pg_backend_pid()") == before
    assert store.scan("statistics", None, 10).records


def test_a_connection_that_is_cut_between_statements_of_one_state_is_an_outage(postgres_url, opened, monkeypatch):
    store = opened(postgres_url, pool_size=1)
    samples.fill(store, SUBJECT_CAPABILITIES)

    def load(session: Any, user_ids: Any) -> Any:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [session.connection.info.backend_pid])
        session.connection.execute("SELECT 1")

    with monkeypatch.context() as patched:
        patched.setattr(scanning, "load_statistics", load)
        with pytest.raises(StorageUnavailableError, match="57P01"):
            store.scan("statistics", None, 10)

    assert store.scan("statistics", None, 10).records


def test_opening_and_closing_many_times_leaves_no_connection(postgres_url, opened):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(80):
        with closing(opened(postgres_url)) as store:
            store.load_messages([TALK])

    assert settled(postgres_url, 0) == 0
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_a_connection_that_is_lent_while_the_store_closes_is_closed_when_it_comes_back(postgres_url, opened):
    store = opened(postgres_url)
    with database(store).reading() as connection:
        store.close()
        assert connection.execute("SELECT 1").fetchall() == [(1,)]

    assert connection.closed
    assert settled(postgres_url, 0) == 0


def test_a_call_that_comes_after_closing_opens_nothing_anew(postgres_url, opened, refused_after_closing):
    refused_after_closing(opened(postgres_url))

    assert settled(postgres_url, 0) == 0


def test_a_driver_that_is_opened_again_works(postgres_url, opened):
    driver = opened(postgres_url).chain.drivers["postgres"]
    for _ in range(2):
        driver.close()
        driver.open(None, "again")
        driver.save_messages(samples.talk(2))

    assert len(driver.load_messages([TALK])[TALK]) == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own_and_leaves_its_parents_alone(opened):
    store = opened(pool_size=1)
    store.save_messages(samples.talk(2))
    before = shown(store, "SELECT pg_backend_pid()")
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            found = shown(store, "SELECT pg_backend_pid()")
            store.save_messages(samples.talk(4))
            store.close()
            os.write(there, f"{found}".encode())
            status = 0
        finally:
            os._exit(status)

    assert os.waitpid(child, 0)[1] == 0
    assert int(os.read(here, 100)) != before
    assert shown(store, "SELECT pg_backend_pid()") == before
    assert len(store.load_messages([TALK])[TALK]) == 4


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_other_threads_write_loses_nothing_on_either_side(opened):
    store = opened()
    stop, written = threading.Event(), list[str]()

    def write(name: int) -> None:
        while not stop.is_set():
            message_id = f"{name} {len(written)}"
            store.save_messages([samples.message(message_id=message_id)])
            written.append(message_id)

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, name) for name in range(3)]
        for n in range(5):
            child = os.fork()
            if child == 0:
                try:
                    store.save_messages([samples.message(message_id=f"child {n}")])
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        assert [future.result(30) for future in writing] == [None] * 3

    found: list[str] = []
    after = 0
    while page := store.load_messages([Window("talk", 500, after=after)]):
        (messages,) = page.values()
        found += [message.message_id for message in messages]
        after = messages[-1].sequence or 0
    assert sorted(found) == sorted([*written, *(f"child {n}" for n in range(5))])
