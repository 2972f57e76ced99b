"""Redis where operators have it: behind real sentinels, which promote a replica, and behind TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from whisper_persistence_drivers.redis_cache.clients import connect
from whisper_persistence_drivers.redis_cache.servers import Cluster
from whisper_persistence_drivers.redis_hybrid import RedisHybridDriver
from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Message, Store, Window
from whisper_persistence.plugins import Chain
from whisper_persistence.records import State
from whisper_persistence.testing import redis_servers
from whisper_persistence.testing.redis_servers import REDIS_PROGRAM, RedisServer

#: How long a sentinel may take on a busy machine, in seconds.
PATIENCE = 60.0


def say(n: int) -> Message:
    return Message("talk", "alice", "alice", f"hello {n}", message_id=f"m{n}")


def shown(store: Store) -> list[str]:
    return [message.message_id for message in store.load_messages([Window("talk")]).get(Window("talk"), ())]


def open_store(path: Path, url: str) -> Store:
    layer = RedisHybridDriver(url, read_timeout=5, connect_timeout=5, near_bytes=0)
    return Store(Chain.of({"redis-hybrid": layer, "sqlite": SqliteDriver(path=path / "memory.db")}))


def hits(store: Store) -> float:
    return store.metrics()["redis-hybrid"]["hits"]


@attrs.define(eq=False)
class Watched:
    """A primary and its replica, with a sentinel that watches them."""

    primary: RedisServer
    replica: RedisServer
    sentinel: RedisServer

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Watched]:
        conf = folder / "sentinel.conf"
        with RedisServer.running() as primary:
            behind = ("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
            with RedisServer.running(*behind) as replica:
                port = redis_servers._free_port()
                watch = f"sentinel monitor talk 127.0.0.1 {primary.port} 1\nsentinel down-after-milliseconds talk 500\n"
                conf.write_text(f"port {port}\n{watch}sentinel failover-timeout talk 3000\n")
                sentinel = RedisServer(folder, port, ("--sentinel",))
                with (folder / "log").open("ab") as log:
                    program = [redis_servers._program(), str(conf), "--sentinel"]
                    sentinel._process = subprocess.Popen(program, stdout=log, stderr=log)  # noqa: S603
                try:
                    redis_servers._until(sentinel._answers, "the sentinel did not start")
                    yield cls(primary, replica, sentinel)
                finally:
                    sentinel.kill()

    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/talk/0"

    def complete(self) -> bool:
        """Say whether the sentinel knows the replica, and that has what the primary has."""
        linked = "up" in str(self.replica.ask("INFO", "replication").get("master_link_status"))
        return linked and len(self.sentinel.ask("SENTINEL", "REPLICAS", "talk")) == 1

    def promoted(self) -> bool:
        return self.replica.ask("INFO", "replication")["role"] == "master"


def test_the_primary_that_a_sentinel_names_has_the_recents(tmp_path):
    with Watched.running(tmp_path) as watched, open_store(tmp_path, watched.url()) as store:
        store.save_messages([say(0)])
        assert shown(store) == shown(store) == ["m0"]
        assert hits(store) >= 1
        assert watched.primary.ask("KEYS", "*{*")


@pytest.mark.long
def test_after_a_failover_the_promoted_replica_serves_and_what_it_brought_along_is_not_shown(tmp_path):
    with Watched.running(tmp_path) as watched, open_store(tmp_path, watched.url()) as store:
        store.save_messages([say(0)])
        assert shown(store) == shown(store) == ["m0"]
        redis_servers._until(watched.complete, "the sentinel did not find the replica")
        watched.primary.kill()
        said = 1
        until = time.monotonic() + PATIENCE
        before = hits(store)
        while not (watched.promoted() and hits(store) > before + 5):
            assert time.monotonic() < until, "nothing came from the promoted replica"
            store.save_messages([say(said)])
            said += 1
            expected = [f"m{n}" for n in range(max(0, said - 20), said)]
            assert shown(store) == expected
            assert shown(store) == expected


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a key and a certificate for this machine."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True)  # noqa: S603
    return key, certificate


def test_while_somebody_reads_a_clusters_map_health_waits_for_it_and_nobody_who_talks_does(redis_cluster, monkeypatch):
    reading, goes_on, read = threading.Event(), threading.Event(), Cluster._ask

    def slowly(cluster: Cluster, *place: Any) -> Any:
        reading.set()
        assert goes_on.wait(PATIENCE)
        return read(cluster, *place)

    monkeypatch.setattr(Cluster, "_ask", slowly)
    servers = connect(redis_cluster.url(), None, 5.0, 5.0)
    with closing(servers), ThreadPoolExecutor(2) as threads:
        first = threads.submit(servers.all)
        assert reading.wait(PATIENCE)
        second = threads.submit(servers.all)
        assert servers.of("talk") is None
        assert not second.done()
        goes_on.set()

        assert len(first.result()) == len(second.result()) == 3
        assert servers.of("talk") in first.result()


@pytest.mark.skipif(
    REDIS_PROGRAM not in os.environ or not shutil.which("openssl"),
    reason=f"the Valkey that tests bring along has no TLS: name a server that has it in {REDIS_PROGRAM}",
)
def test_it_talks_tls_with_a_server_that_it_can_trust_and_with_no_other(tmp_path):
    key, certificate = _certificate(tmp_path, "server")
    _, stranger = _certificate(tmp_path, "stranger")
    port = redis_servers._free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with RedisServer.running(*options, "--tls-auth-clients", "no"):
        url = f"rediss://localhost:{port}/0?ssl_ca_certs="
        with open_store(tmp_path, f"{url}{certificate}") as store:
            store.save_messages([say(0)])
            assert shown(store) == shown(store) == ["m0"]
            assert hits(store) == 1
            assert store.check_health()[0].state is State.UP
        with open_store(tmp_path, f"{url}{stranger}") as store:
            assert shown(store) == ["m0"]
            assert store.check_health()[0].state is State.DOWN
