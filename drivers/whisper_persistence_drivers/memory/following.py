"""Followers: what each has not seen, and the revisions it compares with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest

import attrs

from whisper_persistence.records import Follower, Lease, Pending, Revision, Thing
from whisper_persistence_drivers.memory.state import Counted, State


def register_follower(state: State, follower: Follower) -> bool:
    """Make a follower known, or replace its kinds."""
    new = follower.name not in state.followers
    state.followers[follower.name] = follower
    state.pending.setdefault(follower.name, {})
    return new


def load_pending(state: State, follower: str, limit: int) -> tuple[Pending, ...]:
    """Return a follower's pending work, the oldest revision first."""
    rows = (
        Pending(follower, kind, thing_id, item, revision)
        for (kind, thing_id, item), revision in state.pending.get(follower, {}).items()
    )
    return tuple(nsmallest(limit, rows, key=lambda row: (row.revision, row.kind, row.thing_id, row.item)))


def clear_pending(state: State, pending: Sequence[Pending]) -> int:
    """Forget pending work up to the revisions named, unless under an older fence; return how many rows went."""
    return sum(_clear(state, seen) for seen in pending)


def _clear(state: State, seen: Pending) -> bool:
    lease, _ = state.leases.get(seen.follower, (Lease(seen.follower), 0.0))
    if seen.fence not in (0, lease.fence):
        return False
    rows = state.pending.get(seen.follower, {})
    key = (seen.kind, seen.thing_id, seen.item)
    stored = rows.get(key)
    if stored is None or stored > seen.revision:
        return False
    del rows[key]
    return True


def lease_follower(state: State, asked: Lease) -> Lease:
    """Take, renew or give back a follower's lease."""
    now = state.clock()
    standing, since = state.leases.get(asked.follower, (Lease(asked.follower), now))
    lease = attrs.evolve(standing, seconds=standing.seconds - (now - since)).answer(asked)
    state.leases[asked.follower] = lease, now
    return lease


def load_revisions(state: State, things: Sequence[Thing]) -> Mapping[Thing, Revision]:
    """Return the revisions of what was ever written."""
    kept: dict[str, Mapping[str, Counted]] = {"user": state.users, "conversation": state.conversations}
    found = {thing: kept[thing.kind].get(thing.thing_id) for thing in things}
    return {thing: Revision(one.revision, one.epoch, one.sequence) for thing, one in found.items() if one}
