"""Putting whole records of users in one statement: counting, putting and telling followers in one round trip.

It is what the ``save_`` functions of `whisper_persistence_drivers.sql` do for users that are known. A constraint finds
out when one is not; then nothing of the batch was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import CTE, BigInteger, ColumnElement, FromClause, Table, Text, literal_column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from whisper_persistence.records import Pattern, Preferences, Receipt, Statistics, Strategy
from whisper_persistence.records.following import FollowedKind
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
from whisper_persistence_drivers.sql.checksums import encode_checked
from whisper_persistence_drivers.sql.flavour import Prepared, replacing
from whisper_persistence_drivers.sql.session import Session, to_micros

Record = Strategy | Statistics | Pattern | Preferences


@attrs.frozen
class _Kind:
    """How one kind of record is kept.

    Attributes:
        table: the name of its table in `Tables`, and of the kind.
        item: the field that tells a user's records apart, or ``""`` where each has one.
        noted: fields that are kept in the user's parent row too.
        kept: columns that a row which is there already keeps; of a new row they are 0.
    """

    table: FollowedKind
    item: str = ""
    noted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


_KINDS: Final[dict[type[Record], _Kind]] = {
    Strategy: _Kind("strategies", noted=("interventions", "successes", "effectiveness_sum")),
    Statistics: _Kind("statistics", kept=("stored_scores",)),
    Pattern: _Kind("patterns", item="pattern_id"),
    Preferences: _Kind("preferences"),
}

_NOTHING: Final[ColumnElement[int]] = literal_column("0")


def save_records(session: Session, records: Sequence[Record]) -> list[Receipt] | None:
    """Put whole records of one kind, of which of one key the last wins; their users must be known."""
    if not records:
        return []
    kind = _KINDS[type(records[0])]
    keys = {record.user_id: session.thing_key("user", record.user_id) for record in records}
    latest = {(record.user_id, getattr(record, kind.item, "")): record for record in records}
    ordered = [latest[key] for key in sorted(latest)]
    fields = ("user_id", *filter(None, [kind.item]), *kind.noted)
    columns = {name: [getattr(record, name) for record in ordered] for name in fields}
    columns["of"] = [keys[record.user_id] for record in ordered]
    columns["record"], columns["checksum"] = map(list, zip(*map(encode_checked, ordered), strict=True))
    columns["created_at"] = [to_micros(datetime.now(UTC))] * len(ordered)
    things = [keys[record.user_id] for record in records]
    size = size_of(columns["of"])
    return write(session, _statement(session.flavour, kind, size), things, columns, None, sequenced=False)


@cache
def _statement(flavour: PostgresFlavour, kind: _Kind, size: int) -> Prepared:
    found = counted(flavour, sequenced=False, size=size)
    text: TypeEngine[Any] = Text()
    names = filter(None, ["of", "user_id", kind.item, "record"])
    noted = ("created_at", *kind.noted) if kind.noted else ()
    numbers = dict.fromkeys(("checksum", *noted), BigInteger())
    rows = given({**dict.fromkeys(names, text), **numbers}, "rows", size)
    tables = flavour.tables
    parts = [_put(getattr(tables, kind.table), rows, found, kind.kept)]
    if kind.noted:
        parts.append(_put(tables.profiles, rows, found, ("created_at",)))
    item: ColumnElement[str] = rows.c[kind.item] if kind.item else NO_ITEM
    items: dict[str, ColumnElement[Any]] = {kind.table: item}
    return finished(
        flavour, found, *parts, told(flavour, rows, found, rows.c.user_id, items, revision=found.c.revision)
    )


def _put(table: Table, rows: FromClause, found: CTE, kept: tuple[str, ...]) -> CTE:
    """Return the part of a statement that inserts rows, or replaces those with the same key."""
    columns = {c.name: NAMESPACE if c.name == "namespace" else rows.c.get(c.name, _NOTHING) for c in table.columns}
    wanted = select(*columns.values()).select_from(rows.join(found, found.c.thing == rows.c.of))
    insert = postgresql.insert(table).from_select(list(columns), wanted)
    put: CTE = replacing(insert, table, kept).cte(f"put_{table.name}")
    return put
