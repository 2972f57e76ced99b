"""Removing what policies no longer keep: found page by page of users and conversations, removed in small transactions.

The oldest goes first, and the place of a record depends on newer ones only; so what one transaction removes changes
nothing about what the next one finds, and all together is what was found before the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import RECORD_KINDS, Retention, fields
from whisper_persistence.records.following import ThingKind
from whisper_persistence.records.maintenance import MOMENTS, RecordKind
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.removing import Found, remove
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine, to_text

#: How many users or conversations are looked at in one statement.
_THINGS: Final = 100
#: How many records are found in one statement, and removed in one transaction.
_FOUND: Final = 20_000
_REMOVED: Final = 500
#: How many policies of one kind a statement can hold.
_POLICIES: Final = 50

Ask = Callable[..., Any]


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


def expire(read: Ask, write: Ask, policies: Sequence[Retention], *, dry_run: bool) -> dict[str, int]:
    """Remove what the policies no longer keep, or only count it, and return how many records of each kind.

    Args:
        read: runs a function in a session of its own.
        write: runs a function in a transaction of its own.
        policies: what is kept.
        dry_run: whether only to count.
    """
    counts: dict[str, int] = {}
    for kind in RECORD_KINDS:
        ours = [p for p in policies if p.kind == kind and (p.oldest(), p.max_per_thing) != (None, None)]
        if len(ours) > _POLICIES:
            raise ValidationError("policies", f"has {len(ours)} for {kind}, more than {_POLICIES}: join those of users")
        if ours:
            counts[kind] = _Expiry(read, write, KINDS[kind], ours).run(dry_run=dry_run)
    return counts


@attrs.frozen
class _Expiry:
    """The policies of one kind, and how the database is asked."""

    read: Ask
    write: Ask
    kind: Kind
    policies: Sequence[Retention]

    def run(self, *, dry_run: bool) -> int:
        limits = [policy.limit for policy in self.policies if policy.limit is not None]
        limit, after, gone = min(limits, default=None), "", 0
        while limit is None or gone < limit:
            last = self.read(_last_of_page, self.kind, after)
            if last is None:
                break
            left = NEWEST if limit is None else limit - gone
            page = Page(after, last)
            gone += min(left, self.read(_count, self.kind, self.policies, page)) if dry_run else self.empty(page, left)
            after = last
        return gone

    def empty(self, page: Page, left: int) -> int:
        gone = 0
        while gone < left:
            wanted = min(_FOUND, left - gone)
            found = self.read(_find, self.kind, self.policies, page, wanted)
            parts = [found[n : n + _REMOVED] for n in range(0, len(found), _REMOVED)]
            removed = sum(self.write(remove, self.kind.name, self.kind.thing, part) for part in parts)
            gone += removed
            if len(found) < wanted or not removed:
                break
        return gone


def _last_of_page(session: Session, kind: Kind, after: str) -> str | None:
    """Return the last user or conversation of the page that begins after one."""
    rows = session.rows(_things(session.flavour, kind), after=after, limit=_THINGS)
    return rows[-1][0] if rows else None


def _count(session: Session, kind: Kind, policies: Sequence[Retention], page: Page) -> int:
    statement = _expired(session.flavour, kind, tuple(map(_shape, policies)), counted=True)
    found: int = session.rows(statement, **_values(session, policies, page))[0][0]
    return found


def _find(session: Session, kind: Kind, policies: Sequence[Retention], page: Page, limit: int) -> list[Found]:
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
    mark: ColumnElement[Any] = table.c.sequence if kind.order == "sequence" else moment
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
