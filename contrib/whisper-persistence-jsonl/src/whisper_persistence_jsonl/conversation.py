"""One conversation: what its file says, where each message stands in it, and what a window shows.

The first line holds the counters, every other line one message and the revision it led to. Texts stay in the file; only
ids and positions are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import BinaryIO

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import Message, Revision, Window


@attrs.frozen
class Header:
    """The counters of a conversation when its file was last written anew.

    Attributes:
        revision, epoch, sequence: they only grow, and survive an erase.
        cleared: the last sequence that no window shows any more.
        applied: when each change was applied, by the keyed hash of its id, since ids may name somebody.
    """

    revision: int = 0
    epoch: int = 0
    sequence: int = 0
    cleared: int = 0
    applied: dict[str, float] = attrs.field(factory=dict[str, float])


@attrs.frozen
class Line:
    """One message in a file, and the revision that it led to."""

    revision: int
    message: Message


@attrs.frozen
class Place:
    """Where a message stands in its file, and what windows ask of it."""

    message_id: str
    sequence: int
    user_id: str
    author_id: str
    in_reply_to: str | None
    start: int
    size: int


_read_header: Callable[[str | bytes], Header] = decoder(Header)
_read_line: Callable[[str | bytes], Line] = decoder(Line)


@attrs.define
class Conversation:
    """A conversation as its file tells it."""

    header: Header = attrs.field(factory=Header)
    first_line: bytes = b""
    revision: int = 0
    sequence: int = 0
    size: int = 0
    places: dict[str, Place] = attrs.field(factory=dict[str, Place])

    @classmethod
    def begin(cls, first_line: bytes) -> Conversation:
        """Return what the first line of a file says."""
        header = _read_header(first_line)
        return cls(header, first_line, header.revision, header.sequence, len(first_line))

    def read_on(self, file: BinaryIO) -> bool:
        """Take in what was appended since; False when the last line is torn."""
        file.seek(self.size)
        for line in file:
            if not line.endswith(b"\n"):
                return False
            self._learn(_read_line(line), len(line))
        return True

    def counters(self) -> Revision:
        """Return how often it was changed and erased, and its newest position."""
        return Revision(revision=self.revision, epoch=self.header.epoch, sequence=self.sequence)

    def window(self, window: Window) -> list[Place]:
        """Return the places that a window shows, oldest first."""
        if window.after is not None:
            return list(islice(self._shown(window, self.places.values()), window.limit))
        newest = list(islice(self._shown(window, reversed(self.places.values())), window.limit))
        question = self.places.get(newest[-1].in_reply_to or "") if newest else None
        if question and window.message_id is None and question.sequence < newest[-1].sequence:
            newest += self._shown(window, [question])
        return newest[::-1]

    def _shown(self, window: Window, places: Iterable[Place]) -> Iterator[Place]:
        low = max(self.header.cleared, window.after or 0)
        for place in places:
            wanted = window.user_id in (None, place.user_id) and window.message_id in (None, place.message_id)
            if wanted and low < place.sequence and (window.before is None or place.sequence < window.before):
                yield place

    def _learn(self, line: Line, size: int) -> None:
        message, sequence = line.message, line.message.sequence or 0
        self.places[message.message_id] = Place(
            message.message_id, sequence, message.user_id, message.author_id, message.in_reply_to, self.size, size
        )
        self.size += size
        self.sequence = max(self.sequence, sequence)
        self.revision = max(self.revision, line.revision)


def read_messages(file: BinaryIO, places: Iterable[Place]) -> tuple[Message, ...]:
    """Return the messages at these places."""
    found: list[Message] = []
    for place in places:
        file.seek(place.start)
        found.append(_read_line(file.read(place.size)).message)
    return tuple(found)


def write_lines(records: Iterable[Header | Line]) -> str:
    """Return records as lines of a file."""
    return "".join(f"{encode(record)}\n" for record in records)
