"""Putting records of a store, or of an archive, into another store, where nothing is there, some of it or all of it.

The destination is asked what it holds before anything is put there, so that repeating it changes nothing. What is only
at the destination is left there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, cast

from whisper_persistence.operations.reading import HistoryKind, canonical, load_whole, read_histories, users_of
from whisper_persistence.operations.transfer import SAVERS
from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Window,
    checks,
)
from whisper_persistence.records.kinds import RecordKind
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


def put_histories(destination: Store, kind: HistoryKind, histories: Mapping[str, list[Any]]) -> None:
    """Put all that users have of one kind, in its order, from where the destination's history departs.

    Args:
        destination: where to.
        kind: which kind.
        histories: the whole history of each user, the oldest first, by user id.
    """
    theirs = read_histories(destination, kind, list(histories))
    missing = [record for user_id, ours in histories.items() for record in _rest(ours, theirs.get(user_id, []))]
    for start in range(0, len(missing), checks.MAX_BATCH):
        SAVERS[kind](destination, missing[start : start + checks.MAX_BATCH])


def _rest(ours: list[Any], theirs: list[Any]) -> list[Any]:
    pairs = enumerate(zip(ours, theirs, strict=False))
    return ours[next((n for n, (one, other) in pairs if canonical(one) != canonical(other)), len(theirs)) :]


def put_whole(destination: Store, kind: RecordKind, records: Sequence[Any]) -> None:
    """Put the whole records that the destination does not hold as they are."""
    stored = {_key(record): canonical(record) for record in load_whole(destination, kind, users_of(records))}
    news = [record for record in records if stored.get(_key(record)) != canonical(record)]
    if news:
        # Not through Store.save_..., since what changes have added up to may be more than one change may hold.
        destination.ask(f"save_{kind}", news)


def _key(record: Any) -> tuple[str, str]:
    return record.user_id, getattr(record, "pattern_id", "")


def put_messages(destination: Store, messages: Sequence[Message], cleared: Sequence[bool]) -> None:
    """Append messages, bring those that are there up to date, and clear what is cleared.

    A conversation is cleared up to one place. So cleared messages that are not there yet are left out where it shows
    others already: behind these they could not be cleared without them.

    Args:
        destination: where to.
        messages: in the order of their conversations.
        cleared: of each message, whether its conversation was cleared after it.
    """
    hidden: dict[str, list[Message]] = {}
    for message in (message for message, gone in zip(messages, cleared, strict=True) if gone):
        hidden.setdefault(message.conversation_id, []).append(message)
    _put_cleared(destination, hidden)
    shown = [message for message, gone in zip(messages, cleared, strict=True) if not gone]
    if shown:
        SAVERS["messages"](destination, shown)
    _update(destination, [change for message in messages if message.edited_at for change in _edits(message)])


def _put_cleared(destination: Store, hidden: Mapping[str, Sequence[Message]]) -> None:
    """Append cleared messages, by conversation, and clear up to them, before anything is put behind them."""
    if not hidden:
        return
    windows = {talk: Window(talk, len(messages) + 1, after=0) for talk, messages in hidden.items()}
    oldest = destination.load_messages(list(windows.values()))
    marks: dict[str, int] = {}
    fitting: list[Message] = []
    for talk, messages in hidden.items():
        there = oldest.get(windows[talk], ())
        ours = _first_among(there, {message.message_id for message in messages})
        if ours:
            marks[talk] = ours[-1].sequence or 0
        if len(ours) == len(there):
            fitting += messages
    receipts = SAVERS["messages"](destination, fitting) if fitting else ()
    for message, receipt in zip(fitting, receipts, strict=True):
        marks[message.conversation_id] = max(marks.get(message.conversation_id, 0), receipt.sequence or 0)
    _update(destination, [_mark(talk, through) for talk, through in marks.items()])


def _first_among(messages: Sequence[Message], ids: set[str]) -> list[Message]:
    """Return the first of some messages, as many as have one of these ids without another between them."""
    return list(takewhile(lambda message: message.message_id in ids, messages))


def _mark(talk: str, through: int) -> ClearMark:
    return ClearMark(talk, through, change_id=_change_id("clear", talk, str(through)))


def _update(destination: Store, changes: Sequence[MessageChange]) -> None:
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
