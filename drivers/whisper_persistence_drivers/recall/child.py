"""The child process: the only place where Chroma is imported, and where it may crash, hang or be killed.

It answers one call after the other on its standard input and ends when that is closed, so also when its parent dies.
A call that never returns (an ``upsert`` on a full disk does not) ends the process by a timer that needs no Python.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import Any, BinaryIO

from whisper_persistence_drivers.recall import frames
from whisper_persistence_drivers.recall.frames import HEADER, Answer, Call

#: Seconds that a call may take beyond those for which its caller waits.
_GRACE = 30.0


def _read(source: BinaryIO) -> Call | None:
    header = source.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (size,) = HEADER.unpack(header)
    body = source.read(size)
    return frames.read_call(body) if len(body) == size else None


def _answer(room: Any, call: Call) -> Answer:
    try:
        return Answer(getattr(room, call.operation)(**call.arguments))
    except BaseException as error:  # what native code panics with is no Exception
        return Answer(error=type(error).__name__, away=room.is_away(error))


def serve(source: BinaryIO, sink: BinaryIO, nowhere: BinaryIO) -> None:
    """Answer calls until there are no more."""
    from whisper_persistence_drivers.recall.chroma import Room

    room = Room()
    while call := _read(source):
        faulthandler.dump_traceback_later(call.timeout + _GRACE, exit=True, file=nowhere)
        answer = frames.pack(_answer(room, call))
        faulthandler.cancel_dump_traceback_later()
        sink.write(answer)
        sink.flush()


def main() -> None:
    """Take the pipe for frames alone: what a library prints goes nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "r+b", buffering=0) as nowhere:  # noqa: PTH123  # unbuffered, and for reading too
        for standard in (0, 1):
            os.dup2(nowhere.fileno(), standard)
        try:
            serve(source, sink, nowhere)
        except BrokenPipeError:
            pass
        finally:
            os._exit(0)  # Chroma's threads are not waited for: what was acknowledged is on disk


if __name__ == "__main__":
    main()
