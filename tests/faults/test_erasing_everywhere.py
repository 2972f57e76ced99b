"""The whole chain at once: markers go in by every write, with and without an outage, and none is left in any file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from fault_tools.documented_postgres import ask, documented_postgres, run_documented
from fault_tools.faulty import Faulty
from fault_tools.stores import Opener, drained, until, waits
from whisper_persistence_drivers.chroma_recall import ChromaRecallDriver
from whisper_persistence_drivers.duckdb_analytics import DuckdbAnalyticsDriver
from whisper_persistence_drivers.postgres import PostgresDriver
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store
from whisper_persistence.operations import erase_users
from whisper_persistence.records import ActivityByDay, Message, StrategyChange, Window
from whisper_persistence.testing import samples
from whisper_persistence.testing.markers import MARK, SHARED, USER, contents, find_markers, mark, plant
from whisper_persistence.testing.redis_servers import RedisServer

LATE = f"{MARK}-late"
ALL = frozenset({"strategies", "statistics", "conversations"})


@attrs.frozen(eq=False)
class Everything:
    """A store over all the tiers there are, and where each has its files."""

    store: Store
    plug: Faulty
    redis: RedisServer
    folders: dict[str, Path]
    url: str = ""

    def markers(self) -> dict[str, int]:
        """Return how many markers stand in each tier's files, where there are any; Redis writes its memory down."""
        self.redis.save()
        counts = {name: sum(find_markers([folder]).values()) for name, folder in self.folders.items()}
        return {name: count for name, count in counts.items() if count}

    def refreshed(self) -> None:
        """Wait until the cache, the index and the replica have what the database has."""
        self.store.aggregate(ActivityByDay())
        until(lambda: self._recall()["pending"] == 0 and self._recall()["answers_by"] == "index", 120)

    def _recall(self) -> dict[str, Any]:
        (found,) = (tier for tier in self.store.check_health() if tier.tier == "chroma-recall")
        return {"pending": -1, **found.details}


@contextmanager
def everything(folder: Path, name: str, database: Any, place: Path, url: str = "") -> Iterator[Everything]:
    """Open the whole chain over one database, with a layer right above it that can cut it off."""
    folders = {part: folder / part for part in ("memory-fallback", "chroma-recall", "duckdb-analytics")}
    plug, opener = Faulty(), Opener(folders["memory-fallback"])
    uncompressed = ("--rdbcompression", "no", "--loglevel", "debug")
    with RedisServer.running(*uncompressed) as redis:
        above = (
            ("redis-hybrid", RedisHybridDriver(redis.url())),
            ("chroma-recall", ChromaRecallDriver(folders["chroma-recall"], index_from=0, few=0)),
            ("duckdb-analytics", DuckdbAnalyticsDriver(folders["duckdb-analytics"])),
        )
        try:
            store = opener(*above, ("plug", plug), (name, database), deadline=30.0)
            yield Everything(store, plug, redis, {name: place, "redis-hybrid": redis.folder, **folders}, url)
        finally:
            plug.down = False
            opener.close()


def over_sqlite(folder: Path) -> Any:
    place = folder / "sqlite"
    return everything(folder, "sqlite", SqliteDriver(place / "memory.db"), place)


@contextmanager
def over_postgres(folder: Path) -> Iterator[Everything]:
    with documented_postgres() as url:
        place = Path(ask(url, "SHOW data_directory"))
        with everything(folder, "postgres", PostgresDriver(url), place, url) as whole:
            yield whole


def others(store: Store) -> dict[str, list[bytes]]:
    """Return all that a store shows of those who are not erased."""
    return {kind: [row for row in rows if MARK.encode() not in row] for kind, rows in contents(store).items()}


def written_during_an_outage(whole: Everything) -> None:
    """Write while the database is away, so that the journal and the memory of the net have it."""
    whole.plug.down = True
    said = [Message(mark("talk"), LATE, LATE, mark("late", 9), message_id=mark(f"late{n}")) for n in range(20)]
    whole.store.save_messages(said)
    whole.store.save_messages([Message(SHARED, LATE, LATE, mark("late"), message_id=mark("shared"))])
    whole.store.update_strategies([StrategyChange(LATE, effective_approaches=[mark("helps")])])
    assert waits(whole.store) > 0


def copied_by_an_upgrade(whole: Everything) -> list[Path]:
    """Have the database make the copy that an upgrade of its schema makes, where it makes any."""
    database: Any = list(whole.store.chain.drivers.values())[-1]
    database._database.before_migration("0003")
    return list(whole.folders.get("sqlite", Path("nowhere")).glob("*.before-*"))


@pytest.mark.long
@pytest.mark.parametrize("over", [over_sqlite, over_postgres])
def test_no_byte_of_an_erased_user_is_left_anywhere(over, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("faker").setLevel(logging.INFO)
    with over(tmp_path / "files") as whole:
        store = whole.store
        samples.fill(store, ALL, "bob", "talk of bob")
        plant(store, turns=60)
        store.load_messages([Window(SHARED, 20), Window(mark("talk"), 20)])
        whole.refreshed()
        written_during_an_outage(whole)
        whole.plug.down = False
        drained(store)
        whole.refreshed()
        before = others(store)
        copies = copied_by_an_upgrade(whole)
        written_during_an_outage(whole)
        planted = whole.markers()
        forgotten = store.erase_users([USER, LATE])
        whole.plug.down = False
        drained(store)
        receipt = erase_users(store, [USER, LATE], lambda *_: None)
        receipt.save(tmp_path / "receipt.json")
        whole.refreshed()
        if whole.url:
            run_documented(whole.url, "DELETE")

        for copy in copies:  # named, since it is out of reach, and removed by whoever reads that
            assert str(copy) in str(receipt.tiers[-1].remaining)
            assert find_markers([copy.parent]).keys() == {str(copy)}
            copy.unlink()
        assert "accepted" in forgotten[0].remaining[0]
        assert receipt.is_complete(), receipt.checks
        assert planted.keys() >= {*list(whole.folders)[:2], "memory-fallback", "chroma-recall"}, planted
        assert whole.markers() == {}
        assert others(store) == before
    assert find_markers([tmp_path]) == {}
    assert MARK not in caplog.text
