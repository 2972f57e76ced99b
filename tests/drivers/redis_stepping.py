"""Several processes on one Redis and one database, taken step by step in an order that a seed decides.

A *step* ends before each call to the database, after each write that it committed, and before and after each exchange
with Redis. Nothing runs between two steps, so what a run did is what its seed says, and everything in between may have
happened: another process wrote, Redis was emptied, a command or its answer was lost, a process died.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import attrs
from whisper_persistence_drivers.redis_cache import flights, following, telling
from whisper_persistence_drivers.redis_cache.exchange import Call, Exchange
from whisper_persistence_drivers.redis_cache.lines import from_lines
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Message, Store, Window
from whisper_persistence.hookspecs import Below, ConversationSpecs, FollowerSpecs, LifecycleSpecs, hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import ClearMark, MessageEdit, Revision, Thing
from whisper_persistence.testing.redis_servers import RedisServer

PATIENCE = 60.0


class Died(SystemExit):
    """The process of an actor ended; as a wish of the program it goes through whatever guards drivers."""


class Actor:
    """A thread that takes a step when it is told to."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.name, self.done, self.dies = name, False, False
        self.error: BaseException | None = None
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def step(self) -> None:
        self._go.release()
        assert self._paused.acquire(timeout=PATIENCE), f"{self.name} is stuck"
        if self.error is not None:
            raise self.error

    def pause(self) -> None:
        self._paused.release()
        self._go.acquire()
        if self.dies:
            raise Died

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._work()
        except Died:
            pass
        except BaseException as error:
            self.error = error
        self.done = True
        self._paused.release()


_here = threading.local()


def point() -> None:
    """End a step, if this is an actor's thread."""
    actor: Actor | None = getattr(_here, "actor", None)
    if actor is not None:
        actor.pause()


