"""Appending messages in one statement: counting, inserting and telling followers in one round trip.

It is `whisper_persistence_drivers.sql.messages.save_messages` for a batch whose users are known and whose messages are
new, which nearly every batch is. A constraint finds out when that is wrong; then nothing of the batch was stored.

The statement sees what was committed when it began, and may wait. So it holds the users' rows that it saw, and what it
adds names its user from the row held: who was erased meanwhile has none, even where somebody wrote of them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import CTE, BigInteger, ColumnElement, Text, bindparam, func, literal_column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from whisper_persistence.records import Message, Receipt
from whisper_persistence_drivers.postgres_arrays import EncodedTexts
from whisper_persistence_drivers.postgres_batches import (
    NAMESPACE,
    NO_ITEM,
    counted,
    finished,
    given,
    size_of,
    told,
    write,
)
from whisper_persistence_drivers.postgres_flavour import PostgresFlavour
from whisper_persistence_drivers.sql.checksums import encode_all_checked
from whisper_persistence_drivers.sql.flavour import Prepared
from whisper_persistence_drivers.sql.messages import other_author
from whisper_persistence_drivers.sql.session import Session

_COLUMNS: Final = ("conversation_id", "message_id", "user_id", "other_author", "record", "checksum")


def append_messages(session: Session, messages: Sequence[Message], seen: int | None = None) -> list[Receipt] | None:
    """Append messages in the order of the batch; all of them must be new, and their users known.

    Args:
        session: the connection, in no transaction.
        messages: what to append.
        seen: the newest erase of the namespace that the writer followed; ``None`` for whichever is the newest.

    Returns:
        A receipt for each, or ``None`` where there was a newer erase, and nothing was stored.
    """
    if not messages:
        return []
    conversation_ids = [message.conversation_id for message in messages]
    keys = {each: session.thing_key("conversation", each) for each in dict.fromkeys(conversation_ids)}
    things = [keys[conversation_id] for conversation_id in conversation_ids]
    texts, checksums = encode_all_checked(messages)
    columns: dict[str, list[Any]] = {
        "conversation_id": conversation_ids,
        "message_id": [message.message_id for message in messages],
        "user_id": [message.user_id for message in messages],
        "other_author": list(map(other_author, messages)),
        "record": EncodedTexts(texts),
        "checksum": checksums,
    }
    return write(session, _statement(session.flavour, size_of(things)), things, columns, seen, sequenced=True)


@cache
def _statement(flavour: PostgresFlavour, size: int) -> Prepared:
    text: TypeEngine[Any] = Text()
    found = counted(flavour, sequenced=True, size=size)
    number: TypeEngine[Any] = BigInteger()
    types = {"of": text, "later": number, **dict.fromkeys(_COLUMNS, text), "checksum": number}
    rows = given(types, "rows", size)
    held = _held(flavour, found, size)
    joined = rows.join(found, found.c.thing == rows.c.of).join(held, held.c.user_id == rows.c.user_id, isouter=True)
    place = found.c.sequence - rows.c.later
    found_here = {"user_id": held.c.user_id, "checksum": rows.c.checksum + place}
    values = (found_here.get(name, rows.c[name]) for name in _COLUMNS)
    wanted = select(NAMESPACE, place, *values).select_from(joined)
    columns = ["namespace", "sequence", *_COLUMNS]
    added = postgresql.insert(flavour.tables.messages).from_select(columns, wanted).cte("added")
    items: dict[str, ColumnElement[Any]] = {"messages": rows.c.message_id, "conversations": NO_ITEM}
    return finished(
        flavour,
        found,
        added,
        told(flavour, rows, found, rows.c.conversation_id, items, revision=found.c.revision - rows.c.later),
    )


def _held(flavour: PostgresFlavour, found: CTE, size: int) -> CTE:
    """Return the users of a batch whose rows still are those that were there, locked against an erase.

    Only once its conversations are counted, since an erase locks them in the same order.
    """
    profiles = flavour.tables.profiles.c
    bound = [bindparam(f"user_id_{n}", type_=Text()) for n in range(size)]
    theirs = profiles.user_id.in_(bound) if size else flavour.among(profiles.user_id, "user_id")
    counted_first = select(func.count()).select_from(found).scalar_subquery() > literal_column("0")
    own = select(profiles.user_id).where(profiles.namespace == NAMESPACE, theirs, counted_first)
    return own.with_for_update(read=True, key_share=True).cte("held")
