"""What is peculiar to the redis-hybrid driver: windows, keys, urls, sharing, forks."""

from __future__ import annotations

import gc
import os
import socketserver
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper_persistence_drivers.redis_cache.clients import connect
from whisper_persistence_drivers.redis_cache.lines import UNNUMBERED, to_line
from whisper_persistence_drivers.redis_cache.near import Near
from whisper_persistence_drivers.redis_cache.newest import Newest
from whisper_persistence_drivers.redis_cache.telling import Telling
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import ConfigurationError, Message, Store, Window
from whisper_persistence.codec import encode
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import Below, ConversationSpecs, LifecycleSpecs, hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import State
from whisper_persistence.testing.model import ModelDriver
from whisper_persistence.testing.redis_servers import RedisServer

PRIVATE = "sesame"


@attrs.define(eq=False)
class Counting(LifecycleSpecs, ConversationSpecs):
    """Counts what the database is asked, and holds reads up on demand."""

    contract_version: ClassVar[int] = 1
    loads: list[Sequence[Window]] = attrs.field(factory=list)
    gate: threading.Event = attrs.field(factory=threading.Event)
    _below: Below = attrs.field(init=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self._below = below
        self.gate.set()

    @hookimpl
    def load_messages(self, windows: Sequence[Window]) -> Any:
        if windows:
            self.loads.append(windows)
            self.gate.wait(30)
        return self._below.load_messages(windows=windows)


def chain(path: Path, url: str, **options: Any) -> dict[str, Any]:
    layer = RedisHybridDriver(url, read_timeout=5, connect_timeout=5, **options)
    return {"redis-hybrid": layer, "counting": Counting(), "sqlite": SqliteDriver(path=path / "memory.db")}


def say(n: int, talk: str = "talk", **others: Any) -> Message:
    return Message(talk, "alice", "alice", f"hello {n}", message_id=f"m{n}", **others)


@st.composite
def talks(draw: st.DrawFn) -> list[Message]:
    """Draw a conversation of two users in which anything may answer anything."""
    number = draw(st.integers(0, 12))
    ids = st.sampled_from([None, *(f"m{n}" for n in range(14))])
    return [
        Message("talk", draw(st.sampled_from("ab")), "x", "", message_id=f"m{n}", in_reply_to=draw(ids))
        for n in range(number)
    ]


windows = st.builds(
    Window,
    st.just("talk"),
    st.integers(1, 8),
    before=st.none() | st.integers(0, 14),
    after=st.none() | st.integers(0, 14),
    user_id=st.none() | st.sampled_from("abc"),
)


@pytest.fixture(scope="module")
def model() -> Iterator[Store]:
    with Store(Chain.of({"model": ModelDriver()})) as store:
        yield store


_numbers = count()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(talks(), windows, st.integers(1, 8))
def test_what_the_newest_messages_answer_is_what_all_of_them_answer(model, talk, window, recent):
    name = f"talk {next(_numbers)}"
    window = attrs.evolve(window, conversation_id=name)
    asked = [Window(name, recent + 1), window, Window(name, 100, after=0)]
    model.save_messages([attrs.evolve(message, conversation_id=name) for message in talk])
    found = model.load_messages(asked)
    newest, expected, everything = (found.get(each, ()) for each in asked)
    content = Newest.of(1, newest, recent)
    answer = content.show(window)

    assert [m.message_id for m in content.messages] == [m.message_id for m in everything[-recent:]]
    assert answer is None or [m.message_id for m in answer] == [m.message_id for m in expected]
    assert answer is not None or not content.whole
    plain = window.before is None and window.after is None and window.user_id is None
    if plain and window.limit <= recent and answer is None:
        assert content.messages[-window.limit :][0].in_reply_to  # which may be anywhere, or nowhere


NASTY = ',"sequence":null,"'


@pytest.mark.parametrize("sequence", [None, 3])
@pytest.mark.parametrize(
    "message",
    [
        Message("talk", NASTY, NASTY, NASTY, message_id="plain", author_name=NASTY, source=NASTY),
        Message("talk", "ann", "ann", "hi", extra={"a": {"b": 0, "sequence": None, "timestamp": "now"}}),
        Message("talk", "ann", "ann", "hi", extra={"a": {"b": 0, "sequence": None, "timestamp": "now"}}, sequence=7),
    ],
    ids=["texts", "extra", "numbered"],
)
def test_a_message_is_numbered_as_if_a_copy_were(message, sequence):
    assert to_line(message, sequence) == encode(attrs.evolve(message, sequence=sequence)).encode()
    assert UNNUMBERED in encode(attrs.evolve(message, sequence=None)).encode()


def test_many_threads_that_miss_one_conversation_fetch_it_once(tmp_path, redis_url):
    drivers = chain(tmp_path, redis_url, near_bytes=0)
    counting, start, shown = drivers["counting"], threading.Barrier(16), []
    with Store(Chain.of(drivers)) as store:
        store.save_messages([say(n) for n in range(30)])
        counting.loads.clear()

        def read() -> None:
            start.wait(30)
            shown.append(store.load_messages([Window("talk")])[Window("talk")])

        threads = [threading.Thread(target=read) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert len(shown) == 16
    assert {tuple(m.message_id for m in messages) for messages in shown} == {tuple(f"m{n}" for n in range(10, 30))}
    assert len(counting.loads) < 16  # one, if all had come at the same moment and nobody had been kept waiting


def test_asking_what_is_left_of_somebody_erased_writes_no_key_that_names_them(tmp_path, redis_url):
    talk = f"talk of alice {tmp_path}"
    with redis.Redis.from_url(redis_url) as server, Store(Chain.of(chain(tmp_path, redis_url))) as store:
        store.save_messages([say(1, talk)])
        store.load_messages([Window(talk)])
        kept = server.keys("*alice*")
        store.erase_users(["alice"])
        shown = [store.load_messages([Window(talk)]) for _ in range(2)]

        assert (len(kept), shown, server.keys("*alice*")) == (1, [{}, {}], [])


@pytest.mark.parametrize("near_bytes", [0, 1_000_000])
def test_what_is_cached_is_not_read_from_the_database(near_bytes, tmp_path, redis_url):
    drivers = chain(tmp_path, redis_url, near_bytes=near_bytes)
    with Store(Chain.of(drivers)) as store:
        store.save_messages([say(n) for n in range(100)])
        store.load_messages([Window("talk")])
        drivers["counting"].loads.clear()
        for n in range(100, 150):
            store.save_messages([say(n)])
            assert [m.message_id for m in store.load_messages([Window("talk", 5)])[Window("talk", 5)]][-1] == f"m{n}"
        assert drivers["counting"].loads == []
        store.load_messages([Window("talk", 5, before=10), Window("talk", 100), Window("talk", 5, user_id="bob")])
        assert len(drivers["counting"].loads) == 1


@pytest.mark.parametrize("many", [20_000, 1])
def test_who_wrote_what_redis_was_never_told_is_shown_it_where_others_may_be_shown_less(many, tmp_path, redis_url):
    with Store(Chain.of(chain(tmp_path, redis_url, near_bytes=0, staleness=600))) as store:
        recents(store).written.many = many
        for talk in ("talk", "other talk"):
            store.save_messages([say(1, talk)])
        for _ in range(3):
            store.load_messages([Window("talk")])  # found, found to be current, and Redis told so
        with Store(Chain.of(chain(tmp_path, redis_url, near_bytes=0, staleness=600))) as other:
            for talk in ("talk", "other talk"):
                store.save_messages([say(2, talk)])
                recents(store).telling._waiting.clear()  # lost on the way
            shown = [len(each.load_messages([Window("talk")])[Window("talk")]) for each in (other, store)]

    assert shown == [1, 2]


def near(store: Store) -> Near:
    return recents(store).near


def test_who_writes_into_what_was_shown_changes_nothing_that_is_shown_again(tmp_path, redis_url):
    with Store(Chain.of(chain(tmp_path, redis_url))) as store:
        store.save_messages([say(0), say(1, extra={"pictures": [1]})])
        seen = []
        for _ in range(4):
            plain, pictured = store.load_messages([Window("talk")])[Window("talk")]
            seen.append((dict(plain.extra), list(pictured.extra["pictures"])))
            plain.extra["written"] = True
            pictured.extra["pictures"].append(2)

        assert seen == [({}, [1])] * 4


def test_what_a_process_holds_takes_no_more_than_it_may(tmp_path, redis_url):
    room = 150_000
    with Store(Chain.of(chain(tmp_path, redis_url, near_bytes=room))) as store:
        store.save_messages([say(n, f"talk {n % 20}", author_name="x" * 200) for n in range(400)])
        held = near(store)
        gc.collect()
        tracemalloc.start()
        try:
            store.load_messages([Window(f"talk {n}") for n in range(20)])
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

        assert room / 2 < held._used <= room
        assert taken < room * 1.3  # what is no message of ours is in there as well
        assert 5 < len(held._held) < 15


def test_what_a_process_holds_of_somebody_goes_with_the_erase_and_of_nobody_outlives_its_time(tmp_path, redis_url):
    with Store(Chain.of(chain(tmp_path, redis_url))) as store:
        store.save_messages([say(0), say(0, "other talk")])
        assert len(store.load_messages([Window("talk"), Window("other talk")])) == 2
        held = near(store)
        kept = len(held._held)
        store.erase_users(["alice"])

        assert (kept, len(held._held)) == (2, 0)

        store.save_messages([say(1, "third talk")])
        store.load_messages([Window("third talk")])
        held.ttl = 0.1
        until = time.monotonic() + 30
        while held._held and time.monotonic() < until:
            time.sleep(0.05)
        assert not held._held


def test_hostile_names_stay_apart(tmp_path, redis_url):
    names = ["a:b", "a", "{a}", "}", "%7D", "a}:{b", "*", "\n", "ä:ö", " "]
    stores = {name: Store(Chain.of(chain(tmp_path, redis_url, near_bytes=0)), name) for name in ("x", "x:a", "{x}")}
    for space, store in stores.items():
        store.save_messages([say(0, name, author_name=space) for name in names])
    for _ in range(2):
        for space, store in stores.items():
            found = store.load_messages([Window(name) for name in names])
            assert [found[Window(name)][0].author_name for name in names] == [space] * len(names)
            assert [found[Window(name)][0].conversation_id for name in names] == names
    for store in stores.values():
        store.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_reads_and_writes_and_leaves_its_parent_alone(tmp_path, redis_url):
    with Store(Chain.of(chain(tmp_path, redis_url))) as store:
        store.save_messages([say(0)])
        store.load_messages([Window("talk")])
        child = os.fork()
        if not child:
            status = 1
            try:
                store.save_messages([say(1)])
                status = len(store.load_messages([Window("talk")])[Window("talk")]) - 2
                store.close()
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(ended) == 0
        assert [m.message_id for m in store.load_messages([Window("talk")])[Window("talk")]] == ["m0", "m1"]


def recents(store: Store) -> Any:
    driver: Any = store.chain.drivers["redis-hybrid"]
    return driver._open_life().layer.reader.recents


def test_closing_tells_redis_what_waits_and_ends_its_threads(tmp_path, redis_url):
    def ours() -> set[threading.Thread]:
        names = ("whisper-persistence-redis", "whisper-persistence-telling")
        return {thread for thread in threading.enumerate() if thread.name in names}

    before = ours()
    with redis.Redis.from_url(redis_url) as server:
        for n in range(3):
            with Store(Chain.of(chain(tmp_path, redis_url))) as store:
                store.load_messages([Window("talk")])
                store.save_messages([say(n)])
                threads, key = ours() - before, recents(store).key("talk")
            assert [thread.is_alive() for thread in threads] == [False, False]
            assert f"hello {n}".encode() in server.get(key)


def test_redis_is_told_of_appends_while_nobody_asks(tmp_path, redis_url):
    with redis.Redis.from_url(redis_url) as server, Store(Chain.of(chain(tmp_path, redis_url))) as store:
        store.load_messages([Window("talk"), Window("other talk")])
        store.save_messages([say(n) for n in range(3)])
        store.save_messages([say(3)])
        store.save_messages([say(4, f"talk {n}") for n in range(60)])  # too many to wait
        told, until = b"", time.monotonic() + 30
        while told.count(b"hello") < 4 and time.monotonic() < until:
            time.sleep(0.005)
            told = server.get(recents(store).key("talk"))

        assert [b"hello %d" % n in told for n in range(4)] == [True] * 4
        assert (recents(store).telling._waiting, recents(store).telling._size) == ({}, 0)


def test_what_threads_say_in_another_order_than_it_was_written_in_is_told_in_that_order(
    tmp_path, redis_url, monkeypatch
):
    monkeypatch.setattr(Telling, "begin", lambda _: None)
    with redis.Redis.from_url(redis_url) as server, Store(Chain.of(chain(tmp_path, redis_url))) as store:
        store.save_messages([say(0)])
        store.load_messages([Window("talk")])
        for changes in ([(2, b"second")], [(3, b"third")], [(2, b"")]):  # the last was stored before, by the first
            recents(store).telling.add({"talk": changes})
        recents(store).telling.flush()
        head, *lines = server.get(recents(store).key("talk")).splitlines()

    assert (head.split()[1], lines[1:]) == (b"3", [b"second", b"third"])


def test_a_wrong_password_is_told_by_health(tmp_path):
    with RedisServer.running() as server:
        server.ask("CONFIG", "SET", "requirepass", "secret")
        wrong = RedisHybridDriver(server.url(), password="wrong")  # noqa: S106
        with Store(Chain.of({"redis-hybrid": wrong, "sqlite": SqliteDriver(tmp_path / "memory.db")})) as store:
            store.save_messages([say(1)])
            recents, record = store.check_health()

    assert (recents.state, record.state) == (State.DOWN, State.UP)
    assert recents.details["error"] == "does not answer (AuthenticationError)"


def test_it_needs_a_database_of_record_below_it(redis_url):
    with pytest.raises(ConfigurationError, match="list one after it"):
        Store(Chain.build([DriverSpec("redis-hybrid", {"url": redis_url})]))


def test_over_a_store_that_forgets_nothing_is_kept_in_redis(redis_url):
    chain = Chain.build([DriverSpec("redis-hybrid", {"url": redis_url}), DriverSpec("memory-fallback")])
    with Store(chain) as store:
        for n in range(5):
            store.save_messages([say(n)])
            assert len(store.load_messages([Window("talk")])[Window("talk")]) == n + 1
        assert store.metrics()["redis-hybrid"]["hits"] == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://host",
        "redis+sentinel://host",
        "redis+cluster://:6379",
        "redis+cluster://host:port",
        "memcache+cluster://host",
        "redis://host?ssl_cert_reqs=none",
        "redis://host?timeout=5",
        "rediss://host?ssl_cert_reqs=perhaps",
        "redis+cluster://host?unknown=1",
        "redis+sentinel://host/service/0?unknown=1",
        "rediss+sentinel://host/service/0?ssl_unknown=1",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url):
    secret = url.replace("://", f"://user:{PRIVATE}@")
    with pytest.raises(ConfigurationError, match="its url cannot be read") as refused:
        connect(secret, None, 1.0, 1.0)
    assert PRIVATE not in str(refused.value)
    assert PRIVATE not in repr(RedisHybridDriver(secret, password=PRIVATE))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            f"redis://user:{PRIVATE}@host:7/3?socket_timeout=99",
            {"host": "host", "port": 7, "db": 3, "password": PRIVATE},
        ),
        (f"rediss://:{PRIVATE}@host:7/3", {"host": "host", "password": PRIVATE}),
        ("unix:///tmp/redis.sock", {"path": "/tmp/redis.sock", "password": "given"}),  # noqa: S108
        ("redis://host", {"host": "host", "password": "given"}),
        (f"redis+sentinel://:{PRIVATE}@one:1,two/service/4", {"db": 4, "password": PRIVATE}),
    ],
)
def test_every_client_is_made_without_retries_and_with_our_timeouts(url, said):
    (server,) = connect(url, "given", 0.25, 0.5).all()
    options = server.pool.connection_kwargs

    assert {**options, **said} == options
    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (0.25, 0.5)
    assert (options["retry"].get_retries(), options["retry_on_error"]) == (0, [])


