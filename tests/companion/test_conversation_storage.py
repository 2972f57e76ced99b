"""Conversations of a bot: kept, read, cleared and erased, and not lost while the storage does not answer."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from whisper_persistence import (
    AsyncStore,
    ClearMark,
    Durability,
    Message,
    NotSupportedError,
    StorageUnavailableError,
    ValidationError,
    Window,
)
from whisper_persistence.companion import HybridConversationStorage, Knowledge
from whisper_persistence.plugins import Chain
from whisper_persistence.records import SearchQuery
from whisper_persistence.settings import Rule, StoragePolicies
from whisper_persistence.testing import nasty
from whisper_persistence.testing.model.driver import ModelDriver

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(store: AsyncStore, clock: Clock) -> HybridConversationStorage:
    return HybridConversationStorage(store, clock=clock)


def said(number: int, talk: str = "talk", user: str = "alice", **fields: Any) -> Message:
    author = fields.pop("author_id", user)
    return Message(talk, user, author, f"words {number}", message_id=f"m{number}", **fields)


def ids(messages: tuple[Message, ...]) -> list[str]:
    return [message.message_id for message in messages]


async def test_a_turn_is_appended_whole_and_its_receipts_are_handed_up(storage):
    reply = said(2, author_id="bot", role="assistant", in_reply_to="m1")
    receipts = await storage.append(said(1), reply)

    assert [receipt.durability for receipt in receipts] == [Durability.DURABLE] * 2
    assert [receipt.sequence for receipt in receipts] == [1, 2]
    assert await storage.recent("talk") == (said(1, timestamp=(await storage.recent("talk"))[0].timestamp), reply)
    assert ids(await storage.recent("talk", 1)) == ["m1", "m2"]
    assert await storage.append() == ()
    assert (await storage.append(said(1)))[0].sequence == 1
    assert ids(await storage.recent("talk")) == ["m1", "m2"]


async def test_bad_input_is_refused_before_anything_waits(storage, switch):
    switch.down = True
    for bad in ([said(1), said(2, "other")], [said(1), Message("talk", "alice", "alice", "\0")]):
        with pytest.raises(ValidationError):
            await storage.append(*bad)
    with pytest.raises(ValidationError):
        await storage.edit("talk", "m1", "\ud800")

    assert storage.pending == 0


async def test_windows_edits_redactions_and_clearing(storage, backend):
    await storage.append(*[said(n) for n in range(1, 6)])
    await storage.edit("talk", "m4", "better words")
    await storage.redact("talk", "m5")

    assert ids(await storage.window(Window("talk", 2, before=4))) == ["m2", "m3"]
    assert ids(await storage.window(Window("talk", 2, after=1))) == ["m2", "m3"]
    assert [m.content for m in await storage.recent("talk", 2)] == ["better words", ""]
    await storage.clear("talk")
    assert await storage.recent("talk") == ()
    await storage.append(said(6))
    async with backend.store() as other:
        assert ids(await HybridConversationStorage(other).recent("talk")) == ["m6"]


async def test_in_an_outage_the_conversation_goes_on_and_is_joined_afterwards(storage, switch, clock, caplog):
    await storage.append(said(1), said(2))
    assert storage.knowledge("talk") is Knowledge.UNKNOWN
    await storage.recent("talk")
    assert storage.knowledge("talk") is Knowledge.LOADED
    switch.down = True
    with caplog.at_level(logging.WARNING):
        (receipt,) = await storage.append(said(3))
        for n in range(4, 8):
            await storage.append(said(n, in_reply_to="m2" if n == 7 else None))

    assert receipt.durability is Durability.VOLATILE
    assert storage.knowledge("talk") is Knowledge.UNKNOWN
    assert [record.message for record in caplog.records].count(
        "the storage does not answer: conversations go on in memory"
    ) == 1
    assert ids(await storage.recent("talk", 4)) == ["m4", "m5", "m6", "m7"]
    assert ids(await storage.recent("talk", 20)) == [f"m{n}" for n in range(1, 8)]
    assert ids(await storage.recent("talk", 1)) == ["m2", "m7"]
    assert ids(await storage.window(Window("talk", message_id="m5"))) == ["m5"]
    await storage.edit("talk", "m6", "changed in the outage")
    await storage.redact("talk", "m1")
    switch.down = False
    clock.seconds += 1
    assert await storage.flush() == 0
    async with HybridConversationStorage(storage.store) as fresh:
        found = await fresh.recent("talk", 20)

    assert ids(found) == [f"m{n}" for n in range(1, 8)]
    assert (found[5].content, found[0].content) == ("changed in the outage", "")
    assert storage.lost == 0


async def test_a_store_that_is_left_alone_is_not_asked_at_every_call(storage, switch, clock):
    switch.down = True
    for n in range(10):
        await storage.append(said(n))
        await storage.recent("talk")

    assert switch.calls == {"load_erasures": 1, "save_messages": 1}
    clock.seconds += 1
    await storage.append(said(10))
    assert switch.calls == {"load_erasures": 1, "save_messages": 2}
    switch.down = False
    clock.seconds += 1
    assert ids(await storage.recent("talk", 20)) == [f"m{n}" for n in range(11)]
    assert storage.pending == 0


async def test_a_lost_answer_stores_nothing_twice(storage, switch, clock):
    switch.answers_lost = True
    await storage.append(said(1), said(2))
    switch.answers_lost = False
    clock.seconds += 1
    await storage.append(said(3))

    assert ids(await storage.recent("talk")) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("take_away", ["clear", "redact"])
async def test_what_the_store_calls_a_repeat_shows_nothing_again_that_was_taken_away(
    storage, backend, switch, take_away
):
    secret = said(1)
    async with backend.store() as elsewhere:
        other = HybridConversationStorage(elsewhere)
        await other.append(secret)
        await (other.clear("talk") if take_away == "clear" else other.redact("talk", "m1"))
    receipts = await storage.append(secret, said(2))
    switch.down = True

    assert [receipt.repeated for receipt in receipts] == [True, False]
    assert ids(await storage.recent("talk")) == ["m2"]


async def test_what_was_cleared_in_an_outage_is_cleared_afterwards(storage, switch, clock):
    await storage.append(said(1))
    await storage.recent("talk")
    switch.down = True
    await storage.append(said(2))
    await storage.clear("talk")
    await storage.append(said(3))

    assert ids(await storage.recent("talk")) == ["m3"]
    switch.down = False
    clock.seconds += 1
    assert ids(await storage.recent("talk")) == ["m3"]
    assert ids((await storage.store.load_messages([Window("talk")]))[Window("talk")]) == ["m3"]


async def test_another_conversation_brings_home_what_waits(storage, switch, clock):
    switch.down = True
    await storage.append(said(1))
    switch.down = False
    clock.seconds += 1
    await storage.append(said(1, "other"))

    assert storage.pending == 0
    assert ids((await storage.store.load_messages([Window("talk")]))[Window("talk")]) == ["m1"]


async def test_memory_is_bounded(store, switch, clock, caplog):
    storage = HybridConversationStorage(store, max_conversations=10, remembered=5, max_pending=20, clock=clock)
    for n in range(50):
        await storage.append(said(n, f"talk {n}"))
    for n in range(50, 100):
        await storage.append(said(n, "talk 49"))
    switch.down = True
    clock.seconds += 1

    assert ids(await storage.recent("talk 49", 100)) == [f"m{n}" for n in range(95, 100)]
    for n in range(30):
        await storage.append(said(n, f"late {n}"))
    assert (storage.pending, storage.lost) == (20, 10)
    switch.down = False
    clock.seconds += 1
    assert await storage.flush() == 0
    assert ids(await storage.recent("late 9")) == []
    assert ids(await storage.recent("late 10")) == ["m10"]


async def test_concurrent_appends_keep_the_order_of_the_calls_through_an_outage(storage, switch, clock):
    async def append(n: int) -> None:
        if n == 20:
            switch.down = True
        if n == 60:
            switch.down = False
            clock.seconds += 1
        await storage.append(said(n))

    await asyncio.gather(*(append(n) for n in range(100)))
    clock.seconds += 1
    await storage.flush()

    assert ids(await storage.recent("talk", 200)) == [f"m{n}" for n in range(100)]


async def test_a_cancelled_append_completes_and_is_not_shown_twice(storage):
    task = asyncio.ensure_future(storage.append(said(1)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await storage.append(said(2))

    assert ids(await storage.recent("talk"))[-1] == "m2"
    assert len(set(ids(await storage.recent("talk")))) == len(await storage.recent("talk"))


async def test_a_user_is_erased_from_the_store_and_from_memory(storage, switch, clock):
    await storage.append(said(1), said(2, user="bob"))
    await storage.recent("talk")
    switch.down = True
    await storage.append(said(3), said(4, user="bob"))
    switch.down = False
    clock.seconds += 1
    await storage.erase("alice")

    assert ids(await storage.recent("talk")) == ["m2", "m4"]
    switch.down = True
    assert ids(await storage.recent("talk")) == ["m2", "m4"]


async def test_nasty_ids_and_texts_come_back(storage):
    for n, talk in enumerate(nasty.IDS):
        await storage.append(Message(talk, nasty.IDS[-n - 1], nasty.IDS[n], nasty.TEXTS[n % len(nasty.TEXTS)]))

    for n, talk in enumerate(nasty.IDS):
        (found,) = await storage.recent(talk)
        assert (found.user_id, found.content) == (nasty.IDS[-n - 1], nasty.TEXTS[n % len(nasty.TEXTS)])


async def test_what_expired_is_not_shown_although_it_is_still_there(store):
    policies = StoragePolicies(
        (
            Rule("messages", timedelta(days=30), 4),
            Rule("messages", timedelta(days=2), user_ids=("bob",)),
        ),
        held_users=("carol",),
    )
    storage = HybridConversationStorage(store, policies, now=lambda: NOW)
    ages = {1: 40, 2: 40, 3: 20, 4: 10, 5: 5, 6: 3, 7: 1}
    users = {1: "carol", 6: "bob"}
    await storage.append(
        *[said(n, user=users.get(n, "alice"), timestamp=NOW - timedelta(days=age)) for n, age in ages.items()]
    )

    assert ids(await storage.recent("talk", 4)) == ["m4", "m5", "m7"]
    assert ids(await storage.recent("talk", 20)) == ["m1", "m4", "m5", "m7"]
    assert ids(await storage.window(Window("talk", 20, after=0))) == ["m1", "m4", "m5", "m7"]
    assert ids(await storage.window(Window("talk", 3, before=6))) == ["m4", "m5"]
    assert ids(await storage.recent("talk", 20, user_id="carol")) == ["m1"]
    assert ids(await HybridConversationStorage(store).recent("talk")) == [f"m{n}" for n in ages]


async def test_where_nobody_searches_it_is_said():
    async with AsyncStore(Chain.of({"model": ModelDriver()})) as store:
        storage = HybridConversationStorage(store)
        await storage.append(said(1))
        with pytest.raises(NotSupportedError, match="search_messages"):
            await storage.search("words")
        with pytest.raises(ValidationError):
            await storage.search(SearchQuery("words", limit=0))


async def test_it_opens_and_closes_a_store_of_its_own(tmp_path):
    url = f"sqlite:///{tmp_path}/memory.db"
    for n in range(2):
        async with HybridConversationStorage.from_settings(url=url) as storage:
            await storage.append(said(n))
    storage = HybridConversationStorage.from_settings(url=url)

    assert ids(await storage.recent("talk")) == ["m0", "m1"]
    assert (
        await storage.append(
            said(1),
        )
    )[0].durability is Durability.DURABLE
    assert await storage.store.update_messages([ClearMark("talk")])
    await storage.aclose()


async def test_the_storage_may_be_down_at_the_start(backend, switch, clock):
    class Late:
        down = True

        async def open(self) -> None:
            if self.down:
                raise StorageUnavailableError("switched off")
            await real.open()

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real, late = backend.store(), Late()
    storage = HybridConversationStorage(late, owns_store=True, clock=clock)  # type: ignore[arg-type]
    async with storage:
        assert (await storage.append(said(1)))[0].durability is Durability.VOLATILE
        assert ids(await storage.recent("talk")) == ["m1"]
        assert (await storage.search("words")).silent == ("storage",)
        late.down = False
        clock.seconds += 1
        assert (await storage.append(said(2)))[0].durability is Durability.DURABLE
        assert ids(await storage.recent("talk")) == ["m1", "m2"]
