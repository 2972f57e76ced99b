"""What stands beside a vector in the index: numbers and hashes to filter by, and where its message is; never a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from whisper_persistence.records import Message, SearchQuery
from whisper_persistence_drivers.recall.folder import digest


@attrs.frozen
class Entry:
    """A vector as the index keeps it.

    Attributes:
        item: its id in the index.
        values: the vector, of unit length.
        labels: ``u`` and ``a``, hashes of the user and the author; ``c`` and ``s``, the conversation's id and the
            message's sequence in it; ``m``, its id; ``t``, its time in seconds.
    """

    item: str
    values: bytes = attrs.field(repr=False)
    labels: Mapping[str, Any] = attrs.field(repr=False)


def item_of(namespace: str, conversation_id: str, message_id: str) -> str:
    """Return the id that a message has in the index."""
    return digest(namespace, conversation_id, message_id)


def entry_of(namespace: str, message: Message, values: bytes) -> Entry:
    """Return a message's vector as the index keeps it."""
    labels = {
        "u": digest(namespace, message.user_id),
        "a": digest(namespace, message.author_id),
        "c": message.conversation_id,
        "s": message.sequence or 0,
        "m": message.message_id,
        "t": message.timestamp.timestamp(),
    }
    return Entry(item_of(namespace, message.conversation_id, message.message_id), values, labels)


def where_of(namespace: str, query: SearchQuery) -> dict[str, Any] | None:
    """Return a query's filters as the index understands them.

    The last moment is included here, because two moments may be one number; `allows` is exact.
    """
    conditions: list[dict[str, Any]] = []
    for label, wanted in (("u", query.user_id), ("a", query.author_id)):
        if wanted is not None:
            conditions.append({label: digest(namespace, wanted)})
    if query.conversation_id is not None:
        conditions.append({"c": query.conversation_id})
    if query.since is not None:
        conditions.append({"t": {"$gte": query.since.timestamp()}})
    if query.until is not None:
        conditions.append({"t": {"$lte": query.until.timestamp()}})
    return {"$and": conditions} if len(conditions) > 1 else next(iter(conditions), None)


def allows(query: SearchQuery, message: Message) -> bool:
    """Say whether a query's filters let a message through."""
    return (
        query.user_id in (None, message.user_id)
        and query.conversation_id in (None, message.conversation_id)
        and query.author_id in (None, message.author_id)
        and (query.since is None or message.timestamp >= query.since)
        and (query.until is None or message.timestamp < query.until)
    )
