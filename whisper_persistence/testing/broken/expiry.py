"""Broken drivers for expiring."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import Pending, Retention, TierReport
from whisper_persistence.testing.broken.breaking import Breaker, caught_by

Reports = tuple[TierReport, ...] | None


@caught_by("test_a_dry_run_counts_and_removes_nothing")
class RemovesInADryRun(Breaker):
    """Removes what it was only to count."""

    @hookimpl
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> Reports:
        """Remove."""
        return self.below.expire(policies=policies, dry_run=False)


@caught_by("test_exactly_what_no_policy_keeps_goes_of_every_kind")
class ExpiresTheKept(Breaker):
    """Knows nothing of users of whom nothing may go."""

    @hookimpl
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> Reports:
        """Remove theirs too."""
        return self.below.expire(policies=[attrs.evolve(p, kept_users=()) for p in policies], dry_run=dry_run)


@caught_by("test_messages_that_concern_a_kept_user_or_were_written_by_them_stay")
class ExpiresEverybodys(Breaker):
    """Takes a policy for some users for one for all."""

    @hookimpl
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> Reports:
        """Remove everybody's."""
        return self.below.expire(policies=[attrs.evolve(p, user_ids=()) for p in policies], dry_run=dry_run)


@caught_by("test_exactly_what_no_policy_keeps_goes_of_every_kind")
class CountsAfterEachOther(Breaker):
    """Lets each policy see what the one before it left."""

    @hookimpl
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> Reports:
        """Ask for one after the other."""
        reports = [self.below.expire(policies=[policy], dry_run=dry_run) or () for policy in policies]
        return tuple(report for answer in reports for report in answer)


@caught_by("test_at_most_so_many_go_at_once_the_oldest_first")
class KnowsNoLimit(Breaker):
    """Removes everything at once."""

    @hookimpl
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> Reports:
        """Forget the limits."""
        return self.below.expire(policies=[attrs.evolve(p, limit=None) for p in policies], dry_run=dry_run)


@caught_by("test_followers_are_told_what_went")
class TellsNobody(Breaker):
    """Keeps expiry a secret from followers."""

    @hookimpl
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> Reports:
        """Remember that something expired."""
        self.count("expired")
        return self.below.expire(policies=policies, dry_run=dry_run)

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> tuple[Pending, ...] | None:
        """Say that there is nothing."""
        return () if "expired" in self.world else self.below.load_pending(follower=follower, limit=limit)
