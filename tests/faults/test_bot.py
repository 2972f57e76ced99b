"""A bot through an outage: the companion goes on, the loop does not lag, and both presets remember the same."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from fault_tools.machine import Machine
from fault_tools.servers import Place
from fault_tools.stores import chain, drained, hurried, net_of, over_postgres, until
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import AsyncStore, Durability, Message, Store, Window
from whisper_persistence.companion import EmotionalIntelligence, MemoryImportanceEngine
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

DAYS = 30
TALK = Window("channel", 50)


async def live_a_day(store: AsyncStore, day: int) -> list[Durability]:
    """Talk, offer support, learn from the reply, and score what was said."""
    bot, engine = EmotionalIntelligence(store), MemoryImportanceEngine(store)
    asked = Message("channel", "alice", "alice", f"day {day}: exam soon", message_id=f"{day} asked")
    reply = Message("channel", "alice", "bot", "breathe", "assistant", f"{day} reply", in_reply_to=asked.message_id)
    receipts = await store.save_messages([asked, reply])
    offer = await bot.create_support_intervention("alice", {"support_type": "preventive"})
    await bot.execute_intervention(offer)
    outcome = await bot.track_intervention_response(offer.intervention_id, "that helped, thank you!")
    patterned = await engine.update_memory_patterns("alice", "exams", keywords=["exam"])
    wished = await engine.update_user_preferences("alice", {"day": day})
    await bot.aclose()
    await engine.flush()
    return [receipts[0].durability, outcome.durability, patterned, wished]


async def remembered(store: AsyncStore) -> Any:
    """Return what is known of the user, without what differs from run to run."""
    talk = (await store.load_messages([TALK]))[TALK]
    strategy = (await store.load_strategies(["alice"]))["alice"]
    (pattern,) = (await store.load_patterns(["alice"]))["alice"]
    preferences = (await store.load_preferences(["alice"]))["alice"]
    return (
        [(message.message_id, message.content, message.sequence) for message in talk],
        (strategy.interventions, strategy.successes, strategy.effective_approaches, strategy.communication_style),
        (pattern.frequency, pattern.keywords),
        preferences.values,
    )


async def live_a_month(chain: Chain, namespace: str) -> Any:
    for first in range(0, DAYS, 10):  # a new process every ten days
        async with AsyncStore(chain, namespace) as store:
            for day in range(first, first + 10):
                await live_a_day(store, day)
    async with AsyncStore(chain, namespace) as store:
        return await remembered(store)


def test_a_month_with_a_user_is_remembered_alike_on_desktop_and_server(tmp_path: Path, postgres_place: Place) -> None:
    desktop = chain(tmp_path, ("sqlite", SqliteDriver(tmp_path / "memory.db")))
    server = over_postgres(tmp_path / "server", postgres_place)
    namespace = f"month {time.time_ns()}"

    assert asyncio.run(live_a_month(desktop, namespace)) == asyncio.run(live_a_month(server, namespace))


def test_a_month_on_the_desktop_needs_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()  # its own wake-up pair is made before sockets are refused

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    try:
        found = loop.run_until_complete(
            live_a_month(chain(tmp_path, ("sqlite", SqliteDriver(tmp_path / "memory.db"))), "elena")
        )
    finally:
        loop.close()

    assert found[1][0] == DAYS


def test_the_companion_is_told_how_safe_its_writes_are_in_a_real_outage(tmp_path: Path, postgres_place: Place) -> None:
    async def live() -> None:
        namespace = f"outage {time.time_ns()}"
        async with AsyncStore(over_postgres(tmp_path, postgres_place), namespace) as store:
            hurried(store._store)  # type: ignore[arg-type]
            assert set(await live_a_day(store, 1)) == {Durability.DURABLE}
            postgres_place.proxy.refuse()
            assert set(await live_a_day(store, 2)) == {Durability.JOURNALED}
            stranger = await EmotionalIntelligence(store).get_user_emotional_dashboard("never met")
            assert stranger["status"] == "unknown"
            postgres_place.proxy.heal()
            await asyncio.to_thread(drained, store._store)
            talk, strategy, pattern, preferences = await remembered(store)
            assert [message_id for message_id, *_ in talk] == ["1 asked", "1 reply", "2 asked", "2 reply"]
            assert (strategy[0], pattern[0], preferences) == (2, 2, {"day": 2})

    asyncio.run(live())


def test_database_absent_from_the_very_start_for_an_hour_then_present(tmp_path: Path, postgres_place: Place) -> None:
    postgres_place.proxy.refuse()

    async def live() -> None:
        async with AsyncStore(over_postgres(tmp_path, postgres_place), f"absent {time.time_ns()}") as store:
            hurried(store._store)  # type: ignore[arg-type]
            for day in range(20):
                assert Durability.DURABLE not in await live_a_day(store, day)
            postgres_place.proxy.heal()
            await asyncio.to_thread(drained, store._store)
            talk, strategy, pattern, _ = await remembered(store)
            assert (len(talk), strategy[0], pattern[0]) == (40, 20, 20)
            assert set(await live_a_day(store, 20)) == {Durability.DURABLE}

    asyncio.run(live())


def test_ten_thousand_journaled_writes_drain_soon_and_fast(
    tmp_path: Path, postgres_place: Place, machine: Machine
) -> None:
    postgres_place.proxy.refuse()
    with Store(over_postgres(tmp_path, postgres_place), f"drain {time.time_ns()}") as store:
        net = net_of(store)
        for first in range(0, 10_000, 10):
            store.save_messages([samples.message(f"talk {first % 70}", message_id=f"{first + n}") for n in range(10)])
        for n in range(500):
            store.save_messages([samples.message("alone", message_id=f"alone {n}")])
        postgres_place.proxy.heal()
        back = machine.clock()
        until(lambda: net._relay.replayed)
        began = machine.clock() - back
        drained(store)
        took = machine.clock() - back
        counts = [
            len(store.load_messages([Window(f"talk {n}", 10_000)])[Window(f"talk {n}", 10_000)])
            for n in range(0, 70, 10)
        ]

    assert began < 2.0
    assert took < 30.0
    assert sum(counts) == 10_000


def test_after_a_silence_what_waits_begins_to_come_in_as_soon(
    tmp_path: Path, postgres_place: Place, machine: Machine
) -> None:
    impatient = PostgresDriver(postgres_place.url, connect_timeout=2, statement_timeout=0.2)
    below = chain(tmp_path, ("postgres", impatient), deadline=0.25)
    with Store(below, f"silence {time.time_ns()}") as store:
        net = net_of(store)
        until(lambda: store.save_messages([samples.message()])[0].durability is Durability.DURABLE)
        postgres_place.proxy.silent = True
        store.save_messages([samples.message()])
        until(net._prober._own.late)  # a probe is made, and not answered
        replayed = net._relay.replayed
        postgres_place.proxy.heal()
        back = machine.clock()
        until(lambda: net._relay.replayed > replayed)

        assert machine.clock() - back < 2.0
