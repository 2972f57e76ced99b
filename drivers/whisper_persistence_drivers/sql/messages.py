"""Appending messages, and changing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import attrs
from sqlalchemy import BigInteger, Text, Update, bindparam, select

from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Receipt,
)
from whisper_persistence_drivers.sql.chaining import Event
from whisper_persistence_drivers.sql.checksums import encode_checked
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.indexing import forget_terms
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.transaction import Step, Transaction
from whisper_persistence_drivers.sql.vectors import forget_vectors
from whisper_persistence_drivers.sql.windows import message_columns, read_messages


@attrs.frozen(eq=False)
class _Statements:
    add: Prepared
    find: Prepared
    read: Prepared
    edit: Prepared
    clear: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    messages = tables.messages.c
    ours = (mine(messages), messages.conversation_id == bindparam("conversation_id"))

    def same(given: Mapping[str, Any]) -> Any:
        there = (messages.conversation_id == given["conversation_id"], messages.message_id == given["message_id"])
        return select(messages.sequence).where(mine(messages), *there)

    one = (*ours, messages.message_id == bindparam("message_id"))
    return _Statements(
        add=flavour.add(tables.messages),
        find=flavour.each(same, conversation_id=PlainText, message_id=PlainText),
        read=flavour.prepare(select(*message_columns(flavour)).where(*one)),
        edit=flavour.prepare(_edit(flavour)),
        clear=flavour.prepare(_clear(flavour)),
    )


def _edit(flavour: Flavour) -> Update:
    table = flavour.tables.messages
    here = (table.c.conversation_id == bindparam("conversation"), table.c.sequence == bindparam("at"))
    new = {"record": bindparam("new_record", type_=Text()), "checksum": bindparam("new_checksum", type_=BigInteger())}
    return table.update().where(mine(table.c), *here).values(new)


def _clear(flavour: Flavour) -> Update:
    table = flavour.tables.revisions
    mark = bindparam("mark", type_=BigInteger())
    return table.update().where(table.c.thing == bindparam("key")).values(cleared=mark)


def save_messages(transaction: Transaction, messages: Sequence[Message]) -> list[Receipt]:
    """Append messages in the order of the batch; those that are stored already stay as they are."""
    transaction.hold("conversation", [message.conversation_id for message in messages])
    stored = _stored(transaction, messages) if transaction.careful else {}
    new: dict[tuple[str, str], Message] = {}
    flags: list[bool] = []
    for message in messages:
        key = (message.conversation_id, message.message_id)
        flags.append(key not in stored and key not in new)
        new.setdefault(key, message)
    transaction.ensure_users({message.user_id for message in messages})
    items = [(message.conversation_id, int(flag), int(flag)) for message, flag in zip(messages, flags, strict=True)]
    steps = transaction.advance("conversation", items)
    rows: list[tuple[Any, ...]] = []
    for message, flag, step in zip(messages, flags, steps, strict=True):
        if flag:
            stored[message.conversation_id, message.message_id] = step.sequence
            rows.append(_row(transaction.namespace, message, step.sequence))
            transaction.tell("messages", message.conversation_id, message.message_id, step.revision)
            transaction.tell("conversations", message.conversation_id, "", step.revision)
    transaction.insert(_statements(transaction.flavour).add, rows)
    if transaction.links is not None:
        for row in rows:
            transaction.links.note(row[1], Event("add", row[2], row[3:-1]))
    sequences = (stored[message.conversation_id, message.message_id] for message in messages)
    return [step.receipt(sequence, not flag) for step, sequence, flag in zip(steps, sequences, flags, strict=True)]


def _stored(session: Session, messages: Sequence[Message]) -> dict[tuple[str, str], int]:
    """Return the sequences of those messages that are stored already."""
    keys = [(message.conversation_id, message.message_id) for message in messages]
    sets = [{"conversation_id": conversation_id, "message_id": message_id} for conversation_id, message_id in keys]
    found = session.each(_statements(session.flavour).find, sets)
    return {key: rows[0][0] for key, rows in zip(keys, found, strict=True) if rows}


def other_author(message: Message) -> str | None:
    """Return a message's author where that is a person whom it does not concern, and who may ask to be forgotten."""
    return message.author_id if message.role == "user" and message.author_id != message.user_id else None


def _row(namespace: str, message: Message, sequence: int) -> tuple[Any, ...]:
    key = (namespace, message.conversation_id, sequence, message.message_id, message.user_id)
    return (*key, other_author(message), *encode_checked(message, sequence))


def update_messages(transaction: Transaction, changes: Sequence[MessageChange]) -> list[Receipt]:
    """Edit, redact or clear, one after the other."""
    transaction.careful = True
    transaction.hold("conversation", [change.conversation_id for change in changes])
    return [_change(transaction, change) for change in changes]


def _change(transaction: Transaction, change: MessageChange) -> Receipt:
    if isinstance(change, ClearMark):
        flag = transaction.fresh([change])[0]
        step = transaction.advance("conversation", [(change.conversation_id, int(flag), 0)])[0]
        return step.receipt(_put_mark(transaction, change, step) if flag else step.cleared)
    message = _read(transaction, change)
    flag = message is not None and transaction.fresh([change])[0]
    step = transaction.advance("conversation", [(change.conversation_id, int(flag), 0)])[0]
    if message is not None and flag:
        _put_edit(transaction, change.apply_to(message))
        transaction.tell("messages", change.conversation_id, change.message_id, step.revision)
        transaction.tell_of_amendment(change.conversation_id, step.revision)
    return step.receipt(message.sequence if message else None)


def _read(session: Session, change: MessageEdit | MessageRedaction) -> Message | None:
    read = _statements(session.flavour).read
    rows = session.rows(read, conversation_id=change.conversation_id, message_id=change.message_id)
    return read_messages(rows)[0] if rows else None


def _put_edit(transaction: Transaction, message: Message) -> None:
    edit = _statements(transaction.flavour).edit
    row = _row(transaction.namespace, message, message.sequence or 0)
    here = {"conversation": message.conversation_id, "at": message.sequence}
    transaction.run(edit, **here, new_record=row[-2], new_checksum=row[-1])
    if transaction.links is not None:
        transaction.links.note(message.conversation_id, Event("edit", row[2], row[3:-1]))
    forget_vectors(transaction, message)
    forget_terms(transaction, message)


def _put_mark(transaction: Transaction, change: ClearMark, step: Step) -> int:
    mark = change.apply_to(step.cleared, step.sequence - 1)
    key = transaction.thing_key("conversation", change.conversation_id)
    transaction.run(_statements(transaction.flavour).clear, key=key, mark=mark)
    if transaction.links is not None:
        transaction.links.note(change.conversation_id, Event("clear", mark))
    transaction.tell_of_amendment(change.conversation_id, step.revision)
    return mark