@attrs.define(eq=False)
class Stepping(LifecycleSpecs, ConversationSpecs, FollowerSpecs):
    """Ends a step before each call to the database, and tells of each commit."""

    contract_version: ClassVar[int] = 1
    committed: Callable[[], None]
    _below: Below = attrs.field(init=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        self._below = below

    def _write(self, hook: Callable[..., Any], **batch: Any) -> Any:
        point()
        answer = hook(**batch)
        self.committed()
        point()
        return answer

    def _read(self, hook: Callable[..., Any], **batch: Any) -> Any:
        point()
        return hook(**batch)

    @hookimpl
    def save_messages(self, messages: Any) -> Any:
        return self._write(self._below.save_messages, messages=messages)

    @hookimpl
    def update_messages(self, changes: Any) -> Any:
        return self._write(self._below.update_messages, changes=changes)

    @hookimpl
    def load_messages(self, windows: Any) -> Any:
        return self._read(self._below.load_messages, windows=windows)

    @hookimpl
    def load_revisions(self, things: Any) -> Any:
        return self._read(self._below.load_revisions, things=things)

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> Any:
        return self._read(self._below.load_pending, follower=follower, limit=limit)

    @hookimpl
    def clear_pending(self, pending: Any) -> Any:
        return self._read(self._below.clear_pending, pending=pending)

    @hookimpl
    def erase_users(self, user_ids: Any) -> Any:
        return self._write(self._below.erase_users, user_ids=user_ids)


class SteppingExchange(Exchange):
    """Ends a step before and after each exchange; while it is cut, nothing arrives, and answers may be lost."""

    def __init__(self, exchange: Exchange, world: World) -> None:
        super().__init__(exchange.servers, exchange.counters, exchange.patience)
        self.world, self.cut, self.sound = world, False, False

    def send(self, calls: Sequence[Call], *, whole: bool = False) -> Any:
        if whole:
            return super().send(calls, whole=True)
        point()
        lost = not self.sound and (self.cut or self.world.luck.random() < 0.03)
        found = super().send([] if lost else calls).answers()
        deaf = not self.sound and self.world.luck.random() < 0.03
        return Answers([None] * len(calls) if lost or deaf else found)


@attrs.define
class Answers:
    """Answers that came already, and are looked at a step later."""

    found: list[Any]

    def answers(self) -> list[Any]:
        point()
        return self.found


@attrs.define(eq=False)
class World:
    """Two processes on one database and one Redis; each run has a conversation of its own.

    Attributes:
        faults: what may happen to Redis, by the name of the method.
        options: of the driver.
        versions: what each window showed after each commit of this run.
        own: the newest version that a process knows of as its own.
    """

    server: RedisServer
    faults: tuple[str, ...]
    options: dict[str, Any]
    luck: random.Random = attrs.field(factory=random.Random)
    versions: list[tuple[tuple[str, ...], ...]] = attrs.field(factory=list)
    stores: list[Store] = attrs.field(factory=list)
    truth: Store = attrs.field(init=False)
    own: list[int] = attrs.field(factory=lambda: [0, 0])
    talk: str = ""
    number: int = 0

    @classmethod
    @contextmanager
    def begin(cls, path: Path, server: RedisServer, *faults: str, **options: Any) -> Iterator[World]:
        world = cls(server, faults or ("flush", "cut"), options)
        kept = [getattr(*place) for place in INSTEAD]
        for place, instead in INSTEAD.items():
            setattr(*place, instead)
        world.truth = Store(Chain.of({"sqlite": SqliteDriver(path=path, synchronous="normal")}))
        try:
            world.stores = [world._process(path), world._process(path)]
            yield world
        finally:
            for place, found in zip(INSTEAD, kept, strict=True):
                setattr(*place, found)
            for store in (*world.stores, world.truth):
                store.close()

    def _process(self, path: Path) -> Store:
        layer = RedisHybridDriver(self.server.url(), recent=4, read_timeout=PATIENCE, connect_timeout=5, **self.options)
        below = {"stepping": Stepping(self.note), "sqlite": SqliteDriver(path=path, synchronous="normal")}
        store = Store(Chain.of({"redis-hybrid": layer, **below}))
        life: Any = layer._open_life()
        life.exchange = SteppingExchange(life.exchange, self)
        life.layer.reader.recents.exchange = life.layer.sweeper.exchange = life.exchange
        return store

    def run(self, seed: int, jobs: Sequence[Sequence[str]] = ()) -> None:
        """Run some actors, whose jobs are given or drawn, in the order that a seed decides; raise what goes wrong."""
        luck = self.luck = random.Random(seed)
        self.talk, self.number, self.versions, self.own = f"talk {seed}", 0, [], [0, 0]
        self.note()
        work = list(WORK), list(WORK.values())
        drawn = jobs or [luck.choices(*work, k=luck.randint(1, 8)) for _ in range(luck.randint(2, 4))]
        actors = [self._actor(f"{seed}-{n}", n % 2, names) for n, names in enumerate(drawn)]
        # The first of the line goes on until it is sent to its end: so others pass one that stopped anywhere.
        line, restless = luck.sample(actors, len(actors)), luck.choice((0.05, 0.15, 0.4))
        while line := [actor for actor in line if not actor.done]:
            event = luck.random()
            if event < restless:
                line.append(line.pop(0))
            elif event > 0.98:
                getattr(self, luck.choice(self.faults))()
            elif event > 0.975:
                line[0].dies = True
            line[0].step()
        self.check_rest()

    def _actor(self, name: str, process: int, jobs: Sequence[str]) -> Actor:
        def run() -> None:
            _here.actor = actor
            for job in jobs:
                getattr(self, job)(process)

        actor = Actor(name, run)
        return actor

    def note(self) -> None:
        """Remember what the database shows now."""
        windows = self.windows()
        shown = self.truth.load_messages(windows)
        self.versions.append(tuple(tuple(map(_seen, shown.get(window, ()))) for window in windows))
        _here.noted = len(self.versions) - 1

    def windows(self) -> tuple[Window, ...]:
        talk = self.talk
        return Window(talk, 4), Window(talk, 2), Window(talk, 3, user_id=self.user(0)), Window(talk, 4, after=2)

    def user(self, number: int) -> str:
        return f"u{number} of {self.talk}"

    def life(self, process: int) -> Any:
        return self.stores[process].chain.drivers["redis-hybrid"]._open_life()  # type: ignore[attr-defined]

    # What actors do.

    def append(self, process: int) -> None:
        self.number += 1
        asked = f"m{self.number - 1}" if self.luck.random() < 0.5 else None
        self._say(process, f"m{self.number}", f"text {self.number}", in_reply_to=asked)

    def repeat(self, process: int) -> None:
        self._say(process, f"m{self.luck.randint(1, self.number + 1)}", "other words")

    def _say(self, process: int, message_id: str, words: str, **others: Any) -> None:
        user = self.user(self.luck.randrange(2))
        self.stores[process].save_messages([Message(self.talk, user, user, words, message_id=message_id, **others)])
        self._wrote(process)

    def edit(self, process: int) -> None:
        message_id = f"m{self.luck.randint(1, self.number + 1)}"
        self.stores[process].update_messages([MessageEdit(self.talk, message_id, f"edited {self.luck.random()}")])
        self._wrote(process)

    def clear(self, process: int) -> None:
        self.stores[process].update_messages([ClearMark(self.talk)])
        self._wrote(process)

    def _wrote(self, process: int) -> None:
        self.own[process] = max(self.own[process], _here.noted)

    def erase(self, process: int) -> None:
        self.stores[process].erase_users([self.user(self.luck.randrange(2))])

    def tell(self, process: int) -> None:
        """Do what the thread does that tells Redis of appends, which wait as long as nobody asks for them."""
        self.life(process).layer.reader.recents.telling.flush()

    def relay(self, process: int) -> None:
        self.life(process)._round()

    def read(self, process: int) -> None:
        place = self.luck.randrange(4)
        window = self.windows()[place]
        since = self.own[process] if self.options.get("staleness") else len(self.versions) - 1
        shown = tuple(map(_seen, self.stores[process].load_messages([window]).get(window, ())))
        possible = [version[place] for version in self.versions[since:]]
        assert shown in possible, f"stale: {window} showed {shown}, and was {possible}"

    # What happens to Redis.

    def flush(self, _process: int = 0) -> None:
        self.server.ask("FLUSHALL")

    def cut(self, _process: int = 0) -> None:
        exchange = self.life(self.luck.randrange(2)).exchange
        exchange.cut = not exchange.cut

    def save(self, _process: int = 0) -> None:
        self.server.save()

    def restart(self, _process: int = 0) -> None:
        self.server.kill()
        self.server.start()

    def check_rest(self) -> None:
        """Once everything is told, what Redis holds is what the database holds, but for what was appended since."""
        for process in range(2):
            self.life(process).exchange.cut = False
            self.life(process).exchange.sound = True
            self.relay(process)
        for process in range(2):
            self.life(process).exchange.sound = False
        assert self.truth.load_pending("redis-hybrid", 10) == (), "not told"
        thing = Thing("conversation", self.talk)
        revision = self.truth.load_revisions([thing]).get(thing, Revision()).revision
        everything = Window(self.talk, 1_000)
        stands = [*map(_seen, self.truth.load_messages([everything]).get(everything, ()))]
        held = self.server.ask("GET", self.life(0).layer.reader.recents.key(self.talk))
        head, _, lines = (held or b"0 0 l").partition(b"\n")
        _, label, kind = head.decode().split()[:3]
        if kind != "l":
            found = [*map(_seen, from_lines(lines))]
            first = stands.index(found[0]) if found and found[0] in stands else 0
            assert int(label) <= revision, f"ahead: {label} of {revision}"
            assert stands[first : first + len(found)] == found, f"left behind: {label} of {revision}"
            assert int(label) < revision or found == stands[-4:], f"incomplete: {label}"


def _seen(message: Message) -> str:
    return f"{message.sequence} {message.message_id} {message.content}"


#: What does its work by itself, or waits for a thread that does not run meanwhile.
INSTEAD: dict[tuple[Any, str], Any] = {
    (following.Rounds, "start"): lambda _: None,
    (telling.Telling, "begin"): lambda _: None,
    (flights, "_PATIENCE"): 0.0,
    (telling, "_PATIENCE"): 0.0,
}
#: What an actor does, and how often.
WORK = {"append": 6, "read": 10, "tell": 4, "relay": 6, "repeat": 2, "edit": 2, "clear": 2, "erase": 1}
