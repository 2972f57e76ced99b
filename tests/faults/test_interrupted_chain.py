"""An erase of the whole server chain that is killed at any step is finished by the next program that opens it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import msgspec
import pytest

from whisper_persistence import Store
from whisper_persistence.operations.erasure_check import check_tiers
from whisper_persistence.records import ActivityByDay
from whisper_persistence.testing import samples
from whisper_persistence.testing.redis_servers import RedisServer
from whisper_persistence.testing.servers import new_postgres_database

PROGRAM = Path(__file__).parent / "interrupted_chain.py"
KILLS = 8
ALL = frozenset({"strategies", "statistics", "conversations"})


@attrs.frozen
class Place:
    """Where one chain keeps everything."""

    folder: Path
    database: str
    redis: RedisServer

    def settings(self) -> dict[str, Any]:
        """Return the settings of the chain."""
        options: dict[str, dict[str, Any]] = {
            "memory-fallback": {"journal_directory": str(self.folder / "journals"), "deadline": 60},
            "redis-hybrid": {"url": self.redis.url()},
            "chroma-recall": {"path": str(self.folder / "recall"), "index_from": 0, "few": 0},
            "duckdb-analytics": {"path": str(self.folder / "analytics")},
            "postgres": {"url": self.database, "search": True, "statement_timeout": 60},
        }
        return {"drivers": list(options), "options": options}

    def open(self) -> Store:
        return Store.from_settings(**self.settings())

    def erase(self, step: int) -> subprocess.CompletedProcess[str]:
        """Erase alice in a process of its own, which is killed at a step."""
        file = self.folder / "settings.json"
        file.write_bytes(msgspec.json.encode(self.settings()))
        command = [sys.executable, str(PROGRAM), str(file), str(step)]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer.running() as server:
        yield server


def others(store: Store) -> Any:
    return samples.read(store, ALL, "bob", "talk of bob")


def holding(store: Store) -> list[str]:
    """Return the tiers that show anything of alice, each asked by itself."""
    checks = check_tiers(store, ["alice"], ["talk of alice"], lambda *_: None)
    return [check.tier for check in checks if not check.is_clean()]


@pytest.mark.long
def test_an_erase_that_is_killed_at_any_step_of_any_tier_is_finished_by_the_next_open(
    tmp_path, postgres_url, postgres_server, redis
):
    original, template = Place(tmp_path / "original", postgres_url, redis), urlsplit(postgres_url).path.strip("/")
    with original.open() as store:
        for user in ("alice", "bob"):
            samples.fill(store, ALL, user, f"talk of {user}")
        store.aggregate(ActivityByDay())
        before, whole = others(store), holding(store)

    def killed(step: int) -> tuple[int, str, bool]:
        """Return how an erase of a copy ended, having seen that the next open finished it."""
        folder = tmp_path / f"step {step}"
        shutil.copytree(original.folder, folder)
        redis.ask("FLUSHALL")
        with new_postgres_database(postgres_server, template) as database:
            place = Place(folder, database, redis)
            done = place.erase(step)
            with place.open() as store:
                left = holding(store)

                assert others(store) == before
                assert left in ([], whole)
                assert not store.chain.hook.load_erasures()
        return done.returncode, done.stdout + done.stderr[-2_000:], bool(left)

    code, said, left = killed(0)
    steps = int(said)
    ended = [killed(max(1, steps * n // KILLS)) for n in range(KILLS)]

    assert (code, left, steps > 200) == (0, False, True)
    assert {code for code, _, _ in ended} <= {-signal.SIGKILL, 0}, ended
    assert [code for code, _, _ in ended].count(-signal.SIGKILL) >= KILLS - 1
    assert [left for _, _, left in ended].count(True) <= 1, "only the first, before it was noted"
