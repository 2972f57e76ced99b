"""How caches, indexes and replicas keep up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Follower, Pending, Revision, Thing


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

        Returns:
            How many were forgotten.
        """

    @hookspec(firstresult=True)
    def load_revisions(self, things: Sequence[Thing]) -> Mapping[Thing, Revision] | None:
        """Return the revisions of users and conversations; what was never written is absent."""
