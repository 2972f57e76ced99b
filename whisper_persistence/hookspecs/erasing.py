"""How an erase that spans several tiers is finished, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import TierReport, Tombstone


class ErasureSpecs:
    """How an erase of several tiers is finished. Answered by the database of record, asked by the store itself."""

    @hookspec(firstresult=True)
    def note_erasures(self, user_ids: Sequence[str]) -> bool | None:
        """Note durably that users are about to be erased, before any tier begins.

        Returns:
            True once it is noted.
        """

    @hookspec(firstresult=True)
    def load_erasures(self) -> tuple[str, ...] | None:
        """Return the users whose erase was noted and not settled: the store asks when it opens, and finishes them."""

    @hookspec(firstresult=True)
    def settle_erasures(self, user_ids: Sequence[str]) -> TierReport | None:
        """Forget the notes, since every tier has reported, and remove what deleted records left behind in files.

        An `erase_users` that nobody noted does the latter by itself.

        Returns:
            What was rewritten, and what remains.
        """

    @hookspec(firstresult=True)
    def misses_erasure(self, follower: str) -> bool | None:
        """Say whether a follower has pending work about somebody erased; asked by it before it shows what it keeps.

        Returns:
            True until the last of that work is cleared; ``None`` where nobody can erase past the follower.
        """

    @hookspec(firstresult=True)
    def erase_again(self, tombstones: Sequence[Tombstone]) -> tuple[TierReport, ...] | None:
        """Erase whom tombstones name, unless what is kept of them was written after that erase.

        It is asked after a database was restored from a backup, which may be older than some erases.

        Returns:
            One report per tier, this one first.
        """
