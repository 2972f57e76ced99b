"""A child process that is spoken to over a pipe, with a deadline for every call, and that can always be ended."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from whisper_persistence.errors import StorageDamagedError, StorageUnavailableError
from whisper_persistence_drivers import forks
from whisper_persistence_drivers.recall import frames
from whisper_persistence_drivers.recall.frames import HEADER, Call

_CHILD: Final = "whisper_persistence_drivers.recall.child"
_CHUNK: Final = 1 << 20
#: Seconds to wait for a killed process to be gone.
_ENDING: Final = 5.0


class RefusedError(StorageDamagedError):
    """A method of the child's raised; `kind` is the class of what it raised, since its words may be private."""

    def __init__(self, operation: str, kind: str) -> None:
        """Say which method it was."""
        super().__init__(f"the index refused {operation} ({kind}): it is built anew")
        self.kind = kind


@attrs.define(eq=False)
class ChildProcess:
    """One child process; calls come one after the other.

    Attributes:
        patience: seconds that an answer may be owed before `watch` ends the process.
        dirty: whether it ended, or was ended, while something was being written.
    """

    patience: float
    dirty: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _turn: threading.Lock = attrs.field(factory=threading.Lock)
    _received: bytearray = attrs.field(factory=bytearray)
    _owed_since: float | None = None
    _writing: bool = False

    @classmethod
    def start(cls, folder: Path, patience: float, kept: Sequence[int] = ()) -> ChildProcess:
        """Start a process in a folder; it keeps the given file descriptors open for as long as it lives."""
        child = cls(patience)
        command = [sys.executable, "-P", "-m", _CHILD]
        child._process = subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=kept,
        )
        for pipe in child._pipes():
            os.set_blocking(pipe, False)
        forks.watch(child)
        return child

    @property
    def pid(self) -> int | None:
        """Its process id, or ``None`` where there is none any more."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def call(self, operation: str, timeout: float, *, writes: bool = False, **arguments: Any) -> Any:
        """Ask something of the child.

        Args:
            operation: the name of a method of `chroma.Room`.
            timeout: seconds to wait, for its turn as well.
            writes: whether a death meanwhile leaves behind what cannot be trusted.
            arguments: the method's arguments.

        Raises:
            StorageUnavailableError: it is gone, did not answer in time, or could not reach its server.
            RefusedError: the method raised.
        """
        deadline = time.monotonic() + timeout
        if not self._turn.acquire(timeout=timeout):
            raise StorageUnavailableError("the index is busy: search goes on without it")
        try:
            return self._ask(Call(operation, arguments, timeout), deadline, writes)
        finally:
            self._turn.release()

    def _ask(self, call: Call, deadline: float, writes: bool) -> Any:
        while self._owed_since is not None:
            self._receive(deadline)
        self._writing = writes
        self._send(frames.pack(call), deadline)
        self._owed_since = time.monotonic()
        answer = self._receive(deadline)
        if answer.away:
            raise StorageUnavailableError("the index server cannot be reached: search goes on without it")
        if answer.error:
            self.dirty = self.dirty or writes
            raise RefusedError(call.operation, answer.error)
        return answer.value

    def _send(self, frame: bytes, deadline: float) -> None:
        view, (sink, _) = memoryview(frame), self._pipes()
        while view:
            try:
                self._wait(sink, selectors.EVENT_WRITE, deadline)
                view = view[os.write(sink, view[:_CHUNK]) :]
            except (OSError, StorageUnavailableError):
                self._end()  # half a frame cannot be taken back
                raise StorageUnavailableError("the index takes nothing any more: it is started again") from None

    def _receive(self, deadline: float) -> frames.Answer:
        _, source = self._pipes()
        while (size := self._size()) is None or len(self._received) < size:
            self._wait(source, selectors.EVENT_READ, deadline)
            chunk = os.read(source, _CHUNK)
            if not chunk:
                self._end()
                raise StorageUnavailableError("the index ended unasked: it is started again")
            self._received += chunk
        answer = frames.read_answer(self._received[HEADER.size : size])
        del self._received[:size]
        self._owed_since, self._writing = None, False
        return answer

    def _size(self) -> int | None:
        have = len(self._received) >= HEADER.size
        return HEADER.size + HEADER.unpack_from(self._received)[0] if have else None

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise StorageUnavailableError("the index did not answer in time: search goes on without it")

    def _pipes(self) -> tuple[int, int]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None or process.stdin.closed:
            raise StorageUnavailableError("the index is not running: search goes on without it")
        return process.stdin.fileno(), process.stdout.fileno()

    def watch(self) -> bool:
        """Say whether it lives; end it where an answer is owed for too long."""
        since = self._owed_since
        if self.pid is None or (since is not None and time.monotonic() - since > self.patience):
            self.kill()
        return self.pid is not None

    def close(self, timeout: float) -> None:
        """Let it end by itself, and end it where it does not."""
        process = self._process
        if process is not None and process.stdin is not None and self._turn.acquire(timeout=timeout):
            process.stdin.close()
            self._turn.release()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End it now, whoever waits for it, and remember whether something was being written."""
        process = self._process
        if process is not None:
            process.kill()
            with self._turn:  # who waits for an answer meets the end of the pipe at once
                self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self.dirty = self.dirty or self._writing
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING)
        _close(process)

    def begin_anew(self) -> None:
        """In a forked child: let go of a process that is the parent's, without touching it."""
        process, self._process = self._process, None
        if process is not None:
            _close(process)
            process.returncode = 0


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
