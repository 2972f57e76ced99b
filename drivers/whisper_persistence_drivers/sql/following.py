"""Followers and their pending work, and the revisions of users and conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import attrs
from sqlalchemy import BigInteger, bindparam, delete, select
from sqlalchemy.types import TypeEngine

from whisper_persistence.records import Follower, Pending, Revision, Thing
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.erasures import release
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.leasing import unfenced
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.transaction import Transaction


class _Statements(NamedTuple):
    find_kinds: Prepared
    add_follower: Prepared
    remove_follower: Prepared
    load_pending: Prepared
    clear_pending: Prepared
    load_revisions: Prepared
    load_revision: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    followers, outbox, revisions = tables.followers.c, tables.outbox.c, tables.revisions.c
    pending = select(outbox.kind, outbox.thing_id, outbox.item, outbox.revision).where(
        mine(outbox), outbox.follower == bindparam("follower")
    )
    # As the rows lie, thing by thing: the oldest of all would be found by sorting all there is, again for every page.
    in_order = pending.order_by(outbox.kind, outbox.thing_id, outbox.revision, outbox.item).limit(bindparam("limit"))

    def done(given: Mapping[str, Any]) -> Any:
        names = ("follower", "kind", "thing_id", "item")
        same = (outbox[name] == given[name] for name in names)
        return delete(tables.outbox).where(mine(outbox), *same, outbox.revision <= given["revision"])

    text: dict[str, TypeEngine[Any]] = dict.fromkeys(("follower", "kind", "thing_id", "item"), PlainText)
    standing = select(revisions.revision, revisions.epoch, revisions.sequence)
    own = (mine(followers), followers.name == bindparam("name"))
    forget = delete(tables.followers).where(*own)
    return _Statements(
        find_kinds=flavour.prepare(select(followers.kind).where(*own)),
        add_follower=flavour.add(tables.followers),
        remove_follower=flavour.prepare(forget),
        load_pending=flavour.prepare(in_order),
        clear_pending=flavour.each(done, **text, revision=BigInteger()),
        load_revisions=flavour.prepare(standing.add_columns(revisions.thing).where(flavour.among(revisions.thing))),
        load_revision=flavour.prepare(standing.where(revisions.thing == bindparam("thing"))),
    )


def register_follower(transaction: Transaction, follower: Follower) -> bool:
    """Make a follower known, or replace the kinds it is told about; say whether it is new.

    What was written before it became known is stored when this returns, and what is written afterwards it is told.
    """
    sql = _statements(transaction.flavour)
    kinds = sorted(set(follower.kinds))
    known = sorted(row[0] for row in transaction.rows(sql.find_kinds, name=follower.name))
    if known != kinds:
        transaction.flavour.settle_writers(transaction)
        transaction.run(sql.remove_follower, name=follower.name)
        transaction.insert(sql.add_follower, [(transaction.namespace, follower.name, kind) for kind in kinds])
    return not known


def load_pending(session: Session, follower: str, limit: int) -> tuple[Pending, ...]:
    """Return what a follower has not seen, the oldest revision of a thing first."""
    rows = session.rows(_statements(session.flavour).load_pending, follower=follower, limit=limit)
    return tuple(Pending(follower, *row) for row in rows)


def clear_pending(transaction: Transaction, pending: Sequence[Pending]) -> tuple[int, bool]:
    """Forget pending work up to the revision that each names, but for what names an older fence.

    Returns:
        How many were forgotten, and whether any was the last that named somebody erased.
    """
    clear = _statements(transaction.flavour).clear_pending
    theirs = unfenced(transaction, pending)
    cleared = transaction.run_each(clear, [attrs.asdict(work) for work in theirs])
    return cleared, release(transaction, theirs)


def load_revisions(session: Session, things: Sequence[Thing]) -> dict[Thing, Revision]:
    """Return the revisions of the things that were ever written."""
    keyed = {session.thing_key(thing.kind, thing.thing_id): thing for thing in things}
    sql = _statements(session.flavour)
    # A thing that was only held while somebody looked has a row, and was never written.
    if len(keyed) == 1:  # as a cache asks at each read
        alone = session.rows(sql.load_revision, thing=next(iter(keyed)))
        return {thing: Revision(*row) for thing in keyed.values() for row in alone if row[0]}
    rows = session.listed(sql.load_revisions, keyed)
    return {keyed[key]: Revision(*standing) for *standing, key in rows if standing[0]}
