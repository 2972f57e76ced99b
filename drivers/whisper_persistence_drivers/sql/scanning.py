"""Walking through every record of a kind, in the order of its key."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from typing import Annotated, Any

import attrs
import msgspec
from sqlalchemy import BigInteger, bindparam, select, tuple_

from whisper_persistence.codec import encode
from whisper_persistence.errors import ValidationError
from whisper_persistence.records import Page
from whisper_persistence_drivers.sql.damage import read_all
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.scanned import KINDS, Scanned
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine
from whisper_persistence_drivers.sql.statistics import load_statistics


@cache
def _statement(flavour: Flavour, kind: str, *, first: bool) -> Prepared:
    scanned = KINDS[kind]
    columns = getattr(flavour.tables, kind).c
    keys = [columns[name] for name in scanned.key]
    page = select(*(columns[name] for name in scanned.columns()), *flavour.checked(columns)).where(mine(columns))
    after = tuple_(*keys) > tuple_(*(bindparam(f"after_{name}", type_=columns[name].type) for name in scanned.key))
    wanted = page if first else page.where(after)
    return flavour.prepare(wanted.order_by(*keys).limit(bindparam("limit", type_=BigInteger())))


def knows(kind: str) -> bool:
    """Say whether records of this kind are kept here."""
    return kind in KINDS


def scan(session: Session, kind: str, cursor: str | None, limit: int) -> Page:
    """Return one page of the records of a kind."""
    scanned = KINDS[kind]
    after = {} if cursor is None else {f"after_{name}": part for name, part in _parts(scanned, cursor).items()}
    whole = kind == "statistics"  # their order stands in the scores
    with session.flavour.one_state(session) if whole else nullcontext():
        rows = session.rows(
            _statement(session.flavour, kind, first=cursor is None), limit=min(limit, NEWEST - 1) + 1, **after
        )
        page = _page(session, kind, rows, limit)
        if whole:
            loaded = load_statistics(session, [record.user_id for record in page.records])
            page = attrs.evolve(page, records=tuple(loaded[record.user_id] for record in page.records))
    return page


def _page(session: Session, kind: str, rows: Sequence[Any], limit: int) -> Page:
    """Return a page of a kind from one row more than it has, if there are as many."""
    scanned, shown = KINDS[kind], rows[:limit]
    keys = len(scanned.key)
    cursor = encode(list(rows[limit - 1][:keys])) if len(rows) > limit else None
    read = read_all(session, kind, shown, scanned.read, scanned.name)
    kept = {id(row) for row, _ in read} if len(read) < len(shown) else None
    damaged = [] if kept is None else [" ".join(map(str, row[:keys])) for row in shown if id(row) not in kept]
    return Page(tuple([record for _, record in read]), cursor, tuple(damaged))


@cache
def _of_user(flavour: Flavour, way: str, *, first: bool) -> Prepared:
    """Return the statement for one of the two ways a message is a user's; each has its index.

    The keys are found in the index alone: asked for records at once, SQLite walks through the messages of everybody.
    """
    messages, own = flavour.tables.messages.c, flavour.tables.messages.alias("own").c
    keys = [own.conversation_id, own.sequence]
    wanted = [mine(own), own[way] == bindparam("user", type_=own.user_id.type)]
    if not first:
        wanted.append(tuple_(*keys) > tuple_(*(bindparam(f"after_{key.name}", type_=key.type) for key in keys)))
    page = select(*keys).where(*wanted).order_by(*keys).limit(bindparam("limit", type_=BigInteger())).subquery().c
    same = (messages.conversation_id == page.conversation_id, messages.sequence == page.sequence)
    shown = (messages[name] for name in KINDS["messages"].columns())
    return flavour.prepare(select(*shown, *flavour.checked(messages)).where(mine(messages), *same))


def scan_messages(session: Session, user_id: str, cursor: str | None, limit: int) -> Page:
    """Return one page of the messages that concern a user or that they wrote."""
    after = {} if cursor is None else _parts(KINDS["messages"], cursor)
    values = {"user": user_id, "limit": min(limit, NEWEST - 1) + 1, **{f"after_{k}": v for k, v in after.items()}}
    with session.flavour.one_state(session):
        ways = (_of_user(session.flavour, way, first=cursor is None) for way in ("user_id", "other_author"))
        found = [session.rows(way, **values) for way in ways]
    rows = sorted(tuple(row) for way in found for row in way)
    return _page(session, "messages", rows, limit)


def _parts(scanned: Scanned, cursor: str) -> dict[str, Any]:
    kinds = [int if name == "sequence" else str for name in scanned.key]
    try:
        parts = msgspec.json.decode(cursor, type=list[str | Annotated[int, msgspec.Meta(le=NEWEST)]])
    except msgspec.MsgspecError:
        parts = []
    if [type(part) for part in parts] != kinds:
        raise ValidationError("cursor", "is not one that this store gave: start again without one")
    return dict(zip(scanned.key, parts, strict=True))
