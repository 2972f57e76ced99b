"""The redis-hybrid driver over sqlite and postgres, on one server and on a real cluster, against the whole suite."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import ClassVar

import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import DriverConformance
from whisper_persistence.testing.redis_servers import RedisCluster

CAPABILITIES = frozenset(
    {
        "strategies",
        "statistics",
        "conversations",
        "revisions",
        "followers",
        "scan",
        "erase",
        "expire",
        "durable",
        "processes",
    }
)


class OverSqlite(DriverConformance):
    """Each path has a database of its own, so that all of them may share a Redis."""

    __test__ = False
    capabilities = CAPABILITIES
    redis: ClassVar[str]

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return Store(Chain.build([self.layer(), DriverSpec("sqlite", {"path": path / "memory.db"})]), namespace)

    def layer(self) -> DriverSpec:
        return DriverSpec("redis-hybrid", {"url": os.environ["CONFORMANCE_REDIS_URL"], "read_timeout": 5})


class OverPostgres(OverSqlite):
    """Each path is a namespace of one database."""

    __test__ = False

    @pytest.fixture(autouse=True)
    def _connect_to_postgres(self, postgres_shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_POSTGRES_URL", postgres_shared_url)  # new processes find it there

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        place = "redis " + hashlib.sha256(str(path).encode()).hexdigest()[:16]
        chain = Chain.build([self.layer(), DriverSpec("postgres", {"url": os.environ["CONFORMANCE_POSTGRES_URL"]})])
        return Store(chain, f"{place}-{namespace.strip()}")


class _Standalone:
    @pytest.fixture(autouse=True)
    def _connect_to_redis(self, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_REDIS_URL", redis_url)


class _Cluster:
    @pytest.fixture(autouse=True)
    def _connect_to_redis(self, redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_REDIS_URL", redis_cluster.url())


class TestRedisOverSqlite(_Standalone, OverSqlite):
    __test__ = True


class TestRedisOverPostgres(_Standalone, OverPostgres):
    __test__ = True


class TestRedisClusterOverSqlite(_Cluster, OverSqlite):
    __test__ = True


class TestRedisClusterOverPostgres(_Cluster, OverPostgres):
    __test__ = True
