"""Conversations in a bot that restarts, clears, loses its network and its storage: cases that must hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from whisper_persistence import Message, Window
from whisper_persistence.companion import HybridConversationCache, HybridConversationStorage

from .discord import ANN, BEN, BOT, Attachment, Live, Place, Reference

LONG = "x" * 120


@pytest.fixture(params=["sqlite", "postgres", "redis-hybrid, sqlite", "redis-hybrid, postgres"])
def backend(backend_of: Callable[[str], Any], request: pytest.FixtureRequest) -> Any:
    """A new database of each driver, alone and with the newest messages in Redis."""
    return backend_of(request.param)


def ids(messages: list[Any]) -> list[int]:
    return [message.id for message in messages]


async def stored(cache: HybridConversationCache, channel: Any) -> list[str]:
    window = Window(str(channel), 1_000)
    return [m.message_id for m in (await cache.storage.store.load_messages([window])).get(window, ())]


async def test_case_10_two_coroutines_read_one_cold_channel(store):
    cache, place = HybridConversationCache(storage=store), Place(1, seconds=0.05)
    for number in range(1, 8):
        place.says(number, ANN)
    reads = [cache.get_conversation_context(place, 5) for _ in range(20)]
    reads += [cache.get_user_conversation_context(place, 101, 5) for _ in range(20)]
    found = await asyncio.wait_for(asyncio.gather(*reads), 60)

    assert [ids(one) for one in found] == [[3, 4, 5, 6, 7]] * 40
    assert place.asked == 1
    await cache.flush()
    assert await stored(cache, 1) == [str(number) for number in range(1, 8)]


async def test_case_10_a_slow_channel_stops_no_other_and_a_cancelled_reader_stops_nobody(store):
    cache, slow = HybridConversationCache(storage=store), Place(1, seconds=0.3)
    slow.says(1, ANN)
    first = asyncio.ensure_future(cache.get_conversation_context(slow))
    second = asyncio.ensure_future(cache.get_conversation_context(slow))
    other = Place(2)
    other.says(2, ANN)

    assert ids(await asyncio.wait_for(cache.get_conversation_context(other), 60)) == [2]
    assert not first.done()
    first.cancel()
    assert ids(await asyncio.wait_for(second, 60)) == [1]


@pytest.mark.parametrize("failing", ["failing", "empty", "silent"])
async def test_case_11_a_bootstrap_that_finds_nothing_loses_nothing(store, failing, monkeypatch):
    monkeypatch.setattr("whisper_persistence.companion.conversation_bootstrap.HISTORY_SECONDS", 0.05)
    cache, told = HybridConversationCache(storage=store), Place(1)
    for number in range(1, 6):
        cache.add_message("1", told.says(number, ANN))
    place = Place(1, failing=failing == "failing", seconds=30 if failing == "silent" else 0)

    assert ids(await cache.get_conversation_context(place, 3)) == [3, 4, 5]
    assert place.asked == 1
    assert ids(await cache.get_conversation_context(place, 10)) == [1, 2, 3, 4, 5]


async def test_case_11_overlapping_bootstraps_have_no_loss_no_duplicate_and_the_oldest_first(store):
    place = Place(1)
    before = HybridConversationCache(storage=store)
    for number in range(1, 13):
        message = place.says(number, ANN)
        if number % 3:
            await before.add_message("1", message)
    cache = HybridConversationCache(storage=store)
    cache.add_message("1", place.says(13, ANN))
    found = await cache.get_conversation_context(place, 20)
    cache.add_message("1", place.said[11])

    assert ids(found) == list(range(1, 14))
    assert ids(await cache.get_conversation_context(place, 5)) == [9, 10, 11, 12, 13]
    assert ids(await cache.get_conversation_context(place, 5, exclude_message_id=13)) == [8, 9, 10, 11, 12]
    await cache.flush()
    kept = await stored(cache, 1)
    assert len(kept) == len(set(kept))


async def test_case_11_what_was_said_while_the_bot_was_off_is_kept_in_order(store):
    place = Place(1)
    first = HybridConversationCache(storage=store)
    await first.add_message("1", place.says(1, ANN))
    for number in (2, 3, 4):
        place.says(number, BEN)
    second = HybridConversationCache(storage=store)

    assert ids(await second.get_conversation_context(place, 10)) == [1, 2, 3, 4]
    await second.flush()
    assert await stored(second, 1) == ["1", "2", "3", "4"]


async def test_case_11_a_message_added_while_the_network_answers_is_there_once(store):
    cache, place = HybridConversationCache(storage=store), Place(1, seconds=0.05)
    for number in (1, 2, 3):
        place.says(number, ANN)
    reading = asyncio.ensure_future(cache.get_conversation_context(place, 10))
    await place.called.wait()
    late = place.says(4, ANN)
    await cache.add_message("1", late)

    assert ids(await reading) == [1, 2, 3, 4]
    assert await stored(cache, 1) == ["4"]
    again = HybridConversationCache(storage=store)
    assert ids(await again.get_conversation_context(place, 10)) == [1, 2, 3, 4]


@pytest.mark.parametrize("outage", ["clear while it answers", "clear while it does not"])
async def test_case_14_a_cleared_channel_stays_cleared(backend, switch, outage):
    place = Place(1)
    async with backend.store(switch) as store:
        cache = HybridConversationCache(storage=store)
        for number in range(1, 6):
            cache.add_message("1", place.says(number, ANN))
        assert len(await cache.get_conversation_context(place)) == 5
        switch.down = outage == "clear while it does not"
        cache.clear_channel_cache("1")
        assert await cache.get_conversation_context(place) == []
        switch.down = False
        await asyncio.sleep(1.1 if outage == "clear while it does not" else 0)
        assert await cache.flush() == 0
        assert await cache.get_conversation_context(place) == []
        assert await stored(cache, 1) == []
    for _ in range(2):
        async with backend.store() as store:
            cache = HybridConversationCache(storage=store)
            assert await cache.get_conversation_context("1") == []
            assert await cache.get_conversation_context(place) == []
            assert await cache.get_user_conversation_context(place, 101) == []
    async with backend.store() as store:
        cache = HybridConversationCache(storage=store)
        cache.add_message("1", Live(6, "after", ANN, place))
        assert ids(await cache.get_conversation_context(place)) == [6]
        await cache.flush()
    async with backend.store() as store:
        assert ids(await HybridConversationCache(storage=store).get_conversation_context(place)) == [6]


async def test_case_14_clearing_while_the_channel_is_being_read(store):
    cache, place = HybridConversationCache(storage=store), Place(1, seconds=0.05)
    for number in range(1, 6):
        await cache.add_message("1", place.says(number, ANN))
    cache = HybridConversationCache(storage=store)
    reading = asyncio.ensure_future(cache.get_conversation_context(place))
    await place.called.wait()
    cache.clear_channel_cache("1")
    await reading
    await cache.flush()

    assert await cache.get_conversation_context(place) == []
    assert await stored(cache, 1) == []


async def test_case_16_long_ids_pictures_long_messages_and_replies_with_their_question(backend):
    channel, user = f"{LONG}c", f"{LONG}u"[-120:]
    async with backend.store() as store:
        storage = HybridConversationStorage(store)
        question = Message(channel[-120:], user, user, "y" * 2_000, message_id=f"{LONG}q"[-120:])
        reply = Message(
            channel[-120:], user, "bot", "", "assistant", f"{LONG}r"[-120:], in_reply_to=question.message_id
        )
        await storage.append(question, reply)
    async with backend.store() as store:
        found = await HybridConversationStorage(store).recent(channel[-120:], 1)

        assert list(found) == [question, reply]
        cache, place = HybridConversationCache(storage=store), Place(5)
        cache.add_message("5", place.says(1, ANN, "", attachments=[Attachment("http://a/b.png")]))
        cache.add_message("5", place.says(2, BOT, "z" * 2_000, reference=Reference(1)))
        await cache.flush()
    async with backend.store() as store:
        picture, answer = await HybridConversationCache(storage=store).get_user_conversation_context("5", 101)

        assert (picture.content, picture.attachments[0].url) == ("", "http://a/b.png")
        assert (len(answer.content), answer.reference.message_id) == (2_000, 1)
        window = Window("5", 1)
        assert len((await store.load_messages([window]))[window]) == 2


async def test_real_conversations_replayed_as_a_bot_would_read_equal_to_what_is_stored(store, turns):
    """Read twenty, append two: every read equals the same read of the storage, message for message."""
    storage = HybridConversationStorage(store)
    reads = 0
    for conversation_id, said in turns.items():
        for first in range(0, len(said), 2):
            window = Window(conversation_id, 20)
            found = await storage.recent(conversation_id)

            assert found == (await store.load_messages([window])).get(window, ())
            assert found == tuple(said[max(0, first - 20) : first])
            await storage.append(*said[first : first + 2])
            reads += 1
    assert reads == sum(-(-len(said) // 2) for said in turns.values())


async def test_real_conversations_through_the_drop_in_equal_what_is_stored(store, turns):
    cache = HybridConversationCache(max_local_messages=20, storage=store)
    for conversation_id, said in turns.items():
        for first in range(0, len(said), 2):
            found = await cache.get_conversation_context(conversation_id, 20)

            assert [message.content for message in found] == [m.content for m in said[max(0, first - 20) : first]]
            for message in said[first : first + 2]:
                cache.add_message(conversation_id, _redis_shape(message))
        await cache.flush()
        assert await stored(cache, conversation_id) == [m.message_id for m in said][-1_000:]


def _redis_shape(message: Message) -> dict[str, Any]:
    return {
        "id": message.message_id,
        "content": message.content,
        "author_id": message.author_id,
        "timestamp": message.timestamp.isoformat(),
    }
