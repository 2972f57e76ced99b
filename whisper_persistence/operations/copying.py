"""Copying every record of a namespace from one store to another, and comparing the two.

The destination is asked what it holds before anything is put there, so that repeating a copy changes nothing, and one
after more was written to the source brings only that. What is only at the destination is left there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from whisper_persistence.errors import ValidationError
from whisper_persistence.operations.checkpoints import Checkpoint
from whisper_persistence.operations.comparing import Comparison, compare_kind
from whisper_persistence.operations.putting import ORDER, put_histories, put_messages, put_whole
from whisper_persistence.operations.reading import Report, find_cleared, read_histories, read_pages, users_of
from whisper_persistence.records import Page
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store


def copy_store(source: Store, destination: Store, checkpoint: Checkpoint, report: Report) -> tuple[Comparison, ...]:
    """Copy every record, and compare what source and destination hold then.

    Args:
        source: where from.
        destination: where to.
        checkpoint: how far an earlier attempt came; removed once everything is copied and compared.
        report: called after each page.

    Returns:
        For each kind, how many records there are and whether they are equal.
    """
    for kind in ORDER:
        if kind not in checkpoint.done:
            _copy_kind(source, destination, kind, checkpoint, report)
    compared = tuple(compare_kind(source, destination, kind, report) for kind in ORDER)
    checkpoint.remove()
    return compared


def _copy_kind(source: Store, destination: Store, kind: RecordKind, checkpoint: Checkpoint, report: Report) -> None:
    before: Sequence[Any] = ()
    for page in _pages_left(source, kind, checkpoint.cursor):
        _copy_page(source, destination, kind, page.records, before)
        checkpoint.move(kind, page.cursor)
        report("copying", kind, len(page.records))
        before = page.records


def _pages_left(source: Store, kind: RecordKind, cursor: str | None) -> Iterator[Page]:
    """Yield the pages after the cursor, or all where the source does not know it any more."""
    pages = read_pages(source, kind, cursor)
    try:
        first = next(pages)
    except ValidationError:
        pages = read_pages(source, kind)
        first = next(pages)
    yield first
    yield from pages


def _copy_page(
    source: Store, destination: Store, kind: RecordKind, records: Sequence[Any], before: Sequence[Any]
) -> None:
    """Copy the records of one page; ``before`` are those of the page before."""
    if kind == "messages":
        put_messages(destination, records, find_cleared(source, records))
    elif kind in ("outcomes", "scores"):
        done = set(users_of(before))
        users = [user_id for user_id in users_of(records) if user_id not in done]
        put_histories(destination, kind, read_histories(source, kind, users))
    else:
        put_whole(destination, kind, records)
