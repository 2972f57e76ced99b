"""Walking through many rows in the order of a key, a bounded page at a time, for questions that SQL cannot answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

import attrs
from sqlalchemy import BigInteger, ColumnElement, bindparam, select, tuple_

from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine

#: How many rows are in memory at once.
PAGE: Final = 5_000


@attrs.frozen
class Walk:
    """Which rows to walk through.

    Attributes:
        table: the name of the table in `Tables`.
        key: the columns of a unique key after the namespace; the first is the user's.
        columns: what to read of each row besides its key.
    """

    table: str
    key: tuple[str, ...]
    columns: Callable[[Flavour, Any], Sequence[ColumnElement[Any]]]


def walk(
    session: Session, rows: Walk, user_ids: Sequence[str], after: str = "", page: int = PAGE
) -> Iterator[list[Any]]:
    """Yield pages of rows, each beginning with its key, in the order of the key.

    Args:
        session: where to read; several pages are of one state only inside `Flavour.one_state`.
        rows: which rows.
        user_ids: only of these users; empty for all.
        after: only of users whose id follows this one.
        page: how many rows a page has.
    """
    values: dict[str, Any] = {"limit": page, "floor": after}
    if user_ids:
        values["listed"] = session.flavour.pack(sorted(set(user_ids)))
    found: list[Any] = []
    first = True
    while first or len(found) == page:
        statement = _page(session.flavour, rows, listed=bool(user_ids), first=first)
        reached = {} if first else {f"after_{name}": part for name, part in zip(rows.key, found[-1], strict=False)}
        found = session.rows(statement, **values, **reached)
        first = False
        yield found


@cache
def _page(flavour: Flavour, rows: Walk, *, listed: bool, first: bool) -> Prepared:
    columns = getattr(flavour.tables, rows.table).c
    keys = [columns[name] for name in rows.key]
    wanted = [mine(columns), columns.user_id > bindparam("floor", type_=columns.user_id.type)]
    if listed:
        wanted.append(flavour.among(columns.user_id))
    if not first:
        reached = (bindparam(f"after_{name}", type_=columns[name].type) for name in rows.key)
        wanted.append(tuple_(*keys) > tuple_(*reached))
    page = select(*keys, *rows.columns(flavour, columns)).where(*wanted).order_by(*keys)
    return flavour.prepare(page.limit(bindparam("limit", type_=BigInteger())))
