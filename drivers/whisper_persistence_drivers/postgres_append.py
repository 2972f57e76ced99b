"""Appending messages in one statement: counting, inserting and telling followers in one round trip.

It is `whisper_persistence_drivers.sql.messages.save_messages` for a batch whose users are known and whose messages are
new, which nearly every batch is. A constraint finds out when that is wrong; then nothing of the batch was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, case, func, literal_column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from whisper_persistence.codec import encode
from whisper_persistence.records import Durability, Message, Receipt
from whisper_persistence_drivers.postgres_flavour import PostgresFlavour, given_rows
from whisper_persistence_drivers.sql.flavour import Prepared, erasures
from whisper_persistence_drivers.sql.messages import other_author
from whisper_persistence_drivers.sql.session import NEWEST, Session

_TOLD = ("messages", "conversations")


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
    keys: dict[str, str] = {}
    counts: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    for message in messages:
        thing = message.conversation_id
        key = keys.get(thing) or keys.setdefault(thing, session.thing_key("conversation", thing))
        counts[key] = counts.get(key, 0) + 1
        rows.append(
            (key, counts[key], thing, message.message_id, message.user_id, other_author(message), encode(message))
        )
    given = {"space": session.space_key(), "seen": NEWEST if seen is None else seen, **_values(counts, rows)}
    found = session.rows(_statement(session.flavour), **given)
    if not found:
        return None
    standing = {
        key: (revision - counts[key], epoch, sequence - counts[key], erased)
        for key, revision, epoch, sequence, erased in found
    }
    return [_receipt(*standing[row[0]], row[1]) for row in rows]


def _receipt(revision: int, epoch: int, sequence: int, erased: int, number: int) -> Receipt:
    return Receipt(Durability.DURABLE, revision + number, epoch, sequence + number, False, erased)


def _values(counts: dict[str, int], rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    ordered = sorted(counts)
    names = ("of", "number", "conversation_id", "message_id", "user_id", "other_author", "record")
    columns = (list(values) for values in zip(*rows, strict=True))
    return {"thing": ordered, "taken": [counts[key] for key in ordered], **dict(zip(names, columns, strict=True))}


@cache
def _statement(flavour: PostgresFlavour) -> Prepared:
    tables, namespace = flavour.tables, bindparam("namespace", type_=Text())
    revisions = tables.revisions
    text: TypeEngine[Any] = Text()
    number: TypeEngine[Any] = BigInteger()
    things = given_rows({"thing": text, "taken": number}, name="things")
    nothing: ColumnElement[int] = literal_column("0")
    columns = ("thing", "revision", "epoch", "sequence", "cleared")
    first = select(things.c.thing, things.c.taken, nothing, things.c.taken, nothing)
    followed = erasures(revisions) <= bindparam("seen", type_=number)
    first = first.where(followed).order_by(things.c.thing)
    insert = postgresql.insert(revisions).from_select(columns, first)
    raised = {name: revisions.c[name] + insert.excluded[name] for name in ("revision", "sequence")}
    counting = insert.on_conflict_do_update(index_elements=["thing"], set_=raised)
    counted = counting.returning(*(revisions.c[name] for name in columns[:4])).cte("counted")
    kinds = {"of": text, "number": number, **dict.fromkeys(("conversation_id", "message_id", "user_id"), text)}
    rows = given_rows({**kinds, "other_author": text, "record": text}, name="rows")
    joined = rows.join(counted, counted.c.thing == rows.c.of).join(things, things.c.thing == rows.c.of)
    place = counted.c.sequence - things.c.taken + rows.c.number
    kept = ("conversation_id", "message_id", "user_id", "other_author", "record")
    wanted = select(namespace, place, *(rows.c[name] for name in kept)).select_from(joined)
    added = postgresql.insert(tables.messages).from_select(["namespace", "sequence", *kept], wanted).cte("added")
    told = _telling(tables, namespace, rows, counted).cte("told")
    return flavour.prepare(select(*counted.c, erasures(revisions)).add_cte(added, told))


def _telling(tables: Any, namespace: Any, rows: Any, counted: Any) -> Any:
    """Return the statement that adds what was appended to the followers' pending work."""
    followers = tables.followers.c
    none: ColumnElement[str] = literal_column("''")
    item = case((followers.kind == literal_column("'messages'"), rows.c.message_id), else_=none)
    keys = (followers.name, followers.kind, rows.c.conversation_id, item)
    kinds: list[ColumnElement[str]] = [literal_column(f"'{kind}'") for kind in _TOLD]
    wanted = (followers.namespace == namespace) & followers.kind.in_(kinds)
    joined = rows.join(counted, counted.c.thing == rows.c.of).join(tables.followers, wanted)
    pending = select(namespace, *keys, func.max(counted.c.revision)).select_from(joined).group_by(*keys)
    columns = ["namespace", "follower", "kind", "thing_id", "item", "revision"]
    insert = postgresql.insert(tables.outbox).from_select(columns, pending)
    return insert.on_conflict_do_update(index_elements=columns[:5], set_={"revision": insert.excluded.revision})