def test_what_a_url_says_of_tls_holds_for_every_node_and_every_sentinel():
    said = {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}
    query = "ssl_ca_certs=/ca.pem&ssl_check_hostname=false"
    cluster: Any = connect(f"rediss+cluster://host?{query}", None, 1.0, 1.0)
    (named,) = connect(f"rediss+sentinel://host/service/0?{query}", None, 1.0, 1.0).all()
    (asked,) = named.pool.sentinel_manager.sentinels
    for pool in (cluster._pool("host", 1), named.pool, asked.connection_pool):
        assert issubclass(pool.connection_class, redis.SSLConnection)
        assert {**pool.connection_kwargs, **said} == pool.connection_kwargs


def test_a_server_that_does_not_say_which_run_it_is_counts_as_away(tmp_path):
    """As some that only talk like Redis do."""

    class Terse(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.strip().upper() in (b"INFO", b"CLIENT", b"SELECT"):
                    self.wfile.write(b"$0\r\n\r\n" if b"INFO" in line.upper() else b"+OK\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Terse) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"redis://127.0.0.1:{server.server_address[1]}"
        with Store(Chain.of(chain(tmp_path / "memory.db", url))) as store:
            store.save_messages([say(0)])

            assert store.erase_users(["alice"])
            assert store.check_health()[0].state is State.DOWN
        server.shutdown()
