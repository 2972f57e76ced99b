"""How caches, indexes and replicas stay up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Follower, Lease, Pending, Revision, Thing


class FollowerSpecs:
    """How caches, indexes and replicas stay up to date. The database of record answers; they ask through ``below``."""

    @hookspec(firstresult=True)
    def register_follower(self, follower: Follower) -> bool | None:
        """Make a follower known, durably: from now on every write adds what changed to its pending work.

        Returns:
            True if it was not known before. Registering it again replaces the kinds that it is notified about.
        """

    @hookspec(firstresult=True)
    def load_pending(self, follower: str, limit: int) -> tuple[Pending, ...] | None:
        """Return what this follower has not seen, the oldest revision of a thing first, at most ``limit``."""

    @hookspec(firstresult=True)
    def clear_pending(self, pending: Sequence[Pending]) -> int | None:
        """Forget pending work up to the revision that each names; a newer one stays.

        An entry that carries a fence also stays, unless it is the fence of the follower's current lease.

        Returns:
            How many were forgotten.
        """

    @hookspec(firstresult=True)
    def lease_follower(self, lease: Lease) -> Lease | None:
        """Take, renew or return the lease of a follower that several processes share.

        The first process to ask gets it, and so does the first one after it ran out or was returned. A frozen process
        cannot tell that its lease ran out, so it puts the fence into what it clears; what it clears too late stays.

        Args:
            lease: who asks, and for how many seconds from now, at most an hour: 0 gives back what is theirs, and asks
                who has it. The note replaces the one that is there where the fence is that of a lease which is theirs.

        Returns:
            The lease as it is then: theirs if ``holder`` is.
        """

    @hookspec(firstresult=True)
    def load_revisions(self, things: Sequence[Thing]) -> Mapping[Thing, Revision] | None:
        """Return the revisions of users and conversations; what was never written is absent."""
