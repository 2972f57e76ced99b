"""How caches, indexes and replicas keep up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Follower, Lease, Pending, Revision, Thing


class FollowerSpecs:
    """How caches, indexes and replicas keep up. Answered by the database of record, asked through ``below``."""

    @hookspec(firstresult=True)
    def register_follower(self, follower: Follower) -> bool | None:
        """Make a follower known, durably: from now on every write adds what changed to its pending work.

        Returns:
            True if it was not known before. Registering it again replaces the kinds it is told about.
        """

    @hookspec(firstresult=True)
    def load_pending(self, follower: str, limit: int) -> tuple[Pending, ...] | None:
        """Return what this follower has not seen, the oldest revision of a thing first, at most ``limit``."""

    @hookspec(firstresult=True)
    def clear_pending(self, pending: Sequence[Pending]) -> int | None:
        """Forget pending work up to the revision that each names; a newer one stays.

        What names a fence stays as well, unless that is the fence of the follower's lease.

        Returns:
            How many were forgotten.
        """

    @hookspec(firstresult=True)
    def lease_follower(self, lease: Lease) -> Lease | None:
        """Take, renew or give back the lease of a follower that several processes could be at once.

        It is whoever's asks first, and again when it ran out or was given back. A frozen process cannot tell that its
        lease ran out: it names the fence in what it clears, and what it clears too late stays.

        Args:
            lease: who asks, and for how many seconds from now, at most an hour: 0 gives back what is theirs, and asks
                who has it. The note replaces the one that is there where the fence is that of a lease which is theirs.

        Returns:
            The lease as it is then: theirs if ``holder`` is.
        """

    @hookspec(firstresult=True)
    def load_revisions(self, things: Sequence[Thing]) -> Mapping[Thing, Revision] | None:
        """Return the revisions of users and conversations; what was never written is absent."""
