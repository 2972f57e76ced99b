"""The redis-hybrid driver over sqlite and postgres, on one server and on a real cluster, against the whole suite.

What concerns talk runs always; the whole suite, most of which passes the driver by, where TEST_TIER is full.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import ClassVar

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import SQL_CAPABILITIES, DriverConformance
from whisper_persistence.testing.conversations import ConversationConformance
from whisper_persistence.testing.edits import EditConformance
from whisper_persistence.testing.erasing import EraseConformance
from whisper_persistence.testing.following import FollowerConformance
from whisper_persistence.testing.namespaces import NamespaceConformance
from whisper_persistence.testing.receipts import ReceiptConformance
from whisper_persistence.testing.redis_servers import RedisCluster
from whisper_persistence.testing.windows import WindowConformance


def layer() -> DriverSpec:
    return DriverSpec(
        "redis-hybrid", {"url": os.environ["CONFORMANCE_REDIS_URL"], "connect_timeout": 5, "read_timeout": 5}
    )


@pytest.mark.usefixtures("migrated_file")
class OverSqlite:
    """Each path has a database of its own, so that all of them may share a Redis."""

    capabilities: ClassVar[frozenset[str]] = SQL_CAPABILITIES

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return Store(Chain.build([layer(), DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)


@pytest.mark.usefixtures("postgres_in_environment")
class OverPostgres:
    """Each path is a namespace of one database."""

    capabilities: ClassVar[frozenset[str]] = SQL_CAPABILITIES

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        place = "redis " + hashlib.sha256(str(path).encode()).hexdigest()[:16]
        chain = Chain.build([layer(), DriverSpec("postgres", {"url": os.environ["CONFORMANCE_POSTGRES_URL"]})])
        return Store(chain, f"{place}-{namespace.strip()}")


class OnOneServer:
    @pytest.fixture(autouse=True)
    def _connect_to_redis(self, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_REDIS_URL", redis_url)


class OnCluster:
    @pytest.fixture(autouse=True)
    def _connect_to_redis(self, redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_REDIS_URL", redis_cluster.url())


@pytest.mark.long
class TestRedisOverSqlite(OnOneServer, OverSqlite, DriverConformance):
    pass


@pytest.mark.long
class TestRedisOverPostgres(OnOneServer, OverPostgres, DriverConformance):
    pass


@pytest.mark.long
class TestRedisClusterOverSqlite(OnCluster, OverSqlite, DriverConformance):
    pass


@pytest.mark.long
class TestRedisClusterOverPostgres(OnCluster, OverPostgres, DriverConformance):
    pass


class TestTalkInRedisOverSqlite(
    OnOneServer,
    OverSqlite,
    ConversationConformance,
    WindowConformance,
    EditConformance,
    EraseConformance,
    FollowerConformance,
    ReceiptConformance,
):
    pass


class TestTalkInRedisOverPostgres(OnOneServer, OverPostgres, WindowConformance, EditConformance):
    pass


@pytest.mark.long
class TestTalkInRedisClusterOverSqlite(OnCluster, OverSqlite, WindowConformance, EditConformance):
    pass


class TestTalkInRedisClusterOverPostgres(OnCluster, OverPostgres, NamespaceConformance):
    pass
