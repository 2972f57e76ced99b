"""Appending messages, and changing them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cache
from itertools import compress
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, Update, bindparam, select

from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Receipt,
)
from whisper_persistence_drivers.sql import on_use
from whisper_persistence_drivers.sql.checksums import encode_all_checked
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.standing import Step
from whisper_persistence_drivers.sql.transaction import Transaction
from whisper_persistence_drivers.sql.windows import message_columns, read_messages

#: A message's conversation and its id.
_Key = tuple[str, str]


class _Statements(NamedTuple):
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
    conversation_ids = [message.conversation_id for message in messages]
    keys = [(message.conversation_id, message.message_id) for message in messages]
    transaction.hold("conversation", conversation_ids)
    stored = _stored(transaction, keys) if transaction.careful else {}
    flags = _are_new(keys, stored)
    transaction.ensure_users({message.user_id for message in messages})
    steps = transaction.advance("conversation", list(zip(conversation_ids, flags, flags, strict=True)))
    new = list(compress(zip(messages, steps, strict=True), flags))
    stored |= {(message.conversation_id, message.message_id): step.sequence for message, step in new}
    rows = _rows(transaction.namespace, [(message, step.sequence) for message, step in new])
    transaction.insert(_statements(transaction.flavour).add, rows)
    _note_new(transaction, new, rows)
    return [step.receipt(stored[key], not flag) for key, step, flag in zip(keys, steps, flags, strict=True)]


def _are_new(keys: Sequence[_Key], stored: Container[_Key]) -> list[bool]:
    """Say of each message whether it is stored neither yet nor by one before it in the batch."""
    first = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
    return [first[key] == place and key not in stored for place, key in enumerate(keys)]


def _note_new(transaction: Transaction, new: Sequence[tuple[Message, Step]], rows: Sequence[tuple[Any, ...]]) -> None:
    """Note new messages for followers and for the hash chains, where there are any."""
    if transaction.is_followed():
        for message, step in new:
            transaction.tell("messages", message.conversation_id, message.message_id, step.revision)
            transaction.tell("conversations", message.conversation_id, "", step.revision)
    if transaction.links is not None:
        for row in rows:
            transaction.links.note(row[1], on_use.chaining.Event("add", row[2], row[3:-1]))


def _stored(session: Session, keys: Sequence[_Key]) -> dict[_Key, int]:
    """Return the sequences of those messages that are stored already."""
    sets = [{"conversation_id": conversation_id, "message_id": message_id} for conversation_id, message_id in keys]
    found = session.each(_statements(session.flavour).find, sets)
    return {key: rows[0][0] for key, rows in zip(keys, found, strict=True) if rows}


def other_author(message: Message) -> str | None:
    """Return a message's author where that is a person whom it does not concern, and who may ask to be forgotten."""
    return message.author_id if message.role == "user" and message.author_id != message.user_id else None


def _rows(namespace: str, placed: Sequence[tuple[Message, int]]) -> list[tuple[Any, ...]]:
    """Return the rows of messages and their sequences."""
    records, checksums = encode_all_checked([message for message, _ in placed])
    return [
        (
            namespace,
            message.conversation_id,
            sequence,
            message.message_id,
            message.user_id,
            other_author(message),
            record.decode(),
            checksum + sequence,
        )
        for (message, sequence), record, checksum in zip(placed, records, checksums, strict=True)
    ]


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
    row = _rows(transaction.namespace, [(message, message.sequence or 0)])[0]
    here = {"conversation": message.conversation_id, "at": message.sequence}
    transaction.run(edit, **here, new_record=row[-2], new_checksum=row[-1])
    if transaction.links is not None:
        transaction.links.note(message.conversation_id, on_use.chaining.Event("edit", row[2], row[3:-1]))
    on_use.vectors.forget_vectors(transaction, message)
    on_use.indexing.forget_terms(transaction, message)


def _put_mark(transaction: Transaction, change: ClearMark, step: Step) -> int:
    mark = change.apply_to(step.cleared, step.sequence - 1)
    key = transaction.thing_key("conversation", change.conversation_id)
    transaction.run(_statements(transaction.flavour).clear, key=key, mark=mark)
    if transaction.links is not None:
        transaction.links.note(change.conversation_id, on_use.chaining.Event("clear", mark))
    transaction.tell_of_amendment(change.conversation_id, step.revision)
    return mark
