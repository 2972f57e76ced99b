"""Leases: of several processes that are one follower, one alone works off what it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select

from whisper_persistence.records import Lease, Pending
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import mine
from whisper_persistence_drivers.sql.transaction import Transaction

_MICROS: Final = 1_000_000


class _Statements(NamedTuple):
    add: Prepared
    hold: Prepared
    put: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    leases = flavour.tables.leases.c
    standing = select(leases.holder, leases.fence, leases.until, leases.note, flavour.clock())
    own = (mine(leases), leases.follower == bindparam("follower"))
    return _Statements(
        add=flavour.add_missing(flavour.tables.leases),
        hold=flavour.prepare(standing.where(*own).with_for_update()),
        put=flavour.put(flavour.tables.leases),
    )


def lease_follower(transaction: Transaction, asked: Lease, now: int | None = None) -> Lease:
    """Take, renew or give back a follower's lease, and return it as it is then.

    Args:
        transaction: where to do it.
        asked: who asks, for how long.
        now: microseconds since 1970, in the place of the database's clock.
    """
    sql = _statements(transaction.flavour)
    transaction.insert(sql.add, [(transaction.namespace, asked.follower, "", 0, 0, "")])
    holder, fence, until, note, clock = transaction.rows(sql.hold, follower=asked.follower)[0]
    moment = clock if now is None else now
    lease = Lease(asked.follower, holder, fence, (until - moment) / _MICROS, note).answer(asked)
    until = moment + round(lease.seconds * _MICROS)
    transaction.insert(sql.put, [(transaction.namespace, asked.follower, lease.holder, lease.fence, until, lease.note)])
    return lease


def unfenced(transaction: Transaction, pending: Sequence[Pending]) -> list[Pending]:
    """Return that pending work which names no fence, or that of its follower's lease; the leases stay as they are."""
    fences: dict[str, int] = {}
    for follower in sorted({work.follower for work in pending if work.fence}):
        found = transaction.rows(_statements(transaction.flavour).hold, follower=follower)
        fences[follower] = found[0][1] if found else 0
    return [work for work in pending if not work.fence or work.fence == fences[work.follower]]
