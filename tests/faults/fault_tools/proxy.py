"""A TCP proxy in this process that delays, cuts, half-closes, swallows and refuses."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import attrs


@attrs.define(eq=False)
class Proxy:
    """Stands between a driver and its server.

    Attributes:
        target: the server's host and port, or the path of its socket.
        refusing: new connections are closed at once, and the present ones with them.
        silent: nothing passes in either direction; what arrives waits.
        delay: how long everything that passes waits, in seconds.
        deaf: what the server answers is thrown away, and the connection cut a moment later.
        cut_after: after so many more bytes of answers the connection is cut; ``None`` for never.
        cut_asked: the same for what is asked.
        cuts: how often either happened.
        half_closed: after the next request nothing more is sent to the server, though it may answer.
    """

    target: tuple[str, int] | str
    refusing: bool = False
    silent: bool = False
    delay: float = 0.0
    deaf: bool = False
    cut_after: int | None = None
    cut_asked: int | None = None
    cuts: int = 0
    half_closed: bool = False
    port: int = 0
    _listener: socket.socket = attrs.field(init=False)
    _pairs: list[socket.socket] = attrs.field(factory=list[socket.socket], init=False)
    _threads: list[threading.Thread] = attrs.field(factory=list[threading.Thread], init=False)
    _closed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def heal(self) -> None:
        """Pass everything on again."""
        self.refusing = self.silent = self.deaf = self.half_closed = False
        self.delay, self.cut_after, self.cut_asked = 0.0, None, None

    def refuse(self) -> None:
        """Refuse, and cut what is there."""
        self.refusing = True
        self.cut()

    def cut(self) -> None:
        """Cut every connection."""
        for end in list(self._pairs):
            _end(end)

    def close(self) -> None:
        """End."""
        self._closed = True
        self.heal()
        _end(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        if self.refusing:
            _end(client)
            return
        kind = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        server = socket.socket(kind)
        try:
            server.connect(self.target)
        except OSError:
            _end(client)
            _end(server)
            return
        self._pairs += [client, server]
        self._start(self._pump, client, server, False)
        self._start(self._pump, server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._wait()
                if not self._pass(data, sink, answers):
                    break
        _end(source)
        _end(sink)
        for end in (source, sink):
            with suppress(ValueError):
                self._pairs.remove(end)

    def _wait(self) -> None:
        until = time.monotonic() + self.delay
        while (self.silent or time.monotonic() < until) and not self._closed:
            time.sleep(0.002)

    def _pass(self, data: bytes, sink: socket.socket, answers: bool) -> bool:
        if answers and self.deaf:
            return False
        left = self.cut_after if answers else self.cut_asked
        if left is not None:
            setattr(self, "cut_after" if answers else "cut_asked", max(0, left - len(data)))
            passed = data[:left]
            self.cuts += len(passed) < len(data)
            sink.sendall(passed)
            return len(passed) == len(data)
        sink.sendall(data)
        if self.half_closed and not answers:
            sink.shutdown(socket.SHUT_WR)
        return True


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
