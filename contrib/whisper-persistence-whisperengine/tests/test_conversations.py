"""The bot's conversation cache: replaced once, kept across restarts, and put back."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from whisper_persistence_whisperengine import attach

from whisper_persistence import StorageUnavailableError, Window
from whisper_persistence.companion import HybridConversationCache

ANN = SimpleNamespace(id=101, bot=False, name="ann", display_name="Ann")
BOT = SimpleNamespace(id=999, bot=True, name="bot", display_name="Bot")


def said(number: int, author: Any = ANN) -> Any:
    moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=number)
    return SimpleNamespace(id=number, content=f"words {number}", author=author, created_at=moment)


class OldCache:
    """The interface of the bot's own cache, in memory."""

    def __init__(
        self, cache_timeout_minutes: int = 15, bootstrap_limit: int = 20, max_local_messages: int = 50
    ) -> None:
        self.cache_timeout_minutes = cache_timeout_minutes
        self.bootstrap_limit = bootstrap_limit
        self.max_local_messages = max_local_messages
        self.cache: dict[str, Any] = {}

    def add_message(self, conversation_key: str, message: Any) -> None:
        held = self.cache.setdefault(conversation_key, {"messages": deque(maxlen=self.max_local_messages)})
        held["messages"].append(message)

    async def get_user_conversation_context(self, channel: Any, user_id: int, limit: int = 5) -> list[Any]:
        return list(self.cache[str(channel.id)]["messages"])[-limit:]


def bot(new_core: Any) -> Any:
    core = new_core()
    core.conversation_cache = OldCache(max_local_messages=30)
    core.emotional.conversation_cache = core.phase2_integration.conversation_cache = core.conversation_cache
    return core


def ids(messages: list[Any]) -> list[int]:
    return [message.id for message in messages]


async def test_the_cache_is_replaced_once_everywhere_and_put_back(backend, new_core):
    async with backend.store() as store:
        core = bot(new_core)
        old, first = core.conversation_cache, said(1)
        old.add_message("7", first)
        for _ in range(2):
            persistence = await attach(core, store=store)
            assert await attach(core, store=store) is persistence
            cache = core.conversation_cache

            assert cache is persistence.conversations is core.emotional.conversation_cache
            assert cache is core.phase2_integration.conversation_cache
            assert (type(cache), cache.max_local_messages) == (HybridConversationCache, 30)
            assert (await cache.get_user_conversation_context(SimpleNamespace(id=7), 101))[0] is first
            await persistence.detach()
            assert core.conversation_cache is core.emotional.conversation_cache is old
            assert core.phase2_integration.conversation_cache is old


async def test_conversations_outlive_the_process(backend, new_core):
    channel = SimpleNamespace(id=7)
    async with backend.store() as store:
        core = bot(new_core)
        await attach(core, store=store)
        for number in range(1, 6):
            core.conversation_cache.add_message("7", said(number, ANN if number % 2 else BOT))
        await core.shutdown_manager.shutdown()
    async with backend.store() as store:
        core = bot(new_core)
        persistence = await attach(core, store=store)
        found = await core.conversation_cache.get_user_conversation_context(channel, user_id=101, limit=15)

        assert ids(found) == [1, 2, 3, 4, 5]
        await persistence.erase_user("101")
        assert await core.conversation_cache.get_user_conversation_context(channel, user_id=101, limit=15) == []
        await persistence.detach()


async def test_who_is_erased_does_not_come_back_with_the_cache_that_was_replaced(backend, new_core):
    bob, answer = SimpleNamespace(id=202, bot=False, name="bob", display_name="Bob"), said(4, BOT)
    answer.reference = SimpleNamespace(message_id=1, resolved=None)
    async with backend.store() as store:
        core = bot(new_core)
        old = core.conversation_cache
        for message in (said(1), said(2, bob), said(3, BOT), answer):
            old.add_message("7", message)
        old.cache["8"] = (said(5),)
        persistence = await attach(core, store=store)
        await persistence.erase_user("101")

        assert ids(old.cache["7"]["messages"]) == [2, 3]
        assert old.cache["7"]["messages"].maxlen == 30
        assert "8" not in old.cache
        await persistence.detach()
        persistence = await attach(core, store=store)
        await persistence.flush()
        found = await store.load_messages([Window("7"), Window("8")])
        assert [[message.message_id for message in talk] for talk in found.values()] == [["2", "3"]]
        await persistence.detach()


async def test_a_core_without_a_cache_or_with_something_else_is_passed_over(backend, new_core):
    async with backend.store() as store:
        core = new_core()
        before = core.conversation_cache
        persistence = await attach(core, store=store)

        assert persistence.conversations is None
        assert core.conversation_cache is before
        await persistence.detach()


async def test_conversations_go_on_while_the_storage_is_away(backend, new_core, switch):
    channel = SimpleNamespace(id=7)
    switch.down = True
    store = backend.store(switch)
    core = bot(new_core)
    persistence = await attach(core, store=store)
    for number in range(1, 4):
        await core.conversation_cache.add_message("7", said(number))

    assert ids(await core.conversation_cache.get_user_conversation_context(channel, 101, 15)) == [1, 2, 3]
    with pytest.raises(StorageUnavailableError):
        await persistence.erase_user("102")
    switch.down = False
    for _ in range(200):
        if not await persistence.flush():
            break
        await asyncio.sleep(0.1)
    await persistence.detach()
    await store.close()
    async with backend.store() as store:
        core = bot(new_core)
        persistence = await attach(core, store=store)
        assert ids(await core.conversation_cache.get_user_conversation_context(channel, 101, 15)) == [1, 2, 3]
        await persistence.detach()
