"""Reading messages through windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import BigInteger, ColumnElement, func, literal_column, select
from sqlalchemy.types import TypeEngine

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import Message, Window
from whisper_persistence_drivers.sql.checksums import checked_all
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.damage import Asked, read_all, read_more
from whisper_persistence_drivers.sql.flavour import Build, Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine

_read_messages = checked_all(Message, 0, 1, 2)
#: Sets the sequence of a message that nobody else has seen yet, as `set_sequence` does, at a quarter of its cost.
_set_sequence = cast("Callable[[Message, int], None]", vars(Message)["sequence"].__set__)


class _Statements(NamedTuple):
    newest: Prepared
    newest_of_user: Prepared
    following: Prepared
    following_of_user: Prepared
    named: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    messages, revisions = flavour.tables.messages.c, flavour.tables.revisions.c
    bounds: dict[str, TypeEngine[Any]] = {
        "conversation_id": PlainText,
        "key": PlainText,
        "after": BigInteger(),
        "before": BigInteger(),
    }

    def shown(given: Mapping[str, Any]) -> Any:
        cleared = select(revisions.cleared).where(revisions.thing == given["key"])
        mark = cleared.correlate_except(flavour.tables.revisions).scalar_subquery()
        return select(*message_columns(flavour)).where(
            mine(messages),
            messages.conversation_id == given["conversation_id"],
            flavour.above(messages.sequence, func.coalesce(mark, literal_column("0")), given["after"]),
            messages.sequence < given["before"],
        )

    def newest(given: Mapping[str, Any]) -> Any:
        return shown(given).order_by(messages.sequence.desc()).limit(given["limit"])

    def following(given: Mapping[str, Any]) -> Any:
        return shown(given).order_by(messages.sequence).limit(given["limit"])

    def of_user(build: Build) -> Build:
        return lambda given: build(given).where(messages.user_id == given["user_id"])

    def named(given: Mapping[str, Any]) -> Any:
        return shown(given).where(messages.message_id == given["message_id"])

    number = BigInteger()
    return _Statements(
        newest=flavour.each(newest, **bounds, limit=number),
        newest_of_user=flavour.each(of_user(newest), **bounds, limit=number, user_id=PlainText),
        following=flavour.each(following, **bounds, limit=number),
        following_of_user=flavour.each(of_user(following), **bounds, limit=number, user_id=PlainText),
        named=flavour.each(named, **bounds, message_id=PlainText),
    )


def load_messages(session: Session, windows: Sequence[Window]) -> dict[Window, tuple[Message, ...]]:
    """Return what each window shows, oldest first, leaving out windows that show nothing."""
    sql = _statements(session.flavour)
    asked: dict[Prepared, list[Window]] = {}
    for window in windows:
        asked.setdefault(_statement(sql, window), []).append(window)
    shown: dict[Window, tuple[Message, ...]] = {}
    for statement, group in asked.items():
        pages = session.each(statement, [_bounds(session, window) for window in group])
        for window, rows in zip(group, pages, strict=True):
            if rows:
                shown[window] = _show(session, window, _read(session, statement, window, rows))
    return {window: messages for window, messages in shown.items() if messages}


def _statement(sql: _Statements, window: Window) -> Prepared:
    if window.message_id is not None:
        return sql.named
    newest = window.after is None
    of_all, of_user = (sql.newest, sql.newest_of_user) if newest else (sql.following, sql.following_of_user)
    return of_all if window.user_id is None else of_user


def _bounds(session: Session, window: Window) -> dict[str, Any]:
    """Return the values of a window's statement; the newest messages are read with one too many."""
    return {
        "conversation_id": window.conversation_id,
        "key": session.thing_key("conversation", window.conversation_id),
        "after": 0 if window.after is None else window.after,
        "before": NEWEST if window.before is None else window.before,
        "limit": min(window.limit, NEWEST - 1) + (window.after is None),
        "user_id": window.user_id,
        "message_id": window.message_id,
    }


def message_columns(flavour: Flavour) -> tuple[ColumnElement[Any], ...]:
    """Return the columns of the rows that `read_messages` takes: record, checksum and sequence."""
    messages = flavour.tables.messages.c
    return (*flavour.checked(messages), messages.sequence)


def read_messages(rows: Sequence[Any]) -> list[Message]:
    """Return messages from rows of `message_columns`, all in one step."""
    messages = _read_messages(rows)
    for message, row in zip(messages, rows, strict=True):
        _set_sequence(message, row[2])
    return messages


def readable_messages(session: Session, rows: Sequence[Any]) -> list[Message]:
    """Return messages from rows of `message_columns`, without those that cannot be read."""
    return [message for _, message in read_all(session, "messages", rows, read_messages, named)]


def named(row: Any) -> tuple[Any, ...]:
    """Return what names a row that cannot be read, wherever it is met."""
    return row[2], row[0]


def read_message(row: Any) -> Message:
    """Return the message of one row of `message_columns`."""
    return read_messages([row])[0]


def _read(session: Session, statement: Prepared, window: Window, rows: Sequence[Any]) -> list[Message]:
    try:
        return read_messages(rows)
    except StorageDamagedError:
        bounds = _bounds(session, window)
        return read_more(session, Asked("messages", statement, bounds, named), rows, read_message)


def _show(session: Session, window: Window, messages: list[Message]) -> tuple[Message, ...]:
    if window.message_id is not None:
        return tuple(message for message in messages if window.user_id in (None, message.user_id))
    if window.after is not None:
        return tuple(messages)
    messages.reverse()
    return tuple(messages if len(messages) <= window.limit else _with_question(session, window, messages))


def _with_question(session: Session, window: Window, messages: list[Message]) -> list[Message]:
    """Return what a window shows that was read with one too many: that one stays only if the next one answers it."""
    spare = messages.pop(0)
    asked = messages[0].in_reply_to
    if asked is None:
        return messages
    if asked == spare.message_id:
        return [spare, *messages]
    bounds = {**_bounds(session, window), "before": messages[0].sequence, "message_id": asked}
    found = readable_messages(session, session.each(_statements(session.flavour).named, [bounds])[0])
    return [question for question in found if window.user_id in (None, question.user_id)] + messages
