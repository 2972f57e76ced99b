"""Reading messages through windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import attrs
from sqlalchemy import BindParameter, bindparam, func, literal_column, select

from whisper_persistence.codec import decoder
from whisper_persistence.records import Message, Window
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine, set_sequence

_read_all = decoder(list[Message])


@attrs.frozen(eq=False)
class _Statements:
    newest: Prepared
    newest_of_user: Prepared
    following: Prepared
    following_of_user: Prepared
    question: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    messages, revisions = flavour.tables.messages.c, flavour.tables.revisions.c
    mark = select(revisions.cleared).where(revisions.thing == bindparam("key")).scalar_subquery()
    shown = select(messages.record, messages.sequence).where(
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


def load_messages(session: Session, windows: Sequence[Window]) -> dict[Window, tuple[Message, ...]]:
    """Return what each window shows, oldest first, leaving out windows that show nothing."""
    shown = ((window, _show(session, window)) for window in windows)
    return {window: tuple(messages) for window, messages in shown if messages}


def read_messages(rows: Sequence[Any]) -> list[Message]:
    """Return messages from rows of record and sequence, all in one step."""
    messages = _read_all(f"[{','.join([row[0] for row in rows])}]")
    for message, row in zip(messages, rows, strict=True):
        set_sequence(message, row[1])
    return messages


def _show(session: Session, window: Window) -> list[Message]:
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
        return read_messages(session.rows(statement, after=window.after, limit=window.limit, **values))
    statement = sql.newest if window.user_id is None else sql.newest_of_user
    rows = session.rows(statement, limit=window.limit + 1, **values)
    rows.reverse()
    return _with_question(session, window, values, read_messages(rows))


def _with_question(session: Session, window: Window, values: dict[str, Any], messages: list[Message]) -> list[Message]:
    """Return what a window shows, which was read with one too many: that one stays only if the next one answers it."""
    if len(messages) <= window.limit:
        return messages
    spare = messages.pop(0)
    asked = messages[0].in_reply_to
    if asked is None:
        return messages
    if asked == spare.message_id:
        return [spare, *messages]
    earlier = {**values, "before": messages[0].sequence, "message_id": asked}
    found = read_messages(session.rows(_statements(session.flavour).question, **earlier))
    return [question for question in found if window.user_id in (None, question.user_id)] + messages
