"""Searching without an index of words: the newest messages of a user or a conversation, looked at one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import BigInteger, select
from sqlalchemy.types import TypeEngine

from whisper_persistence.records import Message, SearchQuery, SearchResult
from whisper_persistence.unindexed_search import Candidate, search_unindexed
from whisper_persistence_drivers.sql import gathering
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.marks import read_marks
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.windows import load_messages, message_columns, readable_messages

#: So many messages are looked at, the newest: some 70 ms.
MOST: Final = 2_000
ANSWERED: Final = ("text by scan",)
#: What did not answer where there are more messages than are looked at.
MISSED: Final = ("text by index",)


def search_messages(session: Session, queries: Sequence[SearchQuery]) -> dict[SearchQuery, SearchResult]:
    """Return what each query finds among the newest messages of its user or conversation."""
    with session.flavour.one_state(session):
        return {query: _search(session, query) for query in queries}


def is_narrow(query: SearchQuery) -> bool:
    """Say whether a query names whose messages to look at."""
    return query.user_id is not None or query.conversation_id is not None


def _search(session: Session, query: SearchQuery) -> SearchResult:
    scope = {"user_id": query.user_id, "conversation_id": query.conversation_id}
    conditions = {name: value for name, value in scope.items() if value is not None}
    rows = session.each(_newest(session.flavour, tuple(conditions)), [{**conditions, "limit": MOST + 1}])[0]
    messages = readable_messages(session, rows[:MOST]) + gathering.read_named(session, query.among or ())
    seen = {_place(each): each for each in messages if all(getattr(each, k) == v for k, v in conditions.items())}
    cleared = read_marks(session, {message.conversation_id for message in messages})
    shown = [
        Candidate(message, sequence <= cleared.get(conversation_id, 0))
        for (conversation_id, sequence), message in sorted(seen.items())
        if not message.is_redacted()
    ]

    def importance(asked: Sequence[Message]) -> list[float | None]:
        return [worth.get("importance") for worth in gathering.read_importance(session, asked)]

    found = search_unindexed(query, shown, importance, lambda windows: load_messages(session, windows))
    return attrs.evolve(found, answered=ANSWERED, silent=MISSED if len(rows) > MOST else ())


def _place(message: Message) -> tuple[str, int]:
    return message.conversation_id, message.sequence or 0


@cache
def _newest(flavour: Flavour, conditions: Sequence[str]) -> Prepared:
    columns = flavour.tables.messages.c
    types: dict[str, TypeEngine[Any]] = {**dict.fromkeys(conditions, PlainText), "limit": BigInteger()}

    def build(given: Mapping[str, Any]) -> Any:
        wanted = (columns[name] == given[name] for name in conditions)
        newest = (flavour.moment(columns.record, "timestamp").desc(), columns.conversation_id, columns.sequence.desc())
        found = select(*message_columns(flavour)).where(mine(columns), *wanted)
        return found.order_by(*newest).limit(given["limit"])

    return flavour.each(build, **types)
