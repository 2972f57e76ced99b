"""What an archive holds of a store, line by line: to be written, or to be compared with one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import attrs
import msgspec

from whisper_persistence.operations.reading import (
    Report,
    find_cleared,
    load_whole,
    read_messages_of,
    read_pages,
    read_whole_history,
    whole,
)
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store

#: Lines that stand together, with the user or the conversation whose they are.
Group = tuple[str, Iterator[bytes]]

_sorted: Final = msgspec.json.Encoder(order="sorted")


@attrs.frozen
class ArchiveLines:
    """The lines of one archive.

    Attributes:
        store: where from.
        user_id: whose: those about them, and what they wrote; ``None`` for everybody's.
        work: what is done with them, as the report is told.
        report: called after each page.
        cleared: by conversation the last message that is cleared, as far as the messages were read.
    """

    store: Store
    user_id: str | None
    work: str
    report: Report
    cleared: dict[str, str] = attrs.field(factory=dict[str, str])

    def read(self, kind: RecordKind) -> Iterator[Group]:
        """Yield the lines of each user, or each conversation, in the order in which the store walks through them.

        Raises:
            NotSupportedError: the store does not keep this kind.
        """
        return group_lines(kind, self._read(kind))

    def marks(self) -> list[bytes]:
        """Return a line for each conversation that is cleared, once all messages were read."""
        marks = ({"conversation_id": talk, "message_id": self.cleared[talk]} for talk in sorted(self.cleared))
        return [_sorted.encode(mark) + b"\n" for mark in marks]

    def _read(self, kind: RecordKind) -> Iterable[Any]:
        if kind == "messages":
            return self._read_messages()
        if self.user_id is None:
            return self._read_all(kind)
        if kind in ("outcomes", "scores"):
            return read_whole_history(self.store, kind, self.user_id)
        return load_whole(self.store, kind, [self.user_id])

    def _read_all(self, kind: RecordKind) -> Iterator[Any]:
        for page in read_pages(self.store, kind):
            self.report(self.work, kind, len(page.records))
            yield from page.records

    def _read_messages(self) -> Iterator[Any]:
        user_id = self.user_id
        pages = read_pages(self.store, "messages") if user_id is None else read_messages_of(self.store, user_id)
        for page in pages:
            messages = whole("messages", page).records
            self.report(self.work, "messages", len(messages))
            flags = zip(messages, find_cleared(self.store, messages), strict=True)
            self.cleared.update((message.conversation_id, message.message_id) for message, gone in flags if gone)
            yield from messages


def group_lines(kind: RecordKind, records: Iterable[Any]) -> Iterator[Group]:
    """Yield the lines of each user, or each conversation, whose records stand together."""
    for key, group in groupby(records, _key_of(kind)):
        yield key, (_line(kind, record) for record in _ordered(kind, group))


def _key_of(kind: RecordKind) -> Callable[[Any], str]:
    return attrgetter("conversation_id" if kind == "messages" else "user_id")


def _ordered(kind: RecordKind, group: Iterable[Any]) -> Iterable[Any]:
    """Return the records of one user in the order that does not depend on the store: outcomes and messages are."""
    if kind == "scores":
        return sorted(group, key=lambda score: score.sequence or 0)
    return sorted(group, key=lambda pattern: pattern.pattern_id) if kind == "patterns" else group


def _line(kind: RecordKind, record: Any) -> bytes:
    plain = msgspec.to_builtins(record)
    plain.pop("sequence", None)
    return _sorted.encode({"kind": kind, **plain}) + b"\n"
