"""The way of one process to its storage, for each preset, and how it fails as the dice say."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import attrs
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from fault_tools.faulty import Faulty
from fault_tools.proxy import Proxy
from fault_tools.servers import Postgres
from whisper_persistence.testing.redis_servers import RedisServer

Drivers = list[tuple[str, object]]


@attrs.define(eq=False)
class Desktop:
    """The way to a file, as if that were far away: calls fail, or their replies are lost.

    Attributes:
        path: of the file.
        rng: the dice.
    """

    deadline: ClassVar[float] = 5.0
    path: Path
    rng: random.Random
    _fails: Faulty = attrs.field(factory=Faulty, init=False)

    def drivers(self) -> Drivers:
        """Return new drivers for a process that begins; what fails, fails on."""
        self._fails = Faulty(self._fails.down, self._fails.chance, self.rng)
        return [("faulty", self._fails), ("sqlite", SqliteDriver(self.path, synchronous="normal"))]

    def toggle(self) -> None:
        """Let it fail otherwise, or not."""
        self._fails.down = self.rng.random() < 0.5
        self._fails.chance = self.rng.choice((0.0, 0.0, 0.3))

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._fails.down, self._fails.chance = False, 0.0

    def before_erase(self) -> None:
        """Nothing: an erase takes the way as it is."""

    def close(self) -> None:
        """End."""


@attrs.define(eq=False)
class Server:
    """The ways to a PostgreSQL and to a Redis server, each through a proxy of the process's own.

    Attributes:
        postgres: a server of the tests' own.
        redis: a server of the tests' own.
        rng: the dice.
    """

    deadline: ClassVar[float] = 0.5
    postgres: Postgres
    redis: RedisServer
    rng: random.Random
    _to_postgres: Proxy = attrs.field(init=False)
    _to_redis: Proxy = attrs.field(init=False)
    _stalled: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._to_postgres = Proxy(("127.0.0.1", self.postgres.port))
        self._to_redis = Proxy(("127.0.0.1", self.redis.port))

    def drivers(self) -> Drivers:
        """Return new drivers for a process that begins."""
        url = self.postgres.url.replace(f":{self.postgres.port}/", f":{self._to_postgres.port}/")
        limits: dict[str, Any] = dict.fromkeys(("statement_timeout", "lock_timeout", "pool_timeout"), 2)
        redis = RedisHybridDriver(url=f"redis://127.0.0.1:{self._to_redis.port}/0")
        return [("redis-hybrid", redis), ("postgres", PostgresDriver(url, connect_timeout=2, **limits))]

    def toggle(self) -> None:
        """Let either of them fail otherwise, or not."""
        if self.rng.random() < 0.7:
            self._let_commits_end()
            ways = ("heal", "refuse", "deaf", "cut", "silent", "stall")
            self._change(self._to_postgres, self.rng.choices(ways, (4, 3, 1, 1, 1, 2)))
            return
        if self.rng.random() < 0.3:
            self.redis.ask("FLUSHALL")
        self._change(self._to_redis, self.rng.choices(("heal", "refuse", "deaf", "cut", "silent"), (3, 2, 1, 1, 1)))

    def _change(self, proxy: Proxy, way: list[str]) -> None:
        proxy.heal()
        if way == ["refuse"]:
            proxy.refuse()
        elif way == ["cut"]:
            proxy.cut_after = self.rng.randrange(200)
        elif way == ["stall"]:
            self._stalled = True
            self.postgres.stall()
        elif way != ["heal"]:
            setattr(proxy, way[0], True)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._let_commits_end()
        self._to_postgres.heal()
        self._to_redis.heal()

    def _let_commits_end(self) -> None:
        if self._stalled:
            self.postgres.flow()
            self._stalled = False

    def before_erase(self) -> None:
        """Let Redis answer, which an erase waits for; and let no answer be waited for that never comes."""
        self._to_redis.heal()
        self._to_postgres.silent = False
        self.postgres.flow()

    def close(self) -> None:
        """End."""
        self._to_postgres.close()
        self._to_redis.close()
