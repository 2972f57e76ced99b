"""Removing what policies no longer keep: found page by page of users and conversations, removed in small transactions.

The oldest goes first, and the place of a record depends on newer ones only; so what one transaction removes changes
nothing about what the next one finds, and all together is what was found before the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import RECORD_KINDS, Retention
from whisper_persistence_drivers.sql.expired import KINDS, Kind, Page, count_expired, find_expired, last_of_page
from whisper_persistence_drivers.sql.removing import Found, remove
from whisper_persistence_drivers.sql.session import NEWEST
from whisper_persistence_drivers.sql.slack import note_slack
from whisper_persistence_drivers.sql.transaction import Transaction

#: How many records are found in one statement, and removed in one transaction.
_FOUND: Final = 20_000
_REMOVED: Final = 500
#: How many policies of one kind a statement can hold.
_POLICIES: Final = 50

Ask = Callable[..., Any]


def expire(read: Ask, write: Ask, policies: Sequence[Retention], *, dry_run: bool) -> dict[str, int]:
    """Remove what the policies no longer keep, or only count it, and return how many records of each kind.

    Args:
        read: runs a function in a session of its own.
        write: runs a function in a transaction of its own.
        policies: what is kept.
        dry_run: whether only to count.

    Raises:
        ValidationError: there are more policies of one kind than one statement takes.
    """
    counts: dict[str, int] = {}
    for kind in RECORD_KINDS:
        ours = [p for p in policies if p.kind == kind and (p.oldest(), p.max_per_thing) != (None, None)]
        if len(ours) > _POLICIES:
            raise ValidationError("policies", f"has {len(ours)} for {kind}, more than {_POLICIES}: join those of users")
        if ours:
            counts[kind] = _Expiry(read, write, KINDS[kind], ours).run(dry_run=dry_run)
    return counts


def is_cut_short(policies: Sequence[Retention], counts: Mapping[str, int]) -> bool:
    """Say whether as much of a kind went as may go in one call, so that there may be more."""
    return any(policy.limit is not None and counts.get(policy.kind, 0) >= policy.limit for policy in policies)


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
            last = self.read(last_of_page, self.kind, after)
            if last is None:
                break
            left = NEWEST if limit is None else limit - gone
            page = Page(after, last)
            gone += (
                min(left, self.read(count_expired, self.kind, self.policies, page))
                if dry_run
                else self.empty(page, left)
            )
            after = last
        return gone

    def empty(self, page: Page, left: int) -> int:
        gone = 0
        while gone < left:
            wanted = min(_FOUND, left - gone)
            found = self.read(find_expired, self.kind, self.policies, page, wanted)
            parts = [found[n : n + _REMOVED] for n in range(0, len(found), _REMOVED)]
            removed = sum(self.write(_remove, self.kind, part) for part in parts)
            gone += removed
            if len(found) < wanted or not removed:
                break
        return gone


def _remove(transaction: Transaction, kind: Kind, found: Sequence[Found]) -> int:
    note_slack(transaction)
    return remove(transaction, kind.name, kind.thing, found)
