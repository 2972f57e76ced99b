"""Reading messages through windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import BindParameter, Table, bindparam, func, literal_column, select

from whisper_persistence.codec import decode_object
from whisper_persistence.records import Message, Window
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, from_micros, mine

#: The columns of a message, in the order that `read_message` takes them.
COLUMNS: Final = (
    "user_id",
    "author_id",
    "content",
    "role",
    "message_id",
    "sent_at",
    "in_reply_to",
    "author_name",
    "edited_at",
    "extra",
    "sequence",
)


@attrs.frozen(eq=False)
class _Statements:
    newest: Prepared
    newest_of_user: Prepared
    following: Prepared
    following_of_user: Prepared
    question: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    table, revisions = flavour.tables.messages, flavour.tables.revisions.c
    messages = table.c
    mark = select(revisions.cleared).where(revisions.thing == bindparam("key")).scalar_subquery()
    shown = select(*message_columns(table)).where(
        mine(messages),
        messages.conversation_id == bindparam("conversation_id"),
        messages.sequence > func.coalesce(mark, literal_column("0")),
        messages.sequence < bindparam("before"),
    )
    of_user = messages.user_id == bindparam("user_id")
    after = messages.sequence > bindparam("after")
    limit: BindParameter[int] = bindparam("limit")
    newest = shown.order_by(messages.sequence.desc()).limit(limit)
    following = shown.where(after).order_by(messages.sequence).limit(limit)
    return _Statements(
        newest=flavour.prepare(newest),
        newest_of_user=flavour.prepare(newest.where(of_user)),
        following=flavour.prepare(following),
        following_of_user=flavour.prepare(following.where(of_user)),
        question=flavour.prepare(shown.where(messages.message_id == bindparam("message_id"))),
    )


def message_columns(table: Table) -> list[Any]:
    """Return the columns that `read_message` takes."""
    return [table.c[name] for name in COLUMNS]


def read_message(conversation_id: str, row: Sequence[Any]) -> Message:
    """Return a message from its row of `COLUMNS`."""
    user_id, author_id, content, role, message_id, sent, reply, name, edited, extra, sequence = row
    return Message(
        conversation_id,
        user_id,
        author_id,
        content,
        role,
        message_id,
        from_micros(sent),
        reply,
        name,
        None if edited is None else from_micros(edited),
        decode_object(extra) if extra else {},
        sequence,
    )


def load_messages(session: Session, windows: Sequence[Window]) -> dict[Window, tuple[Message, ...]]:
    """Return what each window shows, oldest first, leaving out windows that show nothing."""
    shown = ((window, _rows(session, window)) for window in windows)
    return {
        window: tuple([read_message(window.conversation_id, row) for row in rows]) for window, rows in shown if rows
    }


def _rows(session: Session, window: Window) -> list[Any]:
    sql = _statements(session.flavour)
    values = {
        "conversation_id": window.conversation_id,
        "key": session.thing_key("conversation", window.conversation_id),
        "before": NEWEST if window.before is None else window.before,
    }
    if window.user_id is not None:
        values["user_id"] = window.user_id
    if window.after is not None:
        statement = sql.following if window.user_id is None else sql.following_of_user
        return session.rows(statement, after=window.after, limit=window.limit, **values)
    statement = sql.newest if window.user_id is None else sql.newest_of_user
    rows = session.rows(statement, limit=window.limit + 1, **values)
    rows.reverse()
    return _with_question(session, window, values, rows)


def _with_question(session: Session, window: Window, values: dict[str, Any], rows: list[Any]) -> list[Any]:
    """Return the rows of a window that was read with one too many: that one stays only if the next one answers it."""
    if len(rows) <= window.limit:
        return rows
    spare, rows = rows[0], rows[1:]
    asked = rows[0][COLUMNS.index("in_reply_to")]
    if asked is None:
        return rows
    if asked == spare[COLUMNS.index("message_id")]:
        return [spare, *rows]
    earlier = {**values, "before": rows[0][-1], "message_id": asked}
    found = session.rows(_statements(session.flavour).question, **earlier)
    wanted = window.user_id
    return [row for row in found if wanted is None or row[0] == wanted] + rows
