"""Finding what policies no longer keep, a page of users or conversations at a time, the oldest of each first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, cast

import attrs
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Table,
    and_,
    bindparam,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)

from whisper_persistence.records import Retention, fields
from whisper_persistence.records.following import ThingKind
from whisper_persistence.records.kinds import MOMENTS, RecordKind
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.removing import Found
from whisper_persistence_drivers.sql.session import Session, mine, to_text

#: How many users or conversations are looked at in one statement.
_THINGS: Final = 100


class Shape(NamedTuple):
    """What a policy asks for, apart from its values: each combination is a statement of its own."""

    aged: bool
    counted: bool
    chosen: bool
    kept: bool


@attrs.frozen
class Kind:
    """How records of one kind are found.

    Attributes:
        name: the kind.
        thing: what its records belong to.
        item: the column that names a record of it; ``None`` where there is one only.
        order: the column that orders them, ``moment`` for their time, ``None`` where there is one only.
    """

    name: RecordKind
    thing: ThingKind
    item: str | None
    order: str | None

    @property
    def owner(self) -> str:
        """The column of what the records belong to."""
        return f"{self.thing}_id"


KINDS: Final[Mapping[RecordKind, Kind]] = {
    "strategies": Kind("strategies", "user", None, None),
    "outcomes": Kind("outcomes", "user", "outcome_id", "sequence"),
    "statistics": Kind("statistics", "user", None, None),
    "scores": Kind("scores", "user", "memory_id", "sequence"),
    "patterns": Kind("patterns", "user", "pattern_id", "moment"),
    "preferences": Kind("preferences", "user", None, None),
    "messages": Kind("messages", "conversation", "message_id", "sequence"),
}


class Page(NamedTuple):
    """A range of users or conversations: those after one, up to another."""

    after: str
    last: str


def last_of_page(session: Session, kind: Kind, after: str) -> str | None:
    """Return the last user or conversation of the page that begins after one."""
    rows = session.rows(_things(session.flavour, kind), after=after, limit=_THINGS)
    return rows[-1][0] if rows else None


def count_expired(session: Session, kind: Kind, policies: Sequence[Retention], page: Page) -> int:
    """Return how many records of a page the policies let go."""
    statement = _expired(session.flavour, kind, tuple(map(_shape, policies)), counted=True)
    found: int = session.rows(statement, **_values(session, policies, page))[0][0]
    return found


def find_expired(session: Session, kind: Kind, policies: Sequence[Retention], page: Page, limit: int) -> list[Found]:
    """Return what expired, the oldest of each user or conversation first."""
    statement = _expired(session.flavour, kind, tuple(map(_shape, policies)), counted=False)
    return [tuple(row) for row in session.rows(statement, **_values(session, policies, page), limit=limit)]


def _shape(policy: Retention) -> Shape:
    aged, counted = policy.oldest() is not None, policy.max_per_thing is not None
    return Shape(aged, counted, bool(policy.user_ids), bool(policy.kept_users))


def _values(session: Session, policies: Sequence[Retention], page: Page) -> dict[str, Any]:
    values: dict[str, Any] = page._asdict()
    for place, policy in enumerate(policies):
        oldest = policy.oldest()
        values[f"oldest_{place}"] = None if oldest is None else to_text(fields.to_utc(oldest))
        values[f"most_{place}"] = policy.max_per_thing
        values[f"chosen_{place}"] = session.flavour.pack(policy.user_ids)
        values[f"kept_{place}"] = session.flavour.pack(policy.kept_users)
    return values


@cache
def _things(flavour: Flavour, kind: Kind) -> Prepared:
    owner = getattr(flavour.tables, kind.name).c[kind.owner]
    page = select(owner).where(mine(getattr(flavour.tables, kind.name).c), owner > bindparam("after"))
    return flavour.prepare(page.group_by(owner).order_by(owner).limit(bindparam("limit", type_=BigInteger())))


@cache
def _expired(flavour: Flavour, kind: Kind, shapes: tuple[Shape, ...], *, counted: bool) -> Prepared:
    found = _ranked(flavour, kind, placed=any(shape.counted for shape in shapes)).subquery("found")
    gone = or_(false(), *(_goes(flavour, found.c, place, shape) for place, shape in enumerate(shapes)))
    if counted:
        return flavour.prepare(select(func.count()).select_from(found).where(gone))
    listed = (
        select(found.c.thing, found.c.item, found.c.mark)
        .where(gone)
        .order_by(found.c.thing, found.c.mark, found.c.item)
    )
    return flavour.prepare(listed.limit(bindparam("limit", type_=BigInteger())))


def _ranked(flavour: Flavour, kind: Kind, *, placed: bool) -> Any:
    """Return the records of a page of users or conversations, with their place among all of the same one if need be."""
    table: Table = getattr(flavour.tables, kind.name)
    owner, nothing = table.c[kind.owner], cast("ColumnElement[Any]", literal_column("NULL"))
    moment: ColumnElement[Any] = flavour.moment(table.c.record, MOMENTS[kind.name])
    item: ColumnElement[Any] = literal_column("''") if kind.item is None else table.c[kind.item]
    mark: ColumnElement[Any] = table.c.sequence if kind.order == "sequence" else flavour.known(moment)
    place: ColumnElement[int] = literal_column("1", BigInteger())
    if placed and kind.order is not None:
        place = func.row_number().over(partition_by=owner, order_by=(mark.desc(), item.desc()))
    columns = (
        owner.label("thing"),
        item.label("item"),
        mark.label("mark"),
        moment.label("moment"),
        table.c.user_id.label("user_id"),
        (table.c.other_author if kind.name == "messages" else nothing).label("author_id"),
        place.label("place"),
    )
    bounds = (owner > bindparam("after"), owner <= bindparam("last"))
    whole = (table.c.stored_scores == literal_column("0"),) if kind.name == "statistics" else ()
    return select(*columns).where(mine(table.c), *bounds, *whole)


def _goes(flavour: Flavour, found: Any, place: int, shape: Shape) -> ColumnElement[bool]:
    """Return the condition that a policy lets a record go, as `Retention.drops` says it."""

    def of_users(name: str) -> ColumnElement[bool]:
        author = flavour.among(found.author_id, f"{name}_{place}")
        return or_(flavour.among(found.user_id, f"{name}_{place}"), and_(found.author_id.is_not(None), author))

    old = found.moment < bindparam(f"oldest_{place}") if shape.aged else false()
    many = found.place > bindparam(f"most_{place}", type_=BigInteger()) if shape.counted else false()
    return and_(
        or_(old, many),
        of_users("chosen") if shape.chosen else true(),
        ~of_users("kept") if shape.kept else true(),
    )
