"""What every statement that writes a whole batch at once begins and ends with: counting things, telling followers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Text,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    values,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from whisper_persistence.records import Durability, Receipt
from whisper_persistence_drivers.postgres_arrays import to_array, to_scalar
from whisper_persistence_drivers.postgres_flavour import PostgresFlavour, given_rows
from whisper_persistence_drivers.sql.flavour import Prepared, erasures
from whisper_persistence_drivers.sql.session import NEWEST, Session

#: A batch of so many rows is written by a statement of its own: a turn has two.
_FEW: Final = 2
#: The namespace that a statement writes in.
NAMESPACE: Final = bindparam("namespace", type_=Text())

#: The name of a record whose thing has only one of its kind.
NO_ITEM: Final[ColumnElement[str]] = literal_column("''")


def size_of(things: Sequence[str]) -> int:
    """Return how many rows a batch has if they are few and of one thing, which a statement of its own suits; else 0."""
    return len(things) if len(things) <= _FEW and len(set(things)) == 1 else 0


def given(types: Mapping[str, TypeEngine[Any]], name: str, size: int) -> FromClause:
    """Return a table of bound values: of so many rows, each value by itself, or of any number, as arrays.

    The server plans, and we write, a few values in two thirds of the time that arrays of them take.
    """
    if not size:
        return given_rows(types, name=name)
    columns: list[Column[Any]] = [column(column_name, kind) for column_name, kind in types.items()]  # type: ignore[misc]
    rows = [tuple(bindparam(f"{key}_{n}", type_=kind) for key, kind in types.items()) for n in range(size)]
    return values(*columns, name=name).data(rows)


def counted(flavour: PostgresFlavour, *, sequenced: bool, size: int) -> CTE:
    """Return the part of a statement that raises and locks the things of a batch, in the order of their keys.

    It finds none where the namespace has seen a newer erase than the writer followed.

    Args:
        flavour: where the tables are.
        sequenced: whether each item takes a sequence too.
        size: as `size_of` returns it.
    """
    revisions = flavour.tables.revisions
    things = given({"thing": Text(), "taken": BigInteger()}, "things", min(size, 1))
    nothing: ColumnElement[int] = literal_column("0")
    columns = ("thing", "revision", "epoch", "sequence", "cleared")
    sequences = things.c.taken if sequenced else nothing
    first = select(things.c.thing, things.c.taken, nothing, sequences, nothing)
    followed = erasures(revisions) <= bindparam("seen", type_=BigInteger())
    first = first.where(followed).order_by(things.c.thing)
    insert = postgresql.insert(revisions).from_select(columns, first)
    raised = {name: revisions.c[name] + insert.excluded[name] for name in ("revision", "sequence")}
    counting = insert.on_conflict_do_update(index_elements=["thing"], set_=raised)
    return counting.returning(*(revisions.c[name] for name in columns[:4])).cte("counted")


def told(
    flavour: PostgresFlavour,
    rows: FromClause,
    found: CTE,
    thing_id: Any,
    items: dict[str, ColumnElement[Any]],
    *,
    revision: ColumnElement[int],
) -> CTE:
    """Return the part of a statement that adds what was written to the followers' pending work.

    Args:
        flavour: where the tables are.
        rows: what was written; its column ``of`` is the key of the thing that a row belongs to.
        found: the things, as `counted` returns them.
        thing_id: the column of ``rows`` that says which user or conversation.
        items: the kinds of record that changed, and of each the column of ``rows`` that names the record in it.
        revision: that of a row.
    """
    tables = flavour.tables
    followers = tables.followers.c
    kinds: dict[str, ColumnElement[str]] = {kind: literal_column(f"'{kind}'") for kind in items}
    item = case(*((followers.kind == kinds[kind], name) for kind, name in items.items()))
    keys = (NAMESPACE, followers.name, followers.kind, thing_id, item)
    wanted = (followers.namespace == NAMESPACE) & followers.kind.in_(list(kinds.values()))
    joined = rows.join(found, found.c.thing == rows.c.of).join(tables.followers, wanted)
    pending = select(*keys, func.max(revision)).select_from(joined).group_by(*keys)
    columns = ["namespace", "follower", "kind", "thing_id", "item", "revision"]
    insert = postgresql.insert(tables.outbox).from_select(columns, pending)
    return insert.on_conflict_do_update(index_elements=columns[:5], set_={"revision": insert.excluded.revision}).cte(
        "told"
    )


def finished(flavour: PostgresFlavour, found: CTE, *parts: CTE) -> Prepared:
    """Return the statement of these parts, which answers where each thing stands."""
    return flavour.prepare(select(*found.c, erasures(flavour.tables.revisions)).add_cte(*parts))


def write(
    session: Session,
    statement: Prepared,
    things: Sequence[str],
    columns: Mapping[str, list[Any]],
    seen: int | None,
    *,
    sequenced: bool,
) -> list[Receipt] | None:
    """Run the statement of a batch, and return the receipt of each item.

    Args:
        session: where to run it.
        statement: as `finished` returns it.
        things: of each item, the key of the thing that it belongs to.
        columns: what else the rows consist of, by name.
        seen: the newest erase of the namespace that the writer followed; ``None`` for whichever is the newest.
        sequenced: whether each item takes a sequence.

    Returns:
        The receipts, or ``None`` where there was a newer erase, and nothing was stored.
    """
    counts: dict[str, int] = {}
    numbers: list[int] = []
    for key in things:
        counts[key] = counts.get(key, 0) + 1
        numbers.append(counts[key])
    later = [counts[key] - number for key, number in zip(things, numbers, strict=True)]
    ordered = sorted(counts)
    taken = [counts[key] for key in ordered]
    rows: dict[str, list[Any]] = {"thing": ordered, "taken": taken, "of": list(things), "later": later, **columns}
    bound = _bound(rows, size_of(rows["of"]))
    followed = NEWEST if seen is None else seen
    found = session.rows(statement, space=session.space_key(), seen=followed, **bound)
    if not found:
        return None
    before = {
        key: (revision - counts[key], epoch, sequence - counts[key] if sequenced else None, erased)
        for key, revision, epoch, sequence, erased in found
    }
    return [_receipt(*before[key], number) for key, number in zip(things, numbers, strict=True)]


def _bound(columns: Mapping[str, list[Any]], size: int) -> dict[str, Any]:
    if not size:
        return {name: to_array(column) for name, column in columns.items()}
    return {f"{name}_{n}": to_scalar(value) for name, column in columns.items() for n, value in enumerate(column)}


def _receipt(revision: int, epoch: int, sequence: int | None, erased: int, number: int) -> Receipt:
    place, repeated = (None, None) if sequence is None else (sequence + number, False)
    return Receipt(Durability.DURABLE, revision + number, epoch, place, repeated, erased)
