"""A server's process, which a test may kill and freeze."""

from __future__ import annotations

import signal
import subprocess

import attrs


@attrs.define(eq=False)
class Program:
    """A process of the tests' own; a subclass starts it."""

    _process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    def kill(self) -> None:
        """End it as a crash does; frozen or not."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Let it fall silent, with every connection open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
