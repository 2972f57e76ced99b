"""The drop-in for the bot's conversation caches: its interface, and what the old ones got wrong."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from whisper_persistence import AsyncStore, StorageUnavailableError, Window
from whisper_persistence.companion import HybridConversationCache, HybridConversationStorage

from .discord import ANN, BEN, BOT, Attachment, Place, Reference, User


class Clock:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(store: AsyncStore, clock: Clock) -> HybridConversationCache:
    return HybridConversationCache(15, 20, 50, HybridConversationStorage(store, clock=clock), clock=clock)


def ids(messages: list[Any]) -> list[int]:
    return [message.id for message in messages]


async def stored(cache: HybridConversationCache, channel: Any) -> list[str]:
    window = Window(str(channel), 1_000)
    found = await cache.storage.store.load_messages([window])
    return [message.message_id for message in found.get(window, ())]


async def test_it_has_the_signatures_of_the_caches_that_it_stands_for():
    cache = HybridConversationCache
    expected = {
        "add_message": ["conversation_key", "message"],
        "get_conversation_context": ["channel", "limit", "exclude_message_id"],
        "get_user_conversation_context": ["channel", "user_id", "limit", "exclude_message_id"],
        "remove_message": ["channel_id", "message_id"],
        "sync_with_storage": ["channel_id", "message", "storage_success"],
        "clear_channel_cache": ["channel_id"],
        "get_cache_stats": [],
    }
    parameters = inspect.signature(cache).parameters

    assert list(parameters)[:4] == ["cache_timeout_minutes", "bootstrap_limit", "max_local_messages", "storage"]
    assert [parameters[name].default for name in list(parameters)[:4]] == [15, 20, 50, None]
    for name, arguments in expected.items():
        assert list(inspect.signature(getattr(cache, name)).parameters)[1:] == arguments
    for name in ("add_message", "remove_message", "sync_with_storage", "clear_channel_cache", "get_cache_stats"):
        assert not asyncio.iscoroutinefunction(getattr(cache, name))
    for name in ("initialize", "get_conversation_context", "get_user_conversation_context", "cleanup", "close"):
        assert asyncio.iscoroutinefunction(getattr(cache, name))


async def test_code_for_the_synchronous_and_the_asynchronous_class_both_work(cache):
    place = Place(1)
    cache.add_message("1", place.says(1, ANN))
    await cache.add_message("1", place.says(2, ANN))
    assert await stored(cache, 1) == ["1", "2"]
    assert cache.get_cache_stats()["cached_channels"] == (await cache.get_cache_stats())["channels_cached"] == 1
    cache.remove_message("1", 1)
    await cache.remove_message("1", "2")
    assert cache.clear_channel_cache("1") is not None
    await cache.clear_channel_cache("1")
    await cache.sync_with_storage("1", place.said[0], True)
    await cache.cleanup()

    assert await cache.get_conversation_context("1") == []


async def test_both_families_of_statistics(cache):
    cache.add_message("1", Place(1).says(1, ANN))
    cache.add_message("2", Place(2).says(2, ANN))
    hybrid = {
        "cached_channels": 2,
        "total_cached_messages": 2,
        "avg_messages_per_channel": 1,
        "cache_timeout_minutes": 15,
        "bootstrap_limit": 20,
        "max_local_messages": 50,
    }
    redis = {"channels_cached": 2, "total_messages": 2, "redis_connected": False}

    assert (hybrid | redis).items() <= cache.get_cache_stats().items()
    assert cache.get_stats() == cache.get_cache_stats()
    assert (await cache.get_stats())["tiers"]
    await cache.flush()
    assert (cache.get_stats()["waiting"], cache.get_stats()["lost"]) == (0, 0)


async def test_live_objects_come_back_as_they_are_and_restored_ones_are_object_and_mapping(cache, store):
    place = Place(7)
    told = place.says(
        5, ANN, "look", attachments=[Attachment("http://a/b.png")], mentions=[BEN], guild=SimpleNamespace(id=3)
    )
    await cache.add_message("7", told)

    assert (await cache.get_conversation_context(place))[0] is told
    (restored,) = await HybridConversationCache(storage=store).get_conversation_context("7")
    assert (restored.id, restored.author.id, restored.author.bot, restored.content) == (5, 101, False, "look")
    assert (restored["id"], restored["author_id"], restored["bot"], restored["content"]) == ("5", "101", False, "look")
    assert (restored.author.display_name, restored["author_name"]) == ("user-101", "user-101")
    assert (restored.created_at, restored["timestamp"]) == (told.created_at, told.created_at.isoformat())
    assert [attachment.url for attachment in restored.attachments] == restored["attachments"] == ["http://a/b.png"]
    assert (restored.channel.id, restored.guild.id, restored.mentions[0].id) == (7, 3, 102)
    assert "content" in restored
    assert (restored.embeds, restored["embeds"], restored.webhook_id, restored.reference) == ([], False, None, None)
    assert not hasattr(restored, "nothing")


@pytest.mark.parametrize(
    "shape",
    [
        {
            "id": "5",
            "content": "hi",
            "author_id": "101",
            "author_name": "Ann",
            "timestamp": "2026-03-01T00:00:05+00:00",
        },
        {"id": 5, "content": "hi", "author_id": 101, "author_bot": False, "timestamp": 1772323205.0},
        {"content": "hi", "author_id": "101", "author_name": "Ann", "timestamp": "2026-03-01T00:00:05", "bot": False},
        {"user_id": "101", "content": "hi", "timestamp": "2026-03-01T00:00:05"},
    ],
)
async def test_mappings_of_every_cache_are_taken(cache, shape):
    await cache.add_message("c", shape)
    await cache.add_message("c", dict(shape))
    (found,) = await cache.get_conversation_context("c")

    assert (found.author.id, found["content"], found.created_at.second) == (101, "hi", 5)
    assert len(await stored(cache, "c")) == 1


async def test_what_cannot_be_understood_or_kept_harms_nobody(cache, caplog):
    place = Place(1)
    nanoseconds = {"content": "x", "author_id": "1", "timestamp": 1.7e18}
    for bad in (None, object(), {"content": "x", "author_id": "1", "timestamp": "yesterday"}, nanoseconds, {}):
        cache.add_message("1", bad)
    await cache.add_message("1", place.says(1, ANN, "\ud800 \0"))
    await cache.add_message("1", place.says(2, ANN))

    assert ids(await cache.get_conversation_context("1")) == [2]
    assert "\\ud800" not in caplog.text


async def test_messages_of_a_replaced_cache_are_adopted_once(store):
    place = Place(1)
    old = SimpleNamespace(
        cache={"1": {"messages": deque([place.says(1, ANN), place.says(2, BOT)]), "last_bootstrap": 0.0}},
        other={2: [{"id": "9", "content": "hi", "author_id": "101", "timestamp": 1.0}]},
        settings={"limit": 5, "names": ["a", "b"]},
    )
    for _ in range(2):
        cache = HybridConversationCache(storage=store, adopt=old)
        cache.adopt(old)
        await cache.flush()

        assert ids(await cache.get_conversation_context("1")) == [1, 2]
        assert (await cache.get_conversation_context("1"))[0] is place.said[0]
        assert ids(await cache.get_conversation_context("2")) == [9]
    assert await stored(cache, 1) == ["1", "2"]
    assert await stored(cache, 2) == ["9"]


async def test_messages_added_before_there_is_a_loop_are_written_later(backend):
    def before() -> HybridConversationCache:
        made = HybridConversationCache(storage=backend.store())
        made.add_message("1", Place(1).says(1, ANN))
        return made

    cache = await asyncio.to_thread(before)
    async with cache.storage.store:
        assert ids(await cache.get_conversation_context("1")) == [1]
        assert await stored(cache, 1) == ["1"]


async def test_a_users_context_holds_the_replies_to_that_user_only(cache, store):
    place = Place(1)
    for message in (
        place.says(1, ANN, "ann asks"),
        place.says(2, BEN, "ben asks"),
        place.says(3, BOT, "for ann", reference=Reference(1)),
        place.says(4, BOT, "for ben", mentions=[BEN]),
        place.says(5, BOT, "for the last who spoke"),
    ):
        cache.add_message("1", message)
    await cache.flush()
    everybody = HybridConversationCache(storage=store, reply_scope="all")
    restored = HybridConversationCache(storage=store)

    for ours in (cache, restored):
        assert ids(await ours.get_user_conversation_context(place, 101, 15)) == [1, 3]
        assert ids(await ours.get_user_conversation_context(place, user_id=102, limit=15)) == [2, 4, 5]
        assert ids(await ours.get_user_conversation_context(place, 102, 15, exclude_message_id=5)) == [2, 4]
        assert ids(await ours.get_user_conversation_context(place, 102, 15, exclude_message_id="5")) == [2, 4]
    assert ids(await everybody.get_user_conversation_context(place, 101, 15)) == [1, 3, 4, 5]


async def test_a_reply_concerns_the_user_whose_context_was_read_even_before_the_question_is_added(cache):
    place = Place(1)
    question = place.says(1, ANN, "ann asks")
    cache.add_message("1", place.says(0, BEN, "ben talks"))
    await cache.get_user_conversation_context("1", 101, 15, exclude_message_id=1)
    cache.add_message("1", place.says(2, BOT, "the reply"))
    await cache.sync_with_storage("1", question, None)
    cache.add_message("1", question)

    found = await cache.get_user_conversation_context("1", 101, 15)
    assert ids(found) == [1, 2]
    assert ids(await cache.get_user_conversation_context("1", 102, 15)) == [0]


async def test_in_a_busy_channel_a_users_own_words_are_found_behind_those_of_others(store):
    place, cache = Place(1), HybridConversationCache(max_local_messages=10, storage=store)
    cache.add_message("1", place.says(1, ANN))
    for number in range(2, 40):
        cache.add_message("1", place.says(number, BEN))
    await cache.flush()

    assert ids(await cache.get_user_conversation_context("1", 101, 5)) == [1]
    assert ids(await cache.get_user_conversation_context("1", 102, 3)) == [37, 38, 39]


async def test_what_the_bots_storage_did_not_keep_is_taken_back_without_blocking_a_later_add(cache):
    place = Place(1)
    first, second = place.says(1, ANN), place.says(2, ANN)
    await cache.add_message("1", first)
    await cache.add_message("1", second)
    await cache.sync_with_storage("1", second, True)
    assert ids(await cache.get_conversation_context(place)) == [1, 2]
    await cache.sync_with_storage("1", second, False)
    assert ids(await cache.get_conversation_context(place)) == [1]
    await cache.sync_with_storage("1", first, None)
    assert ids(await cache.get_conversation_context(place)) == []
    await cache.add_message("1", first)

    assert ids(await cache.get_conversation_context(place)) == [1]


async def test_edited_and_deleted_messages(cache, store):
    place = Place(1)
    for number in (1, 2, 3):
        cache.add_message("1", place.says(number, ANN))
    edited = Place(1).says(2, ANN, "better words")
    cache.on_message_edit(place.said[1], edited)
    await cache.on_message_delete(place.said[2])
    place.said[1:] = [edited]

    assert [m.content for m in await cache.get_conversation_context(place)] == ["words 1", "better words"]
    again = HybridConversationCache(storage=store)
    assert [m.content for m in await again.get_conversation_context(place)] == ["words 1", "better words"]


async def test_a_deleted_message_does_not_come_back_from_the_network(cache, clock, store):
    place = Place(1)
    await cache.add_message("1", place.says(1, ANN))
    await cache.remove_message("1", 1)
    for ours in (cache, HybridConversationCache(storage=store)):
        clock.seconds += 10_000
        assert ids(await ours.get_conversation_context(place)) == []


@pytest.mark.parametrize("from_network", [False, True])
async def test_a_message_that_was_changed_before_it_was_added_is_kept_as_it_was_changed(cache, store, from_network):
    place = Place(1)
    cache.on_message_edit(place.says(1, ANN), Place(1).says(1, ANN, "better words"))
    cache.on_message_delete(place.says(2, ANN, "taken back"))
    cache.on_message_edit(place.said[1], place.said[1])
    place.says(3, ANN)
    if not from_network:
        for message in place.said:
            cache.add_message("1", message)
    for _ in range(2):
        assert [m.content for m in await cache.get_conversation_context(place)] == ["better words", "words 3"]
    await cache.flush()

    again = HybridConversationCache(storage=store)
    assert [m.content for m in await again.get_conversation_context("1")] == ["better words", "words 3"]
    kept = (await store.load_messages([Window("1", 10)]))[Window("1", 10)]
    assert "taken back" not in [message.content for message in kept]


async def test_idle_channels_are_forgotten_and_come_back_from_the_storage(store, clock):
    cache = HybridConversationCache(storage=store, max_channels=20, clock=clock)
    for number in range(100):
        cache.add_message(str(number), Place(number).says(1, ANN))
    await cache.flush()
    cache.add_message("100", Place(100).says(1, ANN))

    assert cache.get_cache_stats()["cached_channels"] <= 21
    assert ids(await cache.get_conversation_context("3")) == [1]
    clock.seconds += 15 * 60 + 1
    await cache.flush()
    for _ in range(10):
        cache.add_message("100", Place(100).says(2, ANN))
    await cache.flush()
    assert cache.get_cache_stats()["cached_channels"] == 1


async def test_what_another_process_wrote_is_seen_after_the_timeout(cache, clock, store):
    place = Place(1)
    await cache.add_message("1", place.says(1, ANN))
    assert ids(await cache.get_conversation_context("1")) == [1]
    await HybridConversationCache(storage=store).add_message("1", place.says(2, ANN))

    assert ids(await cache.get_conversation_context("1")) == [1]
    clock.seconds += 15 * 60 + 1
    assert ids(await cache.get_conversation_context("1")) == [1, 2]


async def test_an_erased_user_is_gone_everywhere_and_the_network_does_not_bring_them_back(cache, clock, store):
    place = Place(1)
    for message in (place.says(1, ANN), place.says(2, BEN), place.says(3, BOT, mentions=[ANN]), place.says(4, BEN)):
        cache.add_message("1", message)
    assert ids(await cache.get_conversation_context(place)) == [1, 2, 3, 4]
    await cache.erase_user(101)

    for ours in (cache, HybridConversationCache(storage=store)):
        clock.seconds += 10_000
        assert ids(await ours.get_conversation_context(place)) == [2, 4]
    assert await stored(cache, 1) == ["2", "4"]


async def test_erasing_while_the_storage_is_away_says_so(cache, switch):
    await cache.add_message("1", Place(1).says(1, ANN))
    cache.storage.store.erase_users = _down  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailableError):
        await cache.erase_user(101)


async def _down(_: Any) -> Any:
    raise StorageUnavailableError("switched off")


async def test_the_universal_chat_keeps_its_conversations(cache, store):
    data = {
        "messages": [
            {"user_id": "101", "content": "hello", "timestamp": "2026-03-01T10:00:00"},
            {"user_id": "assistant", "content": "hi", "timestamp": "2026-03-01T10:00:01"},
        ],
        "last_activity": "2026-03-01T10:00:01",
    }
    assert await cache.get_conversation("101", "chat") is None
    for _ in range(2):
        await cache.store_conversation("101", "chat", data)
    found = await HybridConversationCache(storage=store).get_conversation("101", "chat")

    assert [(m["user_id"], m["content"]) for m in found["messages"]] == [("101", "hello"), ("assistant", "hi")]
    assert found["last_activity"].startswith("2026-03-01T10:00:01")


async def test_the_memory_managers_shape_of_storing_is_taken_too(cache):
    await cache.store_conversation("101", "how are you", "fine", {"channel_id": "7"})
    await cache.store_conversation("101", "and now", "still fine")
    found = await cache.get_user_conversation_context("7", 101)

    assert [(m.content, m.author.bot) for m in found] == [("how are you", False), ("fine", True)]
    assert found[1]["in_reply_to"] == found[0]["id"]
    assert [m.content for m in await cache.get_conversation_context("101")] == ["and now", "still fine"]


async def test_the_storage_may_be_away_for_as_long_as_it_likes(cache, switch, clock, store):
    place = Place(1)
    switch.down = True
    for number in (1, 2, 3):
        await cache.add_message("1", place.says(number, User(100 + number)))
        clock.seconds += 2
        assert ids(await cache.get_conversation_context(place)) == list(range(1, number + 1))
    assert cache.get_cache_stats()["waiting"] == 3
    switch.down = False
    clock.seconds += 2
    await cache.flush()

    assert await stored(cache, 1) == ["1", "2", "3"]
    assert ids(await HybridConversationCache(storage=store).get_conversation_context("1")) == [1, 2, 3]


async def test_a_cache_of_its_own_storage_comes_from_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("WHISPER_PERSISTENCE_URL", f"sqlite:///{tmp_path}/memory.db")
    for number in (1, 2):
        cache = HybridConversationCache()
        assert await cache.initialize()
        cache.add_message("1", Place(1).says(number, ANN))
        await cache.close()
    cache = HybridConversationCache()

    assert ids(await cache.get_conversation_context("1")) == [1, 2]
    await cache.close()
