"""Stores over a net, quick to recover, and ways to look into and to crash them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from whisper_persistence_drivers.breaker import Breaker
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from fault_tools.servers import Place
from whisper_persistence import Store
from whisper_persistence.plugins import Chain

_numbers = count(1)
#: How long a test waits for what must happen, on a machine that may be busy.
PATIENCE = 60.0


def chain(folder: Path, *below: tuple[str, object], **options: Any) -> Chain:
    """Return the net over these drivers, the first asked first, with its journals in a folder."""
    net = MemoryFallbackDriver(**{"journal_directory": folder / "journals", "deadline": 5.0, **options})
    return Chain.of({"memory-fallback": net, **dict(below)})


def over_postgres(folder: Path, place: Place, **options: Any) -> Chain:
    """Return the net over a database behind its proxy."""
    return chain(folder, ("postgres", PostgresDriver(place.url, connect_timeout=2)), **options)


class Opener:
    """Opens stores over a net, and closes them."""

    def __init__(self, journals: Path) -> None:
        self.journals = journals
        self.namespace = f"{os.getpid()} {next(_numbers)}"
        self.stores: list[Store] = []

    def __call__(self, *below: tuple[str, object], above: dict[str, object] | None = None, **options: Any) -> Store:
        """Open a store over these drivers, the first asked first, the net between those above and below."""
        net = MemoryFallbackDriver(**{"journal_directory": self.journals, "deadline": 2.0, **options})
        self.stores.append(Store(Chain.of({**(above or {}), "memory-fallback": net, **dict(below)}), self.namespace))
        return hurried(self.stores[-1])

    def postgres(self, url: str, **options: Any) -> Store:
        """Open a store over PostgreSQL."""
        limits: dict[str, Any] = dict.fromkeys(("statement_timeout", "lock_timeout", "pool_timeout"), 2)
        return self(("postgres", PostgresDriver(url, connect_timeout=2, **limits)), **options)

    def close(self) -> None:
        """Close them all."""
        for store in self.stores:
            store.close()


def write_nothing(driver: SqliteDriver, state: str = "ON") -> None:
    """Let a store's own connection to its file write nothing, as on a disk that is full; ``OFF`` ends it."""
    database: Any = driver._database
    with database._writing:
        database._writer.execute(f"PRAGMA query_only = {state}")


def net_of(store: Store) -> Any:
    """Return the net of a store."""
    driver: Any = store.chain.drivers["memory-fallback"]
    return driver._role


def hurried(store: Store, pause: float = 0.05) -> Store:
    """Let a store look every moment whether what is below answers again."""
    net = net_of(store)
    net._relay.pause = pause
    for breaker in breakers(store):
        breaker.shortest = breaker.longest = pause
    return store


def breakers(store: Store) -> tuple[Breaker, Breaker]:
    """Return the breakers of a store's writes and reads."""
    calls = net_of(store)._calls
    return calls.writes.breaker, calls.reads.breaker


def late(store: Store) -> int:
    """Return how many writes go on that passed their deadline."""
    count: int = net_of(store)._calls.writes.in_flight.late()
    return count


def leave_alone(store: Store) -> None:
    """Let a breaker that opens stay open."""
    for breaker in breakers(store):
        breaker.shortest = breaker.longest = 1000.0


def heal(store: Store) -> None:
    """Close the breakers."""
    for breaker in breakers(store):
        breaker.heal()


def waits(store: Store) -> int:
    """Return how many calls wait."""
    return len(net_of(store)._backlog)


def until(ready: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)


def drained(store: Store) -> None:
    """Wait until nothing waits any more."""
    until(lambda: waits(store) == 0)


def crash(store: Store) -> None:
    """End a store as a kill does: what is in memory is gone, the journal stays as it is."""
    net = net_of(store)
    net._relay._closing.set()
    thread = net._relay._thread
    if thread is not None:
        thread.join(PATIENCE)
    backlog = net._backlog
    with backlog.changed:
        journal, backlog._journal = backlog._journal, None
        if journal is not None:
            journal.close()
            backlog.folder.release(journal.path)
        backlog._volatile.clear()
    store.close()
