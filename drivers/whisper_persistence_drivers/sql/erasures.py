"""Erases under way: which are begun, and which of them a follower has not seen yet.

A row is one of two things. With revision 0 it names a user whose erase was begun; the row goes when every tier has
reported. With a revision, its subject is the keyed hash of a user or conversation that lost records in that revision,
which followers still have pending work about: that work names the user, so the row waits until the last of it is
cleared, for what it leaves behind to be removed from the file as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import BigInteger, delete, func, literal_column, select
from sqlalchemy.types import TypeEngine

from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine, to_micros
from whisper_persistence_drivers.sql.standing import Counter
from whisper_persistence_drivers.sql.transaction import Transaction

if TYPE_CHECKING:
    from whisper_persistence.records import Pending
    from whisper_persistence.records.following import ThingKind

#: How long a follower may take to see an erase before it is forgotten, in microseconds: 30 days.
PATIENCE: Final = 30 * 24 * 3_600 * 1_000_000
#: What followers are told about conversations under; everything else is told about users.
_OF_CONVERSATIONS: Final = ("messages", "conversations", "amendments")


class _Statements(NamedTuple):
    note: Prepared
    settle: Prepared
    await_followers: Prepared
    find_waiting: Prepared
    find_pending: Prepared
    find_behind: Prepared
    remove: Prepared
    followers: Prepared
    forget: Prepared
    forget_pending: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    erasures, outbox, followers = tables.erasures.c, tables.outbox.c, tables.followers.c
    noted, own = erasures.revision == literal_column("0"), mine(erasures)
    waiting = select(erasures.subject, erasures.revision, erasures.noted_at).where(own, ~noted)

    def pending(given: Mapping[str, Any]) -> Any:
        same = (outbox[name] == given[name] for name in ("follower", "kind", "thing_id"))
        return select(outbox.item).where(mine(outbox), *same, outbox.revision <= given["revision"])

    text: dict[str, TypeEngine[Any]] = dict.fromkeys(("follower", "kind", "thing_id"), PlainText)
    things = (outbox.follower, outbox.kind, outbox.thing_id)
    return _Statements(
        note=flavour.add_missing(tables.erasures),
        settle=flavour.prepare(delete(tables.erasures).where(own, noted, flavour.among(erasures.subject))),
        await_followers=flavour.put(tables.erasures),
        find_waiting=flavour.prepare(waiting),
        find_pending=flavour.each(pending, **text, revision=BigInteger()),
        find_behind=flavour.prepare(select(*things, func.min(outbox.revision)).where(mine(outbox)).group_by(*things)),
        remove=flavour.prepare(delete(tables.erasures).where(own, ~noted, flavour.among(erasures.subject))),
        followers=flavour.prepare(select(followers.name, followers.kind).where(mine(followers))),
        forget=flavour.prepare(delete(tables.followers).where(mine(followers), flavour.among(followers.name))),
        forget_pending=flavour.prepare(delete(tables.outbox).where(mine(outbox), flavour.among(outbox.follower))),
    )


@cache
def _load(flavour: Flavour) -> Prepared:
    """Return the statement that every opening runs, compiled without the others."""
    erasures = flavour.tables.erasures.c
    begun = (mine(erasures), erasures.revision == literal_column("0"))
    return flavour.prepare(select(erasures.subject).where(*begun).order_by(erasures.subject))


def note_erasures(transaction: Transaction, user_ids: Sequence[str]) -> None:
    """Note that the erase of users begins."""
    now = _now()
    rows = [(transaction.namespace, user_id, now, 0) for user_id in sorted(set(user_ids))]
    transaction.insert(_statements(transaction.flavour).note, rows)


def load_erasures(session: Session) -> tuple[str, ...]:
    """Return the users whose erase was begun."""
    return tuple(row[0] for row in session.rows(_load(session.flavour)))


def settle_erasures(transaction: Transaction, user_ids: Sequence[str]) -> tuple[str, ...]:
    """Forget that the erase of users began; return the followers that have yet to see an erase."""
    sql = _statements(transaction.flavour)
    transaction.run_listed(sql.settle, user_ids)
    forget_late_followers(transaction)
    waiting = {subject: revision for subject, revision, _ in transaction.rows(sql.find_waiting)}
    return tuple(sorted(_behind(transaction, waiting)))


def await_followers(transaction: Transaction, counters: Mapping[ThingKind, Mapping[str, Counter]]) -> None:
    """Wait for the followers to see what users or conversations just lost."""
    sql = _statements(transaction.flavour)
    told = transaction.told_things()
    wanted = {kind for _, kind in transaction.rows(sql.followers) if kind in told} if told else set[str]()
    things: set[tuple[ThingKind, str]] = {(thing_kind(kind), thing_id) for kind in wanted for thing_id in told[kind]}
    now = _now()
    rows = [
        (transaction.namespace, transaction.thing_key(*thing), now, counters[thing[0]][thing[1]].revision)
        for thing in things
    ]
    transaction.insert(sql.await_followers, sorted(rows))


def release(transaction: Transaction, cleared: Iterable[Pending]) -> bool:
    """Stop waiting for those things of which the last pending work was just cleared; say whether there were any."""
    sql = _statements(transaction.flavour)
    waiting = {subject: revision for subject, revision, _ in transaction.rows(sql.find_waiting)}
    if not waiting:
        return False
    things: set[tuple[ThingKind, str]] = {(thing_kind(work.kind), work.thing_id) for work in cleared}
    keyed = {transaction.thing_key(*thing): thing for thing in things}
    seen = [key for key, thing in keyed.items() if key in waiting and not _pending(transaction, thing, waiting[key])]
    transaction.run_listed(sql.remove, seen)
    return bool(seen)


def misses_erasure(session: Session, follower: str) -> bool:
    """Say whether a follower has yet to see an erase; one short statement unless some follower has."""
    waiting = {subject: revision for subject, revision, _ in session.rows(_statements(session.flavour).find_waiting)}
    return follower in _behind(session, waiting)


def forget_late_followers(transaction: Transaction) -> bool:
    """Forget followers that have not seen an erase for `PATIENCE`; say whether there were any.

    One that registers again is told that it was not known, and begins anew.
    """
    sql = _statements(transaction.flavour)
    before = _now() - PATIENCE
    late = {subject: revision for subject, revision, since in transaction.rows(sql.find_waiting) if since < before}
    if not late:
        return False
    names = _behind(transaction, late)
    transaction.run_listed(sql.forget, names)
    transaction.run_listed(sql.forget_pending, names)
    transaction.run_listed(sql.remove, late)
    return True


def _behind(session: Session, waiting: Mapping[str, int]) -> set[str]:
    """Return the followers with pending work about what waits, which has the given revisions or older ones."""
    rows = session.rows(_statements(session.flavour).find_behind) if waiting else ()
    return {
        follower
        for follower, kind, thing_id, oldest in rows
        if oldest <= waiting.get(session.thing_key(thing_kind(kind), thing_id), -1)
    }


def thing_kind(kind: str) -> ThingKind:
    """Return what a kind of pending work is about."""
    return "conversation" if kind in _OF_CONVERSATIONS else "user"


def _pending(transaction: Transaction, thing: tuple[ThingKind, str], revision: int) -> bool:
    sql = _statements(transaction.flavour)
    kind, thing_id = thing
    sets = [
        {"follower": follower, "kind": told, "thing_id": thing_id, "revision": revision}
        for follower, told in transaction.rows(sql.followers)
        if thing_kind(told) == kind
    ]
    return any(transaction.each(sql.find_pending, sets))


def _now() -> int:
    return to_micros(datetime.now(UTC))
