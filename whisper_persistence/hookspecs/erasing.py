"""How an erase that spans several tiers is finished, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import TierReport, Tombstone


class ErasureSpecs:
    """How an erase across several tiers is completed. The database of record answers; the store itself asks."""

    @hookspec(firstresult=True)
    def note_erasures(self, user_ids: Sequence[str]) -> bool | None:
        """Note durably that users are about to be erased, before any tier begins.

        Returns:
            True once it is noted.
        """

    @hookspec(firstresult=True)
    def load_erasures(self) -> tuple[str, ...] | None:
        """Return the users whose erase was noted but not settled; the store asks when it opens, and completes them."""

    @hookspec(firstresult=True)
    def settle_erasures(self, user_ids: Sequence[str]) -> TierReport | None:
        """Forget the notes, since every tier has reported, and remove what deleted records left behind in files.

        An `erase_users` that was not noted removes these remains itself.

        Returns:
            What was rewritten, and what remains.
        """

    @hookspec(firstresult=True)
    def misses_erasure(self, follower: str) -> bool | None:
        """Say whether a follower has pending work about an erased user; it asks before it shows what it keeps.

        Returns:
            True until the last of that work is cleared; ``None`` if nobody can erase without the follower noticing.
        """

    @hookspec(firstresult=True)
    def erase_again(self, tombstones: Sequence[Tombstone]) -> tuple[TierReport, ...] | None:
        """Erase the users of tombstones, unless what is kept of them was written after that erase.

        Called after a database was restored from a backup that may be older than some erases.

        Returns:
            One report per tier, this one first.
        """
