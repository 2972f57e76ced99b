"""Redis killed, frozen, emptied, filled, restarted empty or with what it held long ago, under load: nobody notices."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import redis
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver

from whisper_persistence import AsyncStore, Message, Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.operations.doctor import diagnose
from whisper_persistence.plugins import Chain
from whisper_persistence.records import ClearMark, MessageEdit, State
from whisper_persistence.settings import load_settings
from whisper_persistence.testing.redis_servers import RedisServer

TASKS = 32
#: What a call may take on a machine that others use, too, beyond what Redis may take: the database, threads, the loop.
SLACK = 15.0
#: The breaker's longest period, in seconds.
PERIOD = 15.0
LOCOMO = Path(__file__).parents[3] / "shared" / "data" / "locomo-dev.json"


def chain(path: Path, url: str, **options: Any) -> Chain:
    return Chain.build(
        [
            DriverSpec("redis-hybrid", {"url": url, **options}),
            DriverSpec("sqlite", {"path": path, "synchronous": "normal"}),
        ]
    )


def layer(chain: Chain) -> RedisHybridDriver:
    found = chain.drivers["redis-hybrid"]
    assert isinstance(found, RedisHybridDriver)
    return found


def numbers(store: Store) -> dict[str, float]:
    return store.check_health()[0].numbers()


def say(n: int, talk: str = "talk", user: str = "alice", words: str = "hello") -> Message:
    return Message(talk, user, user, f"{words} {n}", message_id=f"{n}")


@attrs.define
class Load:
    """Tasks that each talk in a conversation of their own, and know what it must show at every moment."""

    store: AsyncStore
    stopped: bool = False
    rounds: int = 0
    longest: float = 0.0
    back: float = 0.0

    async def run(self, task: int) -> None:
        luck, told = random.Random(task), list[str]()
        while not self.stopped:
            window, number = Window(f"talk {task}", 10), len(told)
            told.append(f"words {number}")
            message = Message(window.conversation_id, f"u{task}", f"u{task}", told[-1], message_id=f"{number}")
            await self._timed(self.store.save_messages([message]))
            if luck.random() < 0.1:
                told[-1] = f"edited {number}"
                await self._timed(
                    self.store.update_messages([MessageEdit(window.conversation_id, f"{number}", told[-1])])
                )
            shown = await self._timed(self.store.load_messages([window]))
            assert [message.content for message in shown[window]] == told[-10:]
            self.rounds += 1

    async def _timed(self, call: Awaitable[Any]) -> Any:
        began = time.monotonic()
        try:
            return await call
        finally:
            self.longest = max(self.longest, time.monotonic() - began)


async def under_load(made: Chain, fault: Callable[[], None], heal: Callable[[], None], namespace: str = "x") -> Load:
    """Let tasks talk before, during and after a fault; return how it went."""
    async with AsyncStore(made, namespace, workers=8) as store:
        load = Load(store)

        async def some_rounds(number: int) -> None:
            aim = load.rounds + number
            async with asyncio.timeout(90):
                while load.rounds < aim:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)

        async with asyncio.TaskGroup() as group:
            for task in range(TASKS):
                group.create_task(load.run(task))
            try:
                await some_rounds(4 * TASKS)
                await asyncio.to_thread(fault)
                await some_rounds(6 * TASKS)
                await asyncio.to_thread(heal)
                healed, hits = time.monotonic(), layer(made)._open_life().exchange.counters
                breaker = layer(made)._open_life().exchange.servers.all()[0].breaker
                before, opened = hits.hits, breaker.opened
                async with asyncio.timeout(90):
                    while hits.hits < before + 2 * TASKS:
                        await asyncio.sleep(0.005)
                        if breaker.opened > opened:  # a busy machine made Redis late once more
                            healed, opened = time.monotonic(), breaker.opened
                load.back = time.monotonic() - healed
                await some_rounds(4 * TASKS)
            finally:
                load.stopped = True
        return load


def _kill_and_restart(server: RedisServer, *, forget: bool) -> tuple[Callable[[], None], Callable[[], None]]:
    def fault() -> None:
        server.save()
        server.kill()
        if forget:
            server.forget()

    return fault, server.start


def _load_slowly(server: RedisServer) -> tuple[Callable[[], None], Callable[[], None]]:
    """Have it answer for a while after its return that it is loading."""
    server.options += ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    return _kill_and_restart(server, forget=False)


def _demand_a_password(server: RedisServer) -> tuple[Callable[[], None], Callable[[], None]]:
    def fault() -> None:
        server.ask("CONFIG", "SET", "requirepass", "secret")
        with suppress(redis.ConnectionError):
            server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")

    def heal() -> None:
        with redis.Redis(port=server.port, password="secret") as client:  # noqa: S106
            client.config_set("requirepass", "")

    return fault, heal


FAULTS: dict[str, Callable[[RedisServer], tuple[Callable[[], None], Callable[[], None]]]] = {
    "killed": lambda server: (server.kill, server.start),
    "frozen": lambda server: (server.freeze, server.thaw),
    "flushed": lambda server: (lambda: server.ask("FLUSHALL"), lambda: None),
    "full": lambda server: (
        lambda: server.ask("CONFIG", "SET", "maxmemory", "1"),
        lambda: server.ask("CONFIG", "SET", "maxmemory", "0"),
    ),
    "evicting": lambda server: (
        lambda: server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "1200000"),
        lambda: server.ask("CONFIG", "SET", "maxmemory", "0"),
    ),
    "restarted empty": lambda server: _kill_and_restart(server, forget=True),
    "restarted with an old snapshot": lambda server: _kill_and_restart(server, forget=False),
}
RARE: dict[str, Callable[[RedisServer], tuple[Callable[[], None], Callable[[], None]]]] = {
    "loading": _load_slowly,
    "read-only": lambda server: (
        lambda: server.ask("REPLICAOF", "127.0.0.1", "1"),
        lambda: server.ask("REPLICAOF", "NO", "ONE"),
    ),
    "wrong password": _demand_a_password,
}


@pytest.mark.parametrize("fault", [*FAULTS, *(pytest.param(name, marks=pytest.mark.long) for name in RARE)])
def test_a_fault_of_redis_under_load_changes_no_answer_and_holds_up_nobody(fault, tmp_path, private_redis):
    """With the timeouts that are the default."""
    made = chain(tmp_path / "memory.db", private_redis.url(), near_bytes=0)
    load = asyncio.run(under_load(made, *(FAULTS | RARE)[fault](private_redis)))

    assert load.longest < SLACK
    assert load.back < PERIOD + SLACK


@pytest.mark.parametrize(
    "fault", [name if name == "frozen" else pytest.param(name, marks=pytest.mark.long) for name in FAULTS]
)
def test_a_fault_of_redis_over_postgres_changes_no_answer_and_holds_up_nobody(
    fault, postgres_shared_url, private_redis
):
    """With the timeouts that are the default."""
    recents = DriverSpec("redis-hybrid", {"url": private_redis.url(), "near_bytes": 0})
    made = Chain.build([recents, DriverSpec("postgres", {"url": postgres_shared_url})])
    load = asyncio.run(under_load(made, *FAULTS[fault](private_redis), namespace=f"{os.getpid()} {fault}"))

    assert load.longest < SLACK
    assert load.back < PERIOD + SLACK


def test_a_silent_redis_costs_one_timeout_and_then_nothing_until_it_is_probed(tmp_path, private_redis):
    made = chain(tmp_path / "memory.db", private_redis.url(), near_bytes=0, connect_timeout=0.5, read_timeout=0.5)
    with Store(made) as store:
        store.save_messages([say(0)])
        store.load_messages([Window("talk")])
        store.load_messages([Window("talk")])
        server = layer(made)._open_life().exchange.servers.all()[0]
        server.breaker.shortest = server.breaker.longest = 3600.0
        private_redis.freeze()
        spent = []
        for _ in range(50):
            began = time.monotonic()
            store.load_messages([Window("talk")])
            spent.append(time.monotonic() - began)
        private_redis.thaw()

    assert server.breaker.opened == 1
    assert sum(seconds >= 0.5 for seconds in spent) <= 2  # the thread may have been the one that found out


def test_a_process_that_is_cut_off_from_redis_is_never_unheard(tmp_path, private_redis):
    """Its writes reach the other through the database; what the other had in Redis is not shown any more."""
    path, url = tmp_path / "memory.db", private_redis.url()
    with Store(chain(path, url)) as near, Store(chain(path, "redis://127.0.0.1:1/0")) as cut:
        for n in range(60):
            (cut if n % 3 else near).save_messages([say(n)])
            for store in (near, cut):
                shown = store.load_messages([Window("talk", 5)])[Window("talk", 5)]
                assert [message.message_id for message in shown] == [f"{k}" for k in range(max(0, n - 4), n + 1)]
        cut.update_messages([ClearMark("talk")])
        assert near.load_messages([Window("talk", 5)]) == {}
        assert numbers(near)["stale"] > 0


@pytest.mark.parametrize("near_bytes", [0, 1_000_000])
def test_bounded_staleness_is_bounded(near_bytes, tmp_path, private_redis):
    path, url = tmp_path / "memory.db", private_redis.url()
    bound, window = 0.5, Window("talk", 5)
    options = {"staleness": bound, "near_bytes": near_bytes, "read_timeout": 5}
    with Store(chain(path, url, **options)) as reader, Store(chain(path, "redis://127.0.0.1:1/0")) as writer:
        acknowledged: list[float] = []
        lagged = reads = 0
        until = time.monotonic() + 2
        while time.monotonic() < until or (lagged <= 10 and time.monotonic() < until + 60):
            if reads % 20 == 0:
                writer.save_messages([say(len(acknowledged))])
                acknowledged.append(time.monotonic())
            reads += 1
            began = time.monotonic()
            shown = reader.load_messages([window]).get(window, ())
            newest = int(shown[-1].message_id) if shown else -1
            lagged += newest < len(acknowledged) - 1
            missing = acknowledged[newest + 1 :]
            assert not missing or missing[0] > began - bound - 0.05
        asked = numbers(reader)
    assert lagged > 10  # otherwise nothing was shown unasked
    assert asked["hits"] > asked["misses"]


def test_memory_stays_within_its_bound(tmp_path, private_redis):
    _fill(tmp_path, private_redis, conversations=600, messages=20, bound=3_000_000)


@pytest.mark.long
def test_memory_stays_within_its_bound_with_a_million_messages(tmp_path, private_redis):
    _fill(tmp_path, private_redis, conversations=50_000, messages=20, bound=64_000_000)


def test_a_conversation_of_twenty_turns_takes_what_the_page_says(tmp_path, private_redis):
    """docs/redis.md: 21 KB, and 36 KB near."""
    with Store(chain(tmp_path / "memory.db", private_redis.url(), read_timeout=5)) as store:
        turns = [Message("talk", "alice", "alice", "x" * 190) for _ in range(40)]
        store.save_messages(turns)
        store.load_messages([Window("talk", 40)])
        (size,) = (private_redis.ask("MEMORY", "USAGE", key) for key in private_redis.ask("KEYS", "*{*"))
        near = store.chain.drivers["redis-hybrid"]._open_life().layer.reader.recents.near._used

    assert 40 * 190 < size <= 21 * 1024
    assert 40 * 190 < near <= 36 * 1024


def _fill(path: Path, server: RedisServer, conversations: int, messages: int, bound: int) -> None:
    """Talk in many conversations, reading each as a bot does; watch what Redis uses."""
    made = chain(path / "memory.db", server.url(), max_memory=bound, near_bytes=1_000_000, read_timeout=5)
    worst = 0
    with Store(made) as store:
        for first in range(0, conversations, 100):
            names = [f"talk {n}" for n in range(first, first + 100)]
            windows = [Window(name, 20) for name in names]
            store.load_messages(windows)
            for n in range(0, messages, 5):
                store.save_messages([say(k, name, words="x" * 150) for name in names for k in range(n, n + 5)])
                store.load_messages(windows)
            worst = max(worst, int(server.ask("INFO", "memory")["used_memory"]))
        found = numbers(store)
        sizes = [server.ask("MEMORY", "USAGE", key) or 0 for key in server.ask("KEYS", "*{*")[:200]]

    assert worst < bound * 1.1
    assert found["evictions"] > 0
    assert found["hits"] > 0
    assert sizes
    assert max(sizes) < 65_536 * 1.5


@pytest.mark.skipif(not LOCOMO.exists(), reason=f"the LoCoMo conversations are not at {LOCOMO}")
@pytest.mark.parametrize("near_bytes", [0, 1_000_000])
def test_a_real_conversation_hits_nearly_always_and_always_reads_what_sql_reads(near_bytes, tmp_path, private_redis):
    """Each turn as a bot takes it: read the last 20, append what was said and what is answered."""
    path = tmp_path / "memory.db"
    made = chain(path, private_redis.url(), near_bytes=near_bytes, read_timeout=5)
    plain = Chain.build([DriverSpec("sqlite", {"path": path, "synchronous": "normal"})])
    with Store(made, "luna") as store, Store(plain, "luna") as truth:
        for conversation in json.loads(LOCOMO.read_text(encoding="utf-8")):
            said = [turn for session in conversation["sessions"] for turn in session["turns"]]
            window = Window(conversation["conversation"], 20)
            for n in range(0, len(said), 2):
                shown, same = (each.load_messages([window]).get(window, ()) for each in (store, truth))
                assert [(m, m.sequence) for m in shown] == [(m, m.sequence) for m in same]
                store.save_messages([_turn(window.conversation_id, turn) for turn in said[n : n + 2]])
        found = numbers(store)

    assert found["misses"] <= 3 + 0.01 * found["hits"]
    assert found["hits"] > 700
    given = {"redis-hybrid": {"url": private_redis.url(), "read_timeout": 5}, "sqlite": {"path": str(path)}}
    told = diagnose(load_settings(drivers=list(given), namespace="luna", options=given)).tiers[0].details
    assert [told[name] for name in ("hits", "shared_hits", "shared_misses")] == [0, found["hits"], found["misses"]]
    assert told["shared_hit_rate"] == pytest.approx(found["hit_rate"])


def _turn(conversation_id: str, turn: dict[str, Any]) -> Message:
    return Message(conversation_id, "reader", turn["speaker"], turn["text"], message_id=turn["id"])


def test_metrics_are_the_numbers_of_every_tier(tmp_path, private_redis):
    made = chain(tmp_path / "memory.db", private_redis.url(), read_timeout=5)

    async def talk() -> dict[str, dict[str, float]]:
        async with AsyncStore(made) as store:
            for n in range(3):
                await store.save_messages([say(n)])
                await store.load_messages([Window("talk")])
            return await store.metrics()

    found = asyncio.run(talk())

    assert list(found) == ["redis-hybrid", "sqlite"]
    assert (found["redis-hybrid"]["hits"], found["redis-hybrid"]["misses"]) == (2, 1)
    assert found["redis-hybrid"]["hit_rate"] == pytest.approx(2 / 3)
    assert found["redis-hybrid"]["latency_p99"] >= found["redis-hybrid"]["latency_p50"] > 0
    assert found["sqlite"]["bytes"] > 0
    assert all(type(value) in (int, float) for tier in found.values() for value in tier.values())


def test_health_tells_how_redis_is(tmp_path, private_redis):
    made = chain(tmp_path / "memory.db", private_redis.url(), read_timeout=5)
    with Store(made) as store:
        up = store.check_health()
        server = layer(made)._open_life().exchange.servers.all()[0]
        private_redis.kill()
        down = store.check_health()
        private_redis.start()
        server.breaker._until = 0.0
        again = store.check_health()

    assert [tier.state for tier in up] == [State.UP, State.UP]
    assert [tier.state for tier in down] == [State.DOWN, State.UP]
    assert [tier.state for tier in again] == [State.UP, State.UP]
    assert str(up[0].details["server_version"]).split()[0] in ("valkey", "redis")


def test_an_erase_reaches_redis_at_once_and_says_so(tmp_path, private_redis):
    canary = "the canary sings"
    with Store(chain(tmp_path / "memory.db", private_redis.url(), read_timeout=5)) as store:
        store.save_messages([Message("talk", "alice", "alice", canary), Message("talk", "bob", "bob", "hello")])
        store.load_messages([Window("talk")])
        assert any(
            canary.encode() in (private_redis.ask("GET", key) or b"") for key in private_redis.ask("KEYS", "*{*")
        )
        report = store.erase_users(["alice"])[0]

        held = [private_redis.ask("GET", key) for key in private_redis.ask("KEYS", "*{*")]
        assert not any(canary.encode() in (text or b"") for text in held)
        assert [message.content for message in store.load_messages([Window("talk")])[Window("talk")]] == ["hello"]
    assert (report.tier, report.counts) == ("redis-hybrid", {"conversations": 1})


def test_an_erase_that_redis_missed_is_said_and_reaches_it_later(tmp_path, private_redis):
    made = chain(tmp_path / "memory.db", private_redis.url(), read_timeout=0.2)
    with Store(made) as store:
        store.save_messages([Message("talk", "alice", "alice", "the canary sings")])
        store.load_messages([Window("talk")])
        private_redis.freeze()
        report = store.erase_users(["alice"])[0]
        private_redis.thaw()
        layer(made)._open_life().exchange.servers.all()[0].breaker._until = 0.0
        layer(made)._open_life().wake()
        deadline = time.monotonic() + 60
        while store.load_pending("redis-hybrid", 1) and time.monotonic() < deadline:
            time.sleep(0.01)

        assert "did not answer" in report.remaining[0]
        assert not any(b"canary" in (private_redis.ask("GET", key) or b"") for key in private_redis.ask("KEYS", "*{*"))


def test_two_databases_on_one_redis_never_meet(tmp_path, private_redis):
    stores = [Store(chain(tmp_path / f"{n}.db", private_redis.url(), near_bytes=0, read_timeout=5)) for n in range(2)]
    for n, store in enumerate(stores):
        store.save_messages([Message("talk", "alice", "alice", f"of {n}", timestamp=datetime(2024, 1, 1, tzinfo=UTC))])
    for _ in range(2):
        shown = [store.load_messages([Window("talk")])[Window("talk")][0].content for store in stores]
        assert shown == ["of 0", "of 1"]
    for store in stores:
        store.close()
