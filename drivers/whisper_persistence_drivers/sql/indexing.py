"""Writing into the text index: what the outbox tells, in one transaction with telling the outbox that it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, bindparam, delete, func, insert, literal, literal_column, select
from sqlalchemy.types import TypeEngine

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.neighbours import next_place
from whisper_persistence.records import Follower, Message, Pending
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.following import clear_pending, load_pending, register_follower
from whisper_persistence_drivers.sql.session import Session, from_micros, mine
from whisper_persistence_drivers.sql.terms import FOLLOWER, TermRow, term_row
from whisper_persistence_drivers.sql.text_index import TextIndex
from whisper_persistence_drivers.sql.transaction import Transaction
from whisper_persistence_drivers.sql.windows import message_columns, read_messages


class Draft(NamedTuple):
    """What one pending message will be in the index.

    Attributes:
        pending: what the outbox told.
        row: the message's words, not yet placed; ``None`` where it is not there, is redacted or cannot be read.
    """

    pending: Pending
    row: TermRow | None


class _Statements(NamedTuple):
    find: Prepared
    forget: Prepared
    previous: Prepared
    standing: Prepared
    lag: Prepared
    forget_all: Prepared
    tell_all: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    messages, terms, outbox = tables.messages.c, tables.terms.c, tables.outbox.c
    followed = (mine(outbox), outbox.follower == literal_column(f"'{FOLLOWER}'"))

    def named(given: Mapping[str, Any]) -> Any:
        there = (messages.conversation_id == given["conversation_id"], messages.message_id == given["message_id"])
        return select(*message_columns(flavour)).where(mine(messages), *there)

    def placed(given: Mapping[str, Any]) -> Any:
        there = (terms.conversation_id == given["conversation_id"], terms.sequence == given["sequence"])
        return delete(tables.terms).where(mine(terms), *there)

    def previous(given: Mapping[str, Any]) -> Any:
        own = (terms.user_id == given["user_id"], terms.conversation_id == given["conversation_id"])
        before = select(terms.place, terms.written_at).where(mine(terms), *own, terms.sequence < given["sequence"])
        return before.order_by(terms.sequence.desc()).limit(literal_column("1"))

    def standing(given: Mapping[str, Any]) -> Any:
        here = (outbox.thing_id == given["thing_id"], outbox.item == given["item"])
        kind = outbox.kind == literal_column("'messages'")
        return select(outbox.revision).where(*followed, kind, *here)

    text: TypeEngine[Any] = PlainText
    number = BigInteger()
    one: ColumnElement[int] = literal_column("1")
    first = select(one).where(*followed).limit(bindparam("limit", type_=number)).subquery()
    return _Statements(
        find=flavour.each(named, conversation_id=text, message_id=text),
        forget=flavour.each(placed, conversation_id=text, sequence=number),
        previous=flavour.each(previous, user_id=text, conversation_id=text, sequence=number),
        standing=flavour.each(standing, thing_id=text, item=text),
        lag=flavour.prepare(select(func.count()).select_from(first)),
        forget_all=flavour.prepare(delete(tables.terms).where(mine(terms))),
        tell_all=flavour.prepare(_tell_all(flavour)),
    )


def _tell_all(flavour: Flavour) -> Any:
    messages = flavour.tables.messages.c
    kind: ColumnElement[str] = literal_column("'messages'")
    # In their order, since a turn's place is counted from that of the turn before; no revision is below its sequence.
    message = (messages.conversation_id, messages.message_id, messages.sequence)
    every = select(messages.namespace, literal(FOLLOWER), kind, *message).where(mine(messages))
    columns = ["namespace", "follower", "kind", "thing_id", "item", "revision"]
    return insert(flavour.tables.outbox).from_select(columns, every)


def follow(transaction: Transaction) -> bool:
    """Have the outbox tell of messages from now on, and of all that are stored; say whether that is news."""
    new = register_follower(transaction, Follower(FOLLOWER, ("messages",)))
    if new:
        _begin(transaction)
    return new


def begin_anew(transaction: Transaction) -> None:
    """Empty the index, and have every message indexed again."""
    transaction.flavour.settle_writers(transaction)
    clear = transaction.flavour.prepare(_forget_told(transaction.flavour))
    transaction.run(clear)
    _begin(transaction)


def _forget_told(flavour: Flavour) -> Any:
    outbox = flavour.tables.outbox.c
    return delete(flavour.tables.outbox).where(mine(outbox), outbox.follower == literal_column(f"'{FOLLOWER}'"))


def _begin(transaction: Transaction) -> None:
    sql = _statements(transaction.flavour)
    transaction.run(sql.forget_all)
    transaction.run(sql.tell_all)


def lag(session: Session, limit: int) -> int:
    """Return how many messages the index has not seen, counting no further than a limit."""
    found: int = session.rows(_statements(session.flavour).lag, limit=limit)[0][0]
    return found


def draft(session: Session, limit: int) -> list[Draft]:
    """Return what is to be indexed next, the oldest first; dividing text into words takes time, and holds no lock."""
    pending = load_pending(session, FOLLOWER, limit)
    sets = [{"conversation_id": work.thing_id, "message_id": work.item} for work in pending]
    found = session.each(_statements(session.flavour).find, sets)
    return [Draft(work, _row(session, rows)) for work, rows in zip(pending, found, strict=True)]


def _row(session: Session, rows: Sequence[Any]) -> TermRow | None:
    try:
        messages = read_messages(rows)
    except StorageDamagedError:
        return None
    return _indexed(session, messages[0]) if messages else None


def _indexed(session: Session, message: Message) -> TermRow | None:
    sequence = message.sequence
    return None if sequence is None or message.is_redacted() else term_row(session, message, sequence)


def apply(transaction: Transaction, index: TextIndex, drafts: Sequence[Draft]) -> tuple[int, bool]:
    """Put drafts into the index and clear them from the outbox, those apart that changed meanwhile.

    Returns:
        How many were done, 0 also where another process is at it; and whether the last that named somebody erased is
        among them.
    """
    if not drafts or not index.claim(transaction):
        return 0, False
    transaction.count("conversation", dict.fromkeys((each.pending.thing_id for each in drafts), (0, 0, 0)))
    sql = _statements(transaction.flavour)
    sets = [{"thing_id": each.pending.thing_id, "item": each.pending.item} for each in drafts]
    standing = transaction.each(sql.standing, sets)
    sure = [each for each, rows in zip(drafts, standing, strict=True) if rows and rows[0][0] == each.pending.revision]
    rows = sorted((each.row for each in sure if each.row), key=lambda row: (row.conversation_id, row.sequence))
    gone = [{"conversation_id": row.conversation_id, "sequence": row.sequence} for row in rows]
    transaction.run_each(sql.forget, gone)
    index.add(transaction, place(transaction, rows))
    return clear_pending(transaction, [each.pending for each in sure])


def place(session: Session, rows: Sequence[TermRow]) -> list[TermRow]:
    """Return rows, which come in the order of their conversations, with the places that they have there."""
    latest: dict[tuple[str, str], tuple[int, int]] = {}
    placed: list[TermRow] = []
    for row in rows:
        stream = (row.user_id, row.conversation_id)
        before = latest.get(stream) or _previous(session, row)
        where = 0 if before is None else next_place(before[0], from_micros(before[1]), from_micros(row.written_at))
        latest[stream] = (where, row.written_at)
        placed.append(row._replace(place=where))
    return placed


def _previous(session: Session, row: TermRow) -> tuple[int, int] | None:
    there = {"user_id": row.user_id, "conversation_id": row.conversation_id, "sequence": row.sequence}
    found = session.each(_statements(session.flavour).previous, [there])[0]
    return (found[0][0], found[0][1]) if found else None


def forget_terms(transaction: Transaction, message: Message) -> None:
    """Take a message whose words changed or are gone out of the index; the outbox tells of the new ones."""
    there = {"conversation_id": message.conversation_id, "sequence": message.sequence}
    transaction.run_each(_statements(transaction.flavour).forget, [there])
