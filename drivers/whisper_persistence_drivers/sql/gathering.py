"""What a search reads besides the index: what is not in it yet, neighbours, clear marks, messages and their scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, exists, func, literal_column, select
from sqlalchemy.types import TypeEngine

from whisper_persistence.fusing import memory_of
from whisper_persistence.neighbours import RADIUS
from whisper_persistence.records import Message
from whisper_persistence.records.fields import from_units
from whisper_persistence_drivers.sql import indexing
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.following import load_pending
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.terms import FOLLOWER, Key, TermRow, term_row
from whisper_persistence_drivers.sql.text_index import Scope
from whisper_persistence_drivers.sql.windows import message_columns, readable_messages

#: Up to so many messages that are not indexed yet are asked for by name; more are looked for in the scope.
_SHORT: Final = 500
#: A turn's score depends on neighbours of its neighbours: their lengths.
_AROUND: Final = 2 * RADIUS


class _Statements(NamedTuple):
    named: Prepared
    placed: Prepared
    around: Prepared
    scores: Prepared
    term: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    messages, terms, scores = tables.messages.c, tables.terms.c, tables.scores.c
    columns = [terms[name] for name in TermRow._fields]
    record = select(*message_columns(flavour))

    def here(columns: Any, given: Mapping[str, Any], *names: str) -> tuple[ColumnElement[bool], ...]:
        return (mine(columns), *(columns[name] == given[name] for name in names))

    def around(given: Mapping[str, Any]) -> Any:
        span = terms.place.between(given["low"], given["high"])
        return select(*columns).where(*here(terms, given, "user_id", "conversation_id"), span)

    text: TypeEngine[Any] = PlainText
    number = BigInteger()
    key: dict[str, TypeEngine[Any]] = {"conversation_id": text, "sequence": number}
    return _Statements(
        named=flavour.each(
            lambda given: record.where(*here(messages, given, "conversation_id", "message_id")),
            conversation_id=text,
            message_id=text,
        ),
        placed=flavour.each(lambda given: record.where(*here(messages, given, *key)), **key),
        around=flavour.each(around, user_id=text, conversation_id=text, low=number, high=number),
        scores=flavour.each(
            lambda given: select(scores.score).where(*here(scores, given, "user_id", "memory_id")),
            user_id=text,
            memory_id=text,
        ),
        term=flavour.each(lambda given: select(*columns).where(*here(terms, given, *key)), **key),
    )


class _Scoped(NamedTuple):
    """Of one kind of scope: how many messages the index has, its rows of them, and those the outbox still holds."""

    counted: Prepared
    rows: Prepared
    tail: Prepared


@cache
def _scoped(flavour: Flavour, conditions: Sequence[str]) -> _Scoped:
    messages, terms = flavour.tables.messages.c, flavour.tables.terms.c
    types: dict[str, TypeEngine[Any]] = {**dict.fromkeys(conditions, PlainText), "limit": BigInteger()}
    one: ColumnElement[int] = literal_column("1")

    def limited(found: Any, columns: Any, given: Mapping[str, Any]) -> Any:
        wanted = (columns[name] == given[name] for name in conditions)
        return found.where(mine(columns), *wanted).limit(given["limit"])

    def count(given: Mapping[str, Any]) -> Any:
        return select(func.count()).select_from(limited(select(one), terms, given).subquery())

    def rows(given: Mapping[str, Any]) -> Any:
        return limited(select(*(terms[name] for name in TermRow._fields)), terms, given)

    def tail(given: Mapping[str, Any]) -> Any:
        return limited(select(*message_columns(flavour)).where(_told(flavour)), messages, given)

    return _Scoped(*(flavour.each(build, **types) for build in (count, rows, tail)))


def _told(flavour: Flavour) -> ColumnElement[bool]:
    messages, outbox = flavour.tables.messages.c, flavour.tables.outbox.c
    own = (
        mine(outbox),
        outbox.follower == literal_column(f"'{FOLLOWER}'"),
        outbox.kind == literal_column("'messages'"),
    )
    return exists().where(*own, outbox.thing_id == messages.conversation_id, outbox.item == messages.message_id)


def read_tail(session: Session, scope: Scope) -> list[TermRow]:
    """Return the messages of a scope that the index has not seen, placed as it will place them."""
    pending = load_pending(session, FOLLOWER, _SHORT + 1)
    if not pending:
        return []
    if len(pending) <= _SHORT:
        messages = read_named(session, [(work.thing_id, work.item) for work in pending])
    else:
        named = scope.named()
        statement = _scoped(session.flavour, tuple(named)).tail
        messages = readable_messages(session, session.each(statement, [{**named, "limit": 1 << 40}])[0])
    rows = [term_row(session, message, message.sequence or 0) for message in messages if not message.is_redacted()]
    wanted = sorted(filter(scope.shows, rows), key=lambda row: (row.conversation_id, row.sequence))
    return indexing.place(session, wanted)


def read_named(session: Session, keys: Iterable[tuple[str, str]]) -> list[Message]:
    """Return messages by conversation and message id, as far as they are there."""
    sets = [{"conversation_id": conversation_id, "message_id": message_id} for conversation_id, message_id in keys]
    return readable_messages(
        session, [row for rows in session.each(_statements(session.flavour).named, sets) for row in rows]
    )


def count_terms(session: Session, scope: Scope, limit: int) -> int:
    """Return how many messages of a scope the index has, counting no further than a limit."""
    named = scope.named()
    statement = _scoped(session.flavour, tuple(named)).counted
    found: int = session.each(statement, [{**named, "limit": limit}])[0][0][0]
    return found


def read_terms(session: Session, scope: Scope, limit: int) -> list[TermRow]:
    """Return the messages of a scope that the index has, at most so many."""
    named = scope.named()
    rows = session.each(_scoped(session.flavour, tuple(named)).rows, [{**named, "limit": limit}])[0]
    return [TermRow(*row) for row in rows]


def find_named(session: Session, keys: Sequence[tuple[str, str]], tail: Sequence[TermRow]) -> list[TermRow]:
    """Return the messages of these conversation and message ids, as far as they are there and have words."""
    late = {row.key(): row for row in tail}
    places = [(message.conversation_id, message.sequence or 0) for message in read_named(session, dict.fromkeys(keys))]
    asked = [key for key in places if key not in late]
    sets = [{"conversation_id": conversation_id, "sequence": sequence} for conversation_id, sequence in asked]
    found = [TermRow(*row) for rows in session.each(_statements(session.flavour).term, sets) for row in rows]
    return [*found, *(late[key] for key in places if key in late)]


def gather_neighbours(session: Session, rows: Sequence[TermRow], tail: Sequence[TermRow]) -> list[TermRow]:
    """Return messages together with all that their neighbours' scores depend on, each once."""
    spans = _spans(rows)
    found = session.each(_statements(session.flavour).around, spans)
    late = {row.key(): row for row in (*tail, *rows)}
    near = {row.key(): row for each in found for row in map(TermRow._make, each)}
    return list({**near, **late}.values())


