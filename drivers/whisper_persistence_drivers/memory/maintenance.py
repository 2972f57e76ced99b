"""Scanning and erasing."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import StorageDamagedError, ValidationError
from whisper_persistence.records import RECORD_KINDS, Page, Statistics
from whisper_persistence.records.following import FollowedKind
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence_drivers.memory.learning import with_extremes
from whisper_persistence_drivers.memory.log import Log, MessageRow
from whisper_persistence_drivers.memory.state import Conversation, State, User
from whisper_persistence_drivers.memory.tombstones import note_erasure

_Position = tuple[str, Any]
_SEQUENCED = ("outcomes", "scores", "messages")
_read_sequenced = decoder(tuple[str, int])
_read_keyed = decoder(tuple[str, str])


def scan(state: State, kind: RecordKind, cursor: str | None, limit: int) -> Page:
    """Return one page of all records of a kind, by user or conversation and then by item."""
    read: Callable[[str], Any] = decoder(RECORD_KINDS[kind])
    return _page(_walk(state, kind, _position(kind, cursor)), lambda text: _complete(state, read(text)), limit)


def scan_messages(state: State, user_id: str, cursor: str | None, limit: int) -> Page:
    """Return one page of the messages that concern a user or that they wrote; all of them are looked at."""
    walked = _walk_messages(state, frozenset([user_id]), _position("messages", cursor))
    return _page(walked, decoder(RECORD_KINDS["messages"]), limit)


def _page(walked: Iterator[tuple[_Position, str]], read: Callable[[str], Any], limit: int) -> Page:
    found = list(islice(walked, min(limit, sys.maxsize - 1) + 1))
    records = tuple(read(text) for _, text in found[:limit])
    return Page(records, encode(found[limit - 1][0]) if len(found) > limit else None)


def _walk_messages(state: State, users: frozenset[str], after: _Position) -> Iterator[tuple[_Position, str]]:
    for name in sorted(state.conversations):
        if name >= after[0]:
            first = (after[1] or 0) if name == after[0] else 0
            for sequence, row in state.conversations[name].messages.oldest(first):
                if _belongs(row, users):
                    yield (name, sequence), row.text


def _position(kind: RecordKind, cursor: str | None) -> _Position:
    if cursor is None:
        return "", None
    try:
        position: _Position = (_read_sequenced if kind in _SEQUENCED else _read_keyed)(cursor)
    except StorageDamagedError:
        raise ValidationError("cursor", f"is not one that a scan of {kind} returned: begin with None") from None
    return position


def _walk(state: State, kind: RecordKind, after: _Position) -> Iterator[tuple[_Position, str]]:
    things = state.conversations if kind == "messages" else state.users
    ids = sorted(things)
    for thing_id in islice(ids, bisect_left(ids, after[0]), None):
        seen = after[1] if thing_id == after[0] else None
        for item, text in _items(things[thing_id], kind, seen):
            yield (thing_id, item), text


def _items(thing: User | Conversation, kind: RecordKind, seen: Any) -> Iterable[tuple[Any, str]]:
    if kind in _SEQUENCED:
        log: Log[Any] = getattr(thing, kind)
        return ((sequence, row.text) for sequence, row in log.oldest(seen or 0))
    texts = cast("User", thing).tables.get(kind, {})
    return ((item, texts[item]) for item in sorted(texts) if seen is None or item > seen)


def _complete(state: State, record: Any) -> Any:
    return with_extremes(record, state.users[record.user_id]) if isinstance(record, Statistics) else record


def erase_users(state: State, user_ids: Sequence[str]) -> dict[str, int]:
    """Forget users; return how many records of each kind went."""
    counts: dict[str, int] = dict.fromkeys(RECORD_KINDS, 0)
    erased = frozenset(user_ids)
    note_erasure(state, erased)
    for user_id in dict.fromkeys(user_ids):
        _erase_user(state, user_id, counts)
    for conversation_id, conversation in state.conversations.items():
        gone = [row.item for row in conversation.messages if _belongs(row, erased)]
        if gone:
            erase_messages(state, conversation_id, gone)
            counts["messages"] += len(gone)
    state.conflicts = [conflict for conflict in state.conflicts if conflict[1] not in erased]
    return counts


def _erase_user(state: State, user_id: str, counts: dict[str, int]) -> None:
    user = state.users[user_id]
    gone: list[tuple[FollowedKind, str]] = [(kind, item) for kind, texts in user.tables.items() for item in texts]
    gone.extend(("outcomes", row.item) for row in user.outcomes)
    gone.extend(("scores", row.item) for row in user.scores)
    state.users[user_id] = User(user.revision + 1, user.epoch + 1, user.sequence)
    for kind, item in gone:
        counts[kind] += 1
        state.notify(kind, user_id, item, user.revision + 1)


def _belongs(row: MessageRow, user_ids: frozenset[str]) -> bool:
    return row.user_id in user_ids or row.author_id in user_ids


def erase_messages(state: State, conversation_id: str, message_ids: Sequence[str]) -> None:
    """Remove messages of one conversation, which raises its revision by one."""
    conversation = state.conversations[conversation_id]
    conversation.messages.remove(message_ids)
    conversation.revision += 1
    for message_id in message_ids:
        state.notify("messages", conversation_id, message_id, conversation.revision)
    state.notify_of_amendment(conversation_id, conversation.revision)
