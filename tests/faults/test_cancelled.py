"""The row of the failure matrix about a bot's task that is cancelled while it writes or reads, at every await."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from fault_tools.faulty import Faulty
from fault_tools.servers import Place
from fault_tools.stores import drained, hurried, net_of, until
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import (
    AsyncStore,
    Message,
    MessageEdit,
    OutcomeQuery,
    PatternChange,
    Preferences,
    PreferencesChange,
    ScoreQuery,
    StatisticsChange,
    StorageUnavailableError,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Thing
from whisper_persistence.testing import samples

TALK = Window("talk", 1_000)
#: Cancelled this often by a task beside it, each time one turn of the loop later, beside every await of its own.
TURNS = 3


class CancelledAt:
    """Awaits something, and has the task that does so cancelled where it awaits for the n-th time."""

    def __init__(self, call: Coroutine[Any, Any, Any], at: int) -> None:
        self.call, self.at, self.awaits = call, at, 0

    def __await__(self) -> Generator[Any, Any, Any]:
        go_on: Callable[[], Any] = lambda: self.call.send(None)  # noqa: E731
        while True:
            try:
                waited = go_on()
            except StopIteration as done:
                return done.value
            self.awaits += 1
            if self.awaits == self.at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waited
            except BaseException as error:
                go_on = lambda error=error: self.call.throw(error)  # noqa: E731
            else:
                go_on = lambda: self.call.send(None)  # noqa: E731


class Bot:
    """Asks every hook of a bot's path, each write with an id of its own, and remembers what it asked."""

    def __init__(self, store: AsyncStore) -> None:
        self.store = store
        self.said: list[str] = []
        self.learned = self.scored = self.seen = 0

    def say(self) -> Coroutine[Any, Any, Any]:
        self.said.append(f"m{len(self.said)}")
        return self.store.save_messages([Message("talk", "alice", "alice", "word", message_id=self.said[-1])])

    def learn(self) -> Coroutine[Any, Any, Any]:
        self.learned += 1
        return self.store.update_strategies([StrategyChange("alice", [samples.outcome(0.9)])])

    def score(self) -> Coroutine[Any, Any, Any]:
        self.scored += 1
        return self.store.update_statistics([StatisticsChange("alice", [samples.score(f"s{self.scored}", 0.5)])])

    def see(self) -> Coroutine[Any, Any, Any]:
        self.seen += 1
        return self.store.update_patterns([PatternChange("alice", "p")])

    def calls(self) -> list[Callable[[], Coroutine[Any, Any, Any]]]:
        store = self.store
        return [
            self.say,
            self.learn,
            self.score,
            self.see,
            lambda: store.update_messages([MessageEdit("talk", "m0", "changed")]),
            lambda: store.save_strategies([Strategy("bob", "saved")]),
            lambda: store.save_preferences([Preferences("bob", {"quiet": True})]),
            lambda: store.update_preferences([PreferencesChange("alice", {"quiet": True})]),
            lambda: store.load_messages([TALK]),
            lambda: store.load_strategies(["alice"]),
            lambda: store.load_statistics(["alice"]),
            lambda: store.load_patterns(["alice"]),
            lambda: store.load_preferences(["alice"]),
            lambda: store.load_outcomes([OutcomeQuery("alice")]),
            lambda: store.load_scores([ScoreQuery("alice")]),
            lambda: store.load_revisions([Thing("user", "alice")]),
            store.check_health,
        ]

    async def is_whole(self) -> None:
        """Check that every write is stored once, cancelled or not, and in order."""
        messages = (await self.store.load_messages([TALK]))[TALK]
        assert [message.message_id for message in messages] == self.said
        assert (await self.store.load_strategies(["alice"]))["alice"].interventions == self.learned
        assert (await self.store.load_statistics(["alice"]))["alice"].total_memories_scored == self.scored
        assert (await self.store.load_patterns(["alice"]))["alice"][0].frequency == self.seen
        assert (await self.store.load_preferences(["bob"]))["bob"].values == {"quiet": True}


async def outcome(call: Any) -> BaseException | None:
    try:
        await call
    except (asyncio.CancelledError, StorageUnavailableError) as error:
        return error
    return None


async def at_every_await(make: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """Cancel a call at its first await, its second and so on, until one ends before it could be cancelled."""
    for at in range(1, 20):
        call = CancelledAt(make(), at)
        ended = await asyncio.gather(asyncio.create_task(outcome(call)))
        if call.awaits < at:
            return at - 1
        assert isinstance(ended[0], asyncio.CancelledError)
    raise AssertionError("a call awaits more often than any should")


async def at_every_turn(make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Cancel a call from beside it, after one turn of the loop, after two and so on."""
    for turns in range(1, TURNS):  # before the first turn nothing was asked yet
        task = asyncio.create_task(make())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])


async def live(chain: Chain, namespace: str, outage: Callable[[bool], None]) -> None:
    async with AsyncStore(chain, namespace) as store:
        hurried(store._store)  # type: ignore[arg-type]
        bot = Bot(store)
        for down in (False, True):
            outage(down)
            for make in bot.calls():
                assert await at_every_await(make) >= 1
                await at_every_turn(make)
        outage(False)
        await asyncio.gather(bot.say(), bot.learn())
        await asyncio.to_thread(drained, store._store)
        await asyncio.to_thread(until, lambda: not net_of(store._store)._calls.are_shut())  # type: ignore[arg-type]
        await bot.is_whole()


def test_cancelled_at_every_await_a_write_is_stored_once(tmp_path: Path) -> None:
    way = Faulty()
    net = MemoryFallbackDriver(journal_directory=tmp_path / "journals", deadline=20.0)
    below = {"faulty": way, "sqlite": SqliteDriver(tmp_path / "memory.db", synchronous="normal")}

    asyncio.run(live(Chain.of({"memory-fallback": net, **below}), "cancelled", lambda down: setattr(way, "down", down)))


def test_cancelled_at_every_await_no_half_used_connection_returns_to_its_pool(
    tmp_path: Path, postgres_place: Place
) -> None:
    def outage(down: bool) -> None:
        postgres_place.proxy.refuse() if down else postgres_place.proxy.heal()

    net = MemoryFallbackDriver(journal_directory=tmp_path / "journals", deadline=20.0)
    postgres = PostgresDriver(postgres_place.url, connect_timeout=2, pool_size=2)
    asyncio.run(live(Chain.of({"memory-fallback": net, "postgres": postgres}), f"cancelled {tmp_path}", outage))
