"""Copying every record of a namespace from one store to another, and comparing the two.

The destination is asked what it holds before anything is put there, so that repeating a copy changes nothing, and one
after more was written to the source brings only that. What is only at the destination is left there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from whisper_persistence.errors import ValidationError
from whisper_persistence.operations.checkpoints import Checkpoint
from whisper_persistence.operations.comparing import Comparison, Report, compare_kind
from whisper_persistence.operations.reading import (
    HistoryKind,
    canonical,
    find_cleared,
    read_histories,
    read_pages,
    users_of,
)
from whisper_persistence.operations.transfer import SAVERS
from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Page,
    checks,
)
from whisper_persistence.records.maintenance import RecordKind
from whisper_persistence.store import Store

#: Outcomes teach and scores count, so the whole strategies and statistics are put on top of them.
ORDER: Final[tuple[RecordKind, ...]] = (
    "outcomes",
    "scores",
    "strategies",
    "statistics",
    "patterns",
    "preferences",
    "messages",
)


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
        _copy_messages(source, destination, records)
    elif kind in ("outcomes", "scores"):
        done = set(users_of(before))
        users = [user_id for user_id in users_of(records) if user_id not in done]
        _copy_histories(source, destination, kind, users)
    else:
        _copy_whole(destination, kind, records)


def _copy_histories(source: Store, destination: Store, kind: HistoryKind, users: Sequence[str]) -> None:
    """Copy all that these users have of one kind, in its order, from where the destination's history departs."""
    ours, theirs = (read_histories(store, kind, users) for store in (source, destination))
    missing = [record for user_id in users for record in _rest(ours.get(user_id, []), theirs.get(user_id, []))]
    for start in range(0, len(missing), checks.MAX_BATCH):
        SAVERS[kind](destination, missing[start : start + checks.MAX_BATCH])


def _rest(ours: list[Any], theirs: list[Any]) -> list[Any]:
    pairs = enumerate(zip(ours, theirs, strict=False))
    return ours[next((n for n, (one, other) in pairs if canonical(one) != canonical(other)), len(theirs)) :]


def _copy_whole(destination: Store, kind: RecordKind, records: Sequence[Any]) -> None:
    """Put the whole records that the destination does not hold as they are."""
    stored = {_key(record): canonical(record) for record in _LOADERS[kind](destination, users_of(records))}
    news = [record for record in records if stored.get(_key(record)) != canonical(record)]
    if news:
        # Not through Store.save_..., since what changes have added up to may be more than one change may hold.
        destination.ask(f"save_{kind}", news)


def _key(record: Any) -> tuple[str, str]:
    return record.user_id, getattr(record, "pattern_id", "")


def _values(load: Callable[[Store, Sequence[str]], Mapping[str, Any]]) -> Callable[[Store, Sequence[str]], list[Any]]:
    return lambda store, user_ids: list(load(store, user_ids).values())


def _patterns(store: Store, user_ids: Sequence[str]) -> list[Any]:
    return [pattern for patterns in store.load_patterns(user_ids).values() for pattern in patterns]


_LOADERS: Final[Mapping[RecordKind, Callable[[Store, Sequence[str]], list[Any]]]] = {
    "strategies": _values(Store.load_strategies),
    "statistics": _values(Store.load_statistics),
    "patterns": _patterns,
    "preferences": _values(Store.load_preferences),
}


def _copy_messages(source: Store, destination: Store, messages: Sequence[Message]) -> None:
    """Append messages, bring those that are there up to date, and clear what is cleared."""
    receipts = SAVERS["messages"](destination, messages)
    marks: dict[str, int] = {}
    for message, receipt, cleared in zip(messages, receipts, find_cleared(source, messages), strict=True):
        if cleared:
            marks[message.conversation_id] = max(marks.get(message.conversation_id, 0), receipt.sequence or 0)
    changes = [change for message in messages if message.edited_at for change in _edits(message)]
    changes += [
        ClearMark(talk, through, change_id=_change_id("clear", talk, str(through))) for talk, through in marks.items()
    ]
    for start in range(0, len(changes), checks.MAX_BATCH):
        destination.update_messages(changes[start : start + checks.MAX_BATCH])


def _edits(message: Message) -> Iterator[MessageChange]:
    """Yield what makes an older copy of a message equal to it, by ids that are the same at every repetition."""
    key, moment = (message.conversation_id, message.message_id), cast("Any", message.edited_at)
    text = canonical(message).decode()
    if not message.author_name and message.extra == {"redacted": True}:
        yield MessageRedaction(*key, moment, _change_id("redact", text))
        if not message.content:
            return
    yield MessageEdit(*key, message.content, moment, _change_id("edit", text))


def _change_id(*parts: str) -> str:
    return f"copy-{hashlib.blake2b(chr(0).join(parts).encode(), digest_size=20).hexdigest()}"
