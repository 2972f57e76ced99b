"""A real Chroma server on 127.0.0.1, which may be killed, frozen and started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

from whisper_persistence.testing.programs import Program


@attrs.define(eq=False)
class ChromaServer(Program):
    """A server of the tests' own.

    Attributes:
        folder: where it keeps what it is given.
        port: where it listens.
    """

    folder: Path
    port: int

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Generator[ChromaServer]:
        """Start a server, yield it, and kill it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            server = cls(folder, free.getsockname()[1])
        server.start()
        try:
            yield server
        finally:
            server.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it with what its folder has, and wait until it listens."""
        program = str(Path(sys.executable).with_name("chroma"))
        place = ("--path", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port))
        self._process = subprocess.Popen(  # noqa: S603
            [program, "run", *place],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ANONYMIZED_TELEMETRY": "False", "DO_NOT_TRACK": "1"},
        )
        deadline = time.monotonic() + 120.0
        while not self._listens():
            assert self._process.poll() is None, "the Chroma server ended"
            assert time.monotonic() < deadline, "the Chroma server did not start"
            time.sleep(0.05)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5.0).close()
        except OSError:
            return False
        return True
