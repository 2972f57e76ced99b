"""A store over all the tiers there are at once, each a real one, and a look into every file that they keep."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from whisper_persistence_drivers.chroma_recall import ChromaRecallDriver
from whisper_persistence_drivers.duckdb_analytics import DuckdbAnalyticsDriver
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from fault_tools.documented_postgres import ask, documented_postgres
from fault_tools.faulty import Faulty
from fault_tools.stores import Opener, until
from whisper_persistence import Store
from whisper_persistence.records import ActivityByDay
from whisper_persistence.testing.markers import MARK, find_markers
from whisper_persistence.testing.redis_servers import RedisServer

RECALL = "chroma-recall"
#: What the database of record keeps besides: an index of words, and hash chains.
_KEEPS: dict[str, Any] = {"search": True, "tamper_evidence": True, "tamper_key": "a key of the operator"}


@attrs.frozen(eq=False)
class Everything:
    """A store over all the tiers there are, and where each has its files.

    Attributes:
        store: the store.
        plug: the layer that can cut the database off.
        redis: the server of the cache.
        folders: where each tier has its files, the database of record first.
        url: of the database, where it is a server.
    """

    store: Store
    plug: Faulty
    redis: RedisServer
    folders: dict[str, Path]
    url: str = ""

    def markers(self, text: str = MARK) -> dict[str, int]:
        """Return how many markers stand in each tier's files, where there are any; Redis writes its memory down."""
        self.redis.save()
        counts = {name: sum(find_markers([folder], text).values()) for name, folder in self.folders.items()}
        return {name: count for name, count in counts.items() if count}

    def refreshed(self) -> None:
        """Wait until the cache, the indexes and the replica have what the database has."""
        self.store.chain.starting_at("memory-fallback").aggregate(question=ActivityByDay())
        until(self._is_indexed, 120)

    def _is_indexed(self) -> bool:
        told = {tier.tier: tier.details for tier in self.store.check_health()}
        recall = told.get("chroma-recall", {"pending": 0, "answers_by": "index"})
        lag = next(iter(self.folders)) in told and told[next(iter(self.folders))]["search_lag"]
        return (lag, recall.get("pending"), recall["answers_by"]) == (0, 0, "index")


@contextmanager
def everything(
    folder: Path, database: tuple[str, Any], place: Path, above: Mapping[str, object], url: str = ""
) -> Generator[Everything]:
    """Open the whole chain over one database, with a layer right above it that can cut it off.

    Args:
        folder: where tiers keep their files.
        database: the driver of the database of record, and its name.
        place: where that has its files.
        above: drivers above all the others; meaning is not indexed then, since they seal what has it.
        url: of the database, where it is a server.
    """
    parts = ("memory-fallback", "duckdb-analytics") if above else ("memory-fallback", "duckdb-analytics", RECALL)
    folders = {part: folder / part for part in parts}
    plug, opener = Faulty(), Opener(folders["memory-fallback"])
    uncompressed = ("--rdbcompression", "no", "--loglevel", "debug")
    with RedisServer.running(*uncompressed) as redis:
        layers: dict[str, object] = {"redis-hybrid": RedisHybridDriver(redis.url())}
        if RECALL in folders:
            layers[RECALL] = ChromaRecallDriver(folders[RECALL], index_from=0, few=0)
        layers["duckdb-analytics"] = DuckdbAnalyticsDriver(folders["duckdb-analytics"])
        try:
            store = opener(*layers.items(), ("plug", plug), database, above=dict(above), deadline=30.0)
            yield Everything(store, plug, redis, {database[0]: place, "redis-hybrid": redis.folder, **folders}, url)
        finally:
            plug.down = False
            opener.close()


@contextmanager
def over_sqlite(folder: Path, above: Mapping[str, object]) -> Generator[Everything]:
    """Open the whole chain over a file."""
    place = folder / "sqlite"
    with everything(folder, ("sqlite", SqliteDriver(place / "memory.db", **_KEEPS)), place, above) as whole:
        yield whole


@contextmanager
def over_postgres(folder: Path, above: Mapping[str, object]) -> Generator[Everything]:
    """Open the whole chain over a server, set up as the page on privacy says."""
    with documented_postgres() as url:
        place = Path(ask(url, "SHOW data_directory"))
        with everything(folder, ("postgres", PostgresDriver(url, **_KEEPS)), place, above, url) as whole:
            yield whole
