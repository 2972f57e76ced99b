"""Walking through every record of a kind, in the order of its key."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
import msgspec
from sqlalchemy import BigInteger, Table, bindparam, select, tuple_

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import ValidationError
from whisper_persistence.records import Page, Pattern, Preferences, Statistics, Strategy
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.statistics import load_statistics, read_score
from whisper_persistence_drivers.sql.strategies import read_outcome
from whisper_persistence_drivers.sql.tables import Tables
from whisper_persistence_drivers.sql.windows import COLUMNS, read_message


@attrs.frozen(eq=False)
class _Kind:
    """How one kind is scanned: key columns after the namespace, other columns, and how a row becomes a record."""

    table: Callable[[Tables], Table]
    key: tuple[str, ...]
    columns: tuple[str, ...]
    read: Callable[..., Any]


def _read_by(record_type: type) -> Callable[..., Any]:
    decode = decoder(record_type)
    return lambda *row: decode(row[-1])


_KINDS = {
    "strategies": _Kind(lambda t: t.strategies, ("user_id",), ("record",), _read_by(Strategy)),
    "outcomes": _Kind(
        lambda t: t.outcomes,
        ("user_id", "sequence"),
        ("record",),
        lambda _, sequence, record: read_outcome(sequence, record),
    ),
    "statistics": _Kind(lambda t: t.statistics, ("user_id",), ("record",), _read_by(Statistics)),
    "scores": _Kind(
        lambda t: t.scores,
        ("user_id", "memory_id"),
        ("sequence", "record"),
        lambda _, __, sequence, record: read_score(sequence, record),
    ),
    "patterns": _Kind(lambda t: t.patterns, ("user_id", "pattern_id"), ("record",), _read_by(Pattern)),
    "preferences": _Kind(lambda t: t.preferences, ("user_id",), ("record",), _read_by(Preferences)),
    "messages": _Kind(
        lambda t: t.messages,
        ("conversation_id", "sequence"),
        COLUMNS,
        lambda conversation_id, _, *row: read_message(conversation_id, row),
    ),
}


@cache
def _statement(flavour: Flavour, kind: str, *, first: bool) -> Prepared:
    scanned = _KINDS[kind]
    columns = scanned.table(flavour.tables).c
    keys = [columns[name] for name in scanned.key]
    page = select(*keys, *(columns[name] for name in scanned.columns)).where(mine(columns))
    after = tuple_(*keys) > tuple_(*(bindparam(f"after_{name}", type_=columns[name].type) for name in scanned.key))
    wanted = page if first else page.where(after)
    return flavour.prepare(wanted.order_by(*keys).limit(bindparam("limit", type_=BigInteger())))


def knows(kind: str) -> bool:
    """Say whether records of this kind are kept here."""
    return kind in _KINDS


def scan(session: Session, kind: str, cursor: str | None, limit: int) -> Page:
    """Return one page of the records of a kind."""
    scanned = _KINDS[kind]
    after = {} if cursor is None else {f"after_{name}": part for name, part in _parts(scanned, cursor).items()}
    rows = session.rows(_statement(session.flavour, kind, first=cursor is None), limit=limit + 1, **after)
    records = tuple(scanned.read(*row) for row in rows[:limit])
    if kind == "statistics":
        loaded = load_statistics(session, [record.user_id for record in records])
        records = tuple(loaded[record.user_id] for record in records)
    more = len(rows) > limit
    return Page(records, encode(list(rows[limit - 1][: len(scanned.key)])) if more else None)


def _parts(scanned: _Kind, cursor: str) -> dict[str, Any]:
    try:
        parts = msgspec.json.decode(cursor, type=list[str | int])
        return dict(zip(scanned.key, parts, strict=True))
    except (msgspec.MsgspecError, ValueError):
        raise ValidationError("cursor", "is not one that this store gave: start again without one") from None
