"""The hooks of the SQL drivers that forget users, and finish what was begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from whisper_persistence import records as rec
from whisper_persistence.hookspecs import ErasureSpecs, hookimpl
from whisper_persistence_drivers.sql import erasures as sql_erasures
from whisper_persistence_drivers.sql import on_use
from whisper_persistence_drivers.sql.database import Scrubbed
from whisper_persistence_drivers.sql.lifecycle import SqlLifecycle


@attrs.define(eq=False)
class SqlErasure(SqlLifecycle, ErasureSpecs):
    """What a driver on a SQL database does so that a user is forgotten for good."""

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Forget users, here and below."""
        report = self._erase(on_use.erasing.erase_users, user_ids)
        return (report, *(self._below.erase_users(user_ids=user_ids) or ()))

    @hookimpl
    def erase_again(self, tombstones: Sequence[rec.Tombstone]) -> tuple[rec.TierReport, ...]:
        """Forget users who were forgotten before, here and below."""
        report = self._erase(on_use.erasing.erase_again, tombstones)
        return (report, *(self._below.erase_again(tombstones=tombstones) or ()))

    @hookimpl
    def note_erasures(self, user_ids: Sequence[str]) -> bool:
        """Note that users are about to be erased."""
        self._write(sql_erasures.note_erasures, user_ids)
        return True

    @hookimpl
    def load_erasures(self) -> tuple[str, ...]:
        """Return the users whose erase was begun."""
        return self._read(sql_erasures.load_erasures)

    @hookimpl
    def misses_erasure(self, follower: str) -> bool:
        """Say whether a follower has yet to see an erase."""
        return self._read(sql_erasures.misses_erasure, follower)

    @hookimpl
    def settle_erasures(self, user_ids: Sequence[str]) -> rec.TierReport:
        """Forget that the erase began, and remove every deleted byte."""
        followers = self._write(sql_erasures.settle_erasures, user_ids)
        waiting = (f"pending work of {', '.join(followers)}, until they have seen the erase",) if followers else ()
        scrubbed = self._translated(self._database.scrub)
        return rec.TierReport(self.tier, {}, scrubbed.rewritten, (*waiting, *scrubbed.remaining))

    @hookimpl
    def clear_pending(self, pending: Sequence[rec.Pending]) -> int:
        """Forget pending work, in the file as well where it was the last that named somebody erased."""
        cleared, released = self._write(on_use.following.clear_pending, pending)
        if released:
            self._translated(self._database.scrub)
        return cleared

    def _erase(self, erase: Callable[..., on_use.erasing.Erased], asked: Sequence[Any]) -> rec.TierReport:
        erased = self._write(erase, asked)
        self._database.remember(erased.tombstones)
        scrubbed = Scrubbed() if erased.noted else self._translated(self._database.scrub)
        return rec.TierReport(self.tier, erased.counts, scrubbed.rewritten, scrubbed.remaining, erased.tombstones)
