"""Vectors: kept beside the messages whose words they are of, and gone with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, and_, bindparam, delete, select, tuple_
from sqlalchemy.types import TypeEngine

from whisper_persistence.codec import encode
from whisper_persistence.errors import ValidationError
from whisper_persistence.records import Embedding, Message, Page, Receipt, Vector, VectorQuery
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine
from whisper_persistence_drivers.sql.transaction import Transaction
from whisper_persistence_drivers.sql.windows import message_columns, readable_messages

_read_cursor = msgspec.json.Decoder(tuple[str, int])


class _Statements(NamedTuple):
    find: Prepared
    put: Prepared
    forget: Prepared
    load: Prepared
    load_of_user: Prepared
    load_named: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    messages, vectors = tables.messages.c, tables.vectors.c
    here = (vectors.conversation_id == bindparam("conversation"), vectors.sequence == bindparam("at"))

    def named(given: Mapping[str, Any]) -> Any:
        there = (messages.conversation_id == given["conversation_id"], messages.message_id == given["message_id"])
        return select(*message_columns(flavour)).where(mine(messages), *there)

    bounds: dict[str, TypeEngine[Any]] = {
        "model": PlainText,
        "conversation_id": PlainText,
        "after": BigInteger(),
        "limit": BigInteger(),
    }
    return _Statements(
        find=flavour.each(named, conversation_id=PlainText, message_id=PlainText),
        put=flavour.put(tables.vectors),
        forget=flavour.prepare(delete(tables.vectors).where(mine(vectors), *here)),
        load=flavour.each(lambda given: _page(flavour, vectors, given), **bounds),
        load_of_user=flavour.each(
            lambda given: _page(flavour, messages, given).where(messages.user_id == given["user_id"]),
            **bounds,
            user_id=PlainText,
        ),
        load_named=flavour.each(
            lambda given: _joined(flavour, messages, given).where(
                messages.conversation_id == given["conversation_id"], messages.message_id == given["message_id"]
            ),
            model=PlainText,
            conversation_id=PlainText,
            message_id=PlainText,
        ),
    )


def _page(flavour: Flavour, ordered: Any, given: Mapping[str, Any]) -> Any:
    """Return a page of vectors in the order of one table's key: that of the messages where a user's are looked for."""
    key = tuple_(ordered.conversation_id, ordered.sequence)
    return (
        _joined(flavour, ordered, given)
        .where(key > tuple_(given["conversation_id"], given["after"]))
        .order_by(ordered.conversation_id, ordered.sequence)
        .limit(given["limit"])
    )


def _joined(flavour: Flavour, ordered: Any, given: Mapping[str, Any]) -> Any:
    tables = flavour.tables
    messages, vectors = tables.messages.c, tables.vectors.c
    keys = ("namespace", "conversation_id", "sequence")
    joined = tables.messages.join(tables.vectors, and_(*(messages[name] == vectors[name] for name in keys)))
    shown = (messages.conversation_id, messages.sequence, messages.message_id, vectors.embedding, messages.user_id)
    return select(*shown).select_from(joined).where(mine(ordered), vectors.model == given["model"])


def save_vectors(transaction: Transaction, vectors: Sequence[Vector]) -> list[Receipt]:
    """Keep each vector of a message that is there and has these words, in place of the one of the same embedder.

    What a conversation says stays as it is, so that its revision does too.
    """
    steps = transaction.advance("conversation", [(vector.conversation_id, 0, 0) for vector in vectors])
    sets = [{"conversation_id": vector.conversation_id, "message_id": vector.message_id} for vector in vectors]
    found = [
        readable_messages(transaction, rows) for rows in transaction.each(_statements(transaction.flavour).find, sets)
    ]
    sequences = [_kept_at(vector, messages) for vector, messages in zip(vectors, found, strict=True)]
    rows: dict[tuple[Any, ...], bytes] = {}
    for vector, sequence in zip(vectors, sequences, strict=True):
        if sequence is not None:
            key = (transaction.namespace, vector.conversation_id, sequence, vector.embedding.model)
            rows[key] = vector.embedding.values
    put = _statements(transaction.flavour).put
    transaction.insert(put, [(*key, values) for key, values in sorted(rows.items())])
    return [step.receipt(sequence) for step, sequence in zip(steps, sequences, strict=True)]


def _kept_at(vector: Vector, messages: Sequence[Message]) -> int | None:
    """Return the sequence of the message whose words a vector is of, unless it has other ones by now."""
    if not messages or messages[0].is_redacted() or messages[0].edited_at != vector.edited_at:
        return None
    return messages[0].sequence


def forget_vectors(transaction: Transaction, message: Message) -> None:
    """Forget the vectors of a message whose words are other ones now, or gone."""
    forget = _statements(transaction.flavour).forget
    transaction.run(forget, conversation=message.conversation_id, at=message.sequence)


def load_vectors(session: Session, queries: Sequence[VectorQuery]) -> dict[VectorQuery, Page]:
    """Return a page of vectors for each query, in the order of conversation and sequence."""
    sql, found = _statements(session.flavour), dict[VectorQuery, Page]()
    for statement, of_users in ((sql.load, False), (sql.load_of_user, True)):
        asked = [query for query in queries if query.among is None and (query.user_id is not None) is of_users]
        pages = session.each(statement, [_bounds(query) for query in asked])
        found.update((query, _read(query, rows)) for query, rows in zip(asked, pages, strict=True))
    found.update((query, _load_named(session, query, query.among)) for query in queries if query.among is not None)
    return found


def _load_named(session: Session, query: VectorQuery, among: Sequence[tuple[str, str]]) -> Page:
    bounds = _bounds(query)
    after = (bounds["conversation_id"], bounds["after"])
    sets = [{"model": query.model, "conversation_id": talk, "message_id": item} for talk, item in dict.fromkeys(among)]
    pages = session.each(_statements(session.flavour).load_named, sets)
    rows = [row for page in pages for row in page if query.user_id in (None, row[4])]
    return _read(query, sorted((row for row in rows if (row[0], row[1]) > after), key=lambda row: (row[0], row[1])))


def _bounds(query: VectorQuery) -> dict[str, Any]:
    try:
        conversation_id, after = ("", 0) if query.cursor is None else _read_cursor.decode(query.cursor)
    except msgspec.MsgspecError:
        raise ValidationError("cursor", "is not one that this store gave: start again without one") from None
    limit = min(query.limit, NEWEST - 1) + 1
    bounds = {"model": query.model, "conversation_id": conversation_id, "after": min(after, NEWEST), "limit": limit}
    return bounds if query.user_id is None else {**bounds, "user_id": query.user_id}


def _read(query: VectorQuery, rows: Sequence[Any]) -> Page:
    shown = rows[: query.limit]
    vectors = tuple(Vector(talk, item, Embedding(query.model, bytes(values))) for talk, _, item, values, _ in shown)
    return Page(vectors, encode([shown[-1][0], shown[-1][1]]) if len(rows) > query.limit else None)
