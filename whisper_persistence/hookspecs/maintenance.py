"""What an operator asks of every driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import Page, Retention, TierReport


class MaintenanceSpecs:
    """What an operator asks of every driver."""

    @hookspec(firstresult=True)
    def scan(self, kind: str, cursor: str | None, limit: int) -> Page | None:
        """Walk through every record of one kind, in a stable order.

        Args:
            kind: one of `RECORD_KINDS`. A driver that keeps no records of this kind asks below.
            cursor: `Page.cursor` of the page before, or ``None`` for the first page.
            limit: at most this many records.

        A record that exists from the first page to the last is returned exactly once. The records of one user are
        contiguous; messages are ordered by conversation and sequence, and cleared ones are included.
        """

    @hookspec(firstresult=True)
    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> Page | None:
        """Walk through the messages of one user, at a cost in proportion to them.

        Optional for a driver that has `scan`: without it, the store's operations walk through all messages instead.
        With both, the messages and their order must be the same in both.

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

        It raises the revision of every user and conversation that lost something, and notifies their followers; epoch
        and sequence stay. A driver that keeps no records of a kind passes the policies for that kind on.

        Returns:
            One report per tier, this one first.
        """
