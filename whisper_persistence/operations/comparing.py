"""Whether two stores hold the same: every record counted and hashed, whatever order a store walks through them in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import attrs

from whisper_persistence.operations.reading import Report, canonical, find_cleared, read_pages
from whisper_persistence.records import Page
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store

#: What a record is kept in order within: the records of one key come one after the other in a scan.
_KEYS: Final[dict[RecordKind, Callable[[Any], object]]] = {
    "strategies": lambda record: record.user_id,
    "outcomes": lambda record: record.user_id,
    "statistics": lambda record: record.user_id,
    "scores": lambda record: record.user_id,
    "patterns": lambda record: (record.user_id, record.pattern_id),
    "preferences": lambda record: record.user_id,
    "messages": lambda record: record.conversation_id,
}


@attrs.frozen
class Comparison:
    """The records of one kind in two stores.

    Attributes:
        kind: which kind.
        source, destination: how many there are.
        equal: whether they are the same in every field and in the same order, positions apart, and for messages whether
            the same ones are cleared.
    """

    kind: RecordKind
    source: int
    destination: int
    equal: bool


def compare_kind(source: Store, destination: Store, kind: RecordKind, report: Report) -> Comparison:
    """Walk through the records of one kind in two stores, and say whether they are the same."""
    ours, theirs = (_digest(store, kind, report) for store in (source, destination))
    return Comparison(kind, ours[0], theirs[0], ours == theirs)


def digest_groups(groups: Iterable[Iterable[bytes]]) -> tuple[int, int]:
    """Return how many lines there are, and the sum of the hashes of their groups: these have no order, lines have."""
    count = total = 0
    for lines in groups:
        digest = hashlib.blake2b(digest_size=32)
        for line in lines:
            digest.update(line)
            count += 1
        total = (total + int.from_bytes(digest.digest())) % 2**256
    return count, total


def _digest(store: Store, kind: RecordKind, report: Report) -> tuple[int, int]:
    by_key = groupby(_entries(store, kind, report), itemgetter(0))
    ordered = (sorted(group, key=itemgetter(1)) if kind == "scores" else group for _, group in by_key)
    return digest_groups((line for _, _, line in group) for group in ordered)


def _entries(store: Store, kind: RecordKind, report: Report) -> Iterator[tuple[object, int, bytes]]:
    """Yield of every record what it is kept in order within, its position there, and a line of what it says."""
    key = _KEYS[kind]
    for page in read_pages(store, kind):
        for record, mark in zip(page.records, _marks(store, kind, page), strict=True):
            yield key(record), getattr(record, "sequence", None) or 0, canonical(record) + mark
        report("comparing", kind, len(page.records))


def _marks(store: Store, kind: RecordKind, page: Page) -> Iterable[bytes]:
    if kind != "messages":
        return [b"\n"] * len(page.records)
    return [b"cleared\n" if cleared else b"\n" for cleared in find_cleared(store, page.records)]
