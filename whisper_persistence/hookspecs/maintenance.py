"""What an operator asks of every tier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Page, Retention, TierReport


class MaintenanceSpecs:
    """What an operator asks of every tier."""

    @hookspec(firstresult=True)
    def scan(self, kind: str, cursor: str | None, limit: int) -> Page | None:
        """Walk through every record of one kind, in a stable order.

        Args:
            kind: one of `RECORD_KINDS`. A driver that keeps no records of this kind asks below.
            cursor: `Page.cursor` of the page before, or ``None`` for the first page.
            limit: at most this many records.

        A record that is there from the first page to the last is returned exactly once. The records of one user come
        together; messages come by conversation and sequence, with cleared ones included.
        """

    @hookspec(firstresult=True)
    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> Page | None:
        """Walk through the messages of one user, at a cost in proportion to them.

        A driver that has `scan` need not have this; then the store's operations walk through all messages instead. One
        that has both shows in both the same, in the same order.

        Args:
            user_id: whose: messages that concern the user, and those that they wrote as a user.
            cursor: `Page.cursor` of the page before, or ``None`` for the first page.
            limit: at most this many messages.
        """

    @hookspec(firstresult=True)
    def erase_users(self, user_ids: Sequence[str]) -> tuple[TierReport, ...] | None:
        """Forget users: everything under their id, every message that concerns them, and every one they wrote as users.

        It raises their epoch and revision, and the revision of every conversation that lost a message.

        Returns:
            One report per tier, this one first.
        """

    @hookspec(firstresult=True)
    def expire(self, policies: Sequence[Retention], dry_run: bool) -> tuple[TierReport, ...] | None:
        """Remove what the policies no longer keep; with ``dry_run`` only count it: the same records.

        It raises the revision of every user and conversation that lost something, and tells their followers; epoch and
        sequence stay. A driver that keeps no records of a kind passes its policies on and counts nothing.

        Returns:
            One report per tier, this one first.
        """
