"""A bot's conversations with the newest messages in Redis, whatever becomes of that: cases that must hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from whisper_persistence import AsyncStore, Durability, Message, Window
from whisper_persistence.companion import HybridConversationCache, HybridConversationStorage
from whisper_persistence.operations import apply_retention
from whisper_persistence.settings import Rule, StoragePolicies
from whisper_persistence.testing.redis_servers import RedisServer

from .discord import ANN, BOT, Place

BASES = ["sqlite", "postgres"]
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def said(number: int, talk: str = "talk", **fields: Any) -> Message:
    return Message(talk, "alice", "alice", f"words {number}", message_id=f"m{number}", **fields)


async def counts(store: AsyncStore) -> Mapping[str, Any]:
    """Return what Redis's driver counted."""
    return next(tier.details for tier in await store.check_health() if tier.tier == "redis-hybrid")


async def until(is_true: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not await is_true():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("fault", ["flushed", "killed", "full"])
async def test_case_12_whatever_becomes_of_redis_answers_are_those_without_it(backend_of, private_redis, base, fault):
    place, talks = Place(1), [f"talk {n}" for n in range(20)]
    with_redis = backend_of(f"redis-hybrid, {base}", private_redis.url())
    async with with_redis.store() as store:
        storage, cache = HybridConversationStorage(store), HybridConversationCache(storage=store)
        for n in range(10):
            for talk in talks:
                receipts = await storage.append(said(2 * n, talk), said(2 * n + 1, talk))
                assert {receipt.durability for receipt in receipts} == {Durability.DURABLE}
            await cache.add_message("1", place.says(n, ANN))
            if n == 5:
                _break(private_redis, fault)
            for talk in talks[::7]:
                assert [m.message_id for m in await storage.recent(talk, 5)] == [f"m{i}" for i in range(2 * n + 2)][-5:]
        through = {talk: await storage.recent(talk) for talk in talks}
        restored = HybridConversationCache(storage=store)
        shown = [message.id for message in await restored.get_user_conversation_context("1", 101, 15)]
    with_redis.layers.clear()
    async with with_redis.store() as store:
        alone = {talk: await HybridConversationStorage(store).recent(talk) for talk in talks}

    assert through == alone
    assert [m.message_id for m in alone["talk 3"]] == [f"m{n}" for n in range(20)]
    assert shown == list(range(10))


def _break(server: RedisServer, fault: str) -> None:
    if fault == "flushed":
        server.ask("FLUSHALL")
    elif fault == "killed":
        server.kill()
    else:
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.ask("CONFIG", "SET", "maxmemory", int(server.ask("INFO", "memory")["used_memory"]) - 1_000)


@pytest.mark.parametrize("base", BASES)
async def test_case_13_redis_failing_during_a_store_leaves_the_row_and_is_repaired(backend_of, private_redis, base):
    chain = backend_of(f"redis-hybrid, {base}", private_redis.url())
    async with chain.store() as store:
        storage = HybridConversationStorage(store)
        await storage.append(said(1), said(2))
        await storage.recent("talk")
        private_redis.save()
        private_redis.kill()
        (receipt,) = await storage.append(said(3))
        await storage.clear("other")
        assert receipt.durability is Durability.DURABLE
        assert [m.message_id for m in await storage.recent("talk")] == ["m1", "m2", "m3"]
        private_redis.start()

        async def is_served_by_redis() -> bool:
            before = (await counts(store))["hits"]
            found = await storage.recent("talk")
            assert [m.message_id for m in found] == ["m1", "m2", "m3"]
            return bool((await counts(store))["hits"] > before)

        await until(is_served_by_redis)
    chain.layers.clear()
    async with chain.store() as store:
        window = Window("talk")
        assert [m.message_id for m in (await store.load_messages([window]))[window]] == ["m1", "m2", "m3"]


@pytest.mark.parametrize("base", BASES)
async def test_real_conversations_are_read_from_redis_and_equal_what_is_stored(backend_of, private_redis, base, turns):
    """Read twenty, append two: after the first read of each, at least 99 of 100 reads come from Redis."""
    chain = backend_of(f"redis-hybrid, {base}", private_redis.url())
    alone = backend_of(base)
    alone.options, alone.namespace = chain.options, chain.namespace
    async with chain.store() as store, alone.store() as truth:
        storage = HybridConversationStorage(store)
        for conversation_id in turns:
            await storage.recent(conversation_id)
        before, reads = await counts(store), 0
        for conversation_id, told in turns.items():
            window = Window(conversation_id, 20)
            for first in range(0, len(told), 2):
                found = await storage.recent(conversation_id)
                assert found == (await truth.load_messages([window])).get(window, ())
                await storage.append(*told[first : first + 2])
                reads += 1
        after = await counts(store)

        assert after["hits"] - before["hits"] >= 0.99 * reads
        assert (after["hits"] - before["hits"]) + (after["misses"] - before["misses"]) == reads


@pytest.mark.parametrize("base", BASES)
async def test_what_expired_is_gone_from_redis_too_and_what_is_held_stays(backend_of, private_redis, base):
    policies = StoragePolicies((Rule("messages", timedelta(days=9)),), held_users=("carol",))
    async with backend_of(f"redis-hybrid, {base}", private_redis.url()).store() as store:
        storage = HybridConversationStorage(store)
        for n in range(20):
            await storage.append(said(n, timestamp=NOW - timedelta(days=20 - n)))
        await storage.append(
            Message("talk", "carol", "carol", "held", message_id="held", timestamp=NOW - timedelta(90))
        )
        await storage.recent("talk", 30)
        assert b"words 3" in b"".join(_contents(private_redis))
        would = await apply_retention(store, policies, dry_run=True, watch=_watch())
        assert len(await storage.recent("talk", 30)) == 21
        did = await apply_retention(store, policies, watch=_watch(), batch=4, pause=0)
        found = await storage.recent("talk", 30)

        assert would.total() == did.total() == 11
        assert [m.message_id for m in found] == [*(f"m{n}" for n in range(11, 20)), "held"]
        assert b"words 3" not in b"".join(_contents(private_redis))


def _watch() -> Any:
    from whisper_persistence.clocks import ClockWatch

    return ClockWatch(now=lambda: NOW)


def _contents(server: RedisServer) -> list[bytes]:
    found: list[bytes] = []
    for key in server.ask("KEYS", "*"):
        kind = server.ask("TYPE", key)
        command = {b"string": ("GET", key), b"list": ("LRANGE", key, 0, -1), b"hash": ("HGETALL", key)}[kind]
        found.append(repr(server.ask(*command)).encode())
    return found


async def test_case_12_the_bots_replies_and_clearings_survive_a_flush(backend_of, private_redis):
    place = Place(1)
    async with backend_of("redis-hybrid, sqlite", private_redis.url()).store() as store:
        cache = HybridConversationCache(storage=store)
        for n in range(6):
            cache.add_message("1", place.says(n, ANN if n % 2 == 0 else BOT))
        await cache.flush()
        private_redis.ask("FLUSHALL")
        again = HybridConversationCache(storage=store)
        assert [m.id for m in await again.get_user_conversation_context("1", 101, 15)] == list(range(6))
        await again.clear_channel_cache("1")
        private_redis.ask("FLUSHALL")

        assert await HybridConversationCache(storage=store).get_conversation_context(place) == []
