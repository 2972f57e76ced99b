"""Messages as Redis holds them: each a line of JSON, in which no line ends."""

from __future__ import annotations

from typing import Final

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import Message

_read_all: Final = decoder(list[Message])
#: Stands in a message that has no sequence yet; for the last time there, since only plain texts follow.
UNNUMBERED: Final = b',"sequence":null,"'


def to_line(message: Message, sequence: int | None) -> bytes:
    """Return a message, with the sequence that it was given, as one line."""
    text = encode(message).encode()
    if message.sequence == sequence:
        return text
    before, found, after = text.rpartition(UNNUMBERED)
    if found and message.sequence is None and sequence is not None:  # a quarter of what it takes to number a copy first
        return b'%s,"sequence":%d,"%s' % (before, sequence, after)
    return encode(attrs.evolve(message, sequence=sequence)).encode()


def from_lines(lines: bytes) -> list[Message]:
    """Return the messages of lines, each of which ends.

    Raises:
        StorageDamagedError: they are no messages.
    """
    return _read_all(b"[" + lines[:-1].replace(b"\n", b",") + b"]")
