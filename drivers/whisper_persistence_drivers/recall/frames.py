"""What the driver and its child process say to each other: length-prefixed msgpack frames over a pipe."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

#: The length of a frame's body, in front of it.
HEADER: Final = struct.Struct("<I")


class Call(msgspec.Struct, frozen=True):
    """Something asked of the child.

    Attributes:
        operation: the name of the method.
        arguments: its arguments.
        timeout: seconds after which nobody waits for the answer any more.
    """

    operation: str
    arguments: dict[str, Any]
    timeout: float


class Answer(msgspec.Struct, frozen=True):
    """What the child answered.

    Attributes:
        value: what the method returned.
        error: the class of what it raised, or empty; never its message, which may hold private words.
        away: whether it raised that because a server did not answer.
    """

    value: Any = None
    error: str = ""
    away: bool = False


_encoder: Final = msgspec.msgpack.Encoder()


def pack(message: Call | Answer) -> bytes:
    """Return a message as one frame."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body


read_call: Final = msgspec.msgpack.Decoder(Call).decode
read_answer: Final = msgspec.msgpack.Decoder(Answer).decode