def _spans(rows: Iterable[TermRow]) -> list[dict[str, Any]]:
    """Return the stretches of places around messages, those that touch as one."""
    spans: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row.user_id, row.conversation_id, row.place)):
        low, high = row.place - _AROUND, row.place + _AROUND
        stream = {"user_id": row.user_id, "conversation_id": row.conversation_id}
        if spans and spans[-1].items() >= stream.items() and low <= spans[-1]["high"] + 1:
            spans[-1]["high"] = high
        else:
            spans.append({**stream, "low": low, "high": high})
    return spans


def read_all(session: Session, keys: Sequence[Key]) -> list[Message]:
    """Return messages by conversation and sequence, as far as they are there."""
    sets = [{"conversation_id": conversation_id, "sequence": sequence} for conversation_id, sequence in keys]
    return readable_messages(
        session, [row for rows in session.each(_statements(session.flavour).placed, sets) for row in rows]
    )


def read_importance(session: Session, messages: Sequence[Message]) -> list[dict[str, float]]:
    """Return the part ``importance`` of each message, where it was scored as a memory."""
    sets = [{"user_id": message.user_id, "memory_id": memory_of(message)} for message in messages]
    found = session.each(_statements(session.flavour).scores, sets)
    return [{"importance": from_units(rows[0][0])} if rows else {} for rows in found]
