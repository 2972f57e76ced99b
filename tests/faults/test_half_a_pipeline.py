"""The row of the failure matrix about a write to Redis that is cut in the middle, at every byte."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_tools.proxy import Proxy
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store, Window
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples
from whisper_persistence.testing.redis_servers import RedisServer

TALK = Window("talk", 10)
#: More bytes than one write sends, or is answered with.
LONGEST = 1_500


@pytest.fixture
def proxy(private_redis: RedisServer) -> Iterator[Proxy]:
    made = Proxy(("127.0.0.1", private_redis.port))
    yield made
    made.close()


@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("end", ["cut_asked", "cut_after"])
def test_half_a_pipeline(folder: Path, proxy: Proxy, end: str, step: int) -> None:
    redis: Any = RedisHybridDriver(url=f"redis://127.0.0.1:{proxy.port}/0", near_bytes=0)
    chain = Chain.of({"redis-hybrid": redis, "sqlite": SqliteDriver(folder / "memory.db", synchronous="normal")})
    said = list[str]()
    with Store(chain) as store:
        (server,) = redis._open_life().exchange.servers.all()
        server.breaker.shortest = server.breaker.longest = 0.0
        for place in range(random.Random(step).randrange(step), LONGEST, step):
            setattr(proxy, end, place)
            for cut in (True, False):
                said.append(f"{place} {cut}")
                store.save_messages([samples.message(message_id=said[-1])])
                assert [message.message_id for message in store.load_messages([TALK])[TALK]] == said[-10:]
                proxy.heal()
        hits = redis._open_life().exchange.counters.hits
        patience = time.monotonic() + 30.0  # what was being filled when it was cut is left alone for a while
        while redis._open_life().exchange.counters.hits == hits and time.monotonic() < patience:
            store.load_messages([TALK])

        assert proxy.cuts > 3
        assert redis._open_life().exchange.counters.hits > hits  # it is asked again
