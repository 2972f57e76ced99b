"""Broken drivers for scanning, erasing and restarting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from whisper_persistence.hookspecs import Below, hookimpl
from whisper_persistence.records import Message, Page, Pending, Receipt, StrategyChange, TierReport
from whisper_persistence.testing.broken.breaking import Breaker, caught_by

Reports = tuple[TierReport, ...] | None


def _all(below: Below, kind: str) -> list[Any]:
    page = below.scan(kind=kind, cursor=None, limit=10_000)
    return list(page.records) if page else []


@caught_by("test_a_restart_keeps_what_the_claim_of_durability_says", "durable")
class LosesOnReopen(Breaker):
    """Starts empty."""

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Forget everyone."""
        self.below, self.namespace = below, namespace
        below.erase_users(user_ids=[strategy.user_id for strategy in _all(below, "strategies")])


@caught_by("test_revisions_and_applied_changes_are_remembered", "durable")
class ForgetsWhatWasApplied(Breaker):
    """Takes a change for new after a restart."""

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Count the starts."""
        self.below, self.namespace = below, namespace
        self.count("start")

    @hookimpl
    def update_strategies(self, changes: Sequence[StrategyChange]) -> Sequence[Receipt] | None:
        """Name changes and outcomes by the start they came in."""
        return self.below.update_strategies(changes=[self._renamed(change) for change in changes])

    def _renamed(self, change: StrategyChange) -> StrategyChange:
        start = self.world["start"]
        outcomes = [attrs.evolve(o, outcome_id=f"{start} {o.outcome_id}") for o in change.outcomes]
        return attrs.evolve(change, change_id=f"{start} {change.change_id}", outcomes=outcomes)


@caught_by("test_everyone_else_stays")
class ErasesByPrefix(Breaker):
    """Erases every user whose id begins like the erased one's."""

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> Reports:
        """Erase the others too."""
        known = [strategy.user_id for strategy in _all(self.below, "strategies")]
        more = [user for user in known if any(user.startswith(erased) for erased in user_ids)]
        return self.below.erase_users(user_ids=[*user_ids, *more])


@caught_by("test_messages_to_a_user_and_by_a_user_go_and_others_stay")
class LeavesAuthored(Breaker):
    """Erases what concerns a user and leaves what the user wrote to others."""

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> Reports:
        """Erase, then put back."""
        kept: list[Message] = [
            message
            for message in _all(self.below, "messages")
            if message.author_id in user_ids and message.user_id not in user_ids
        ]
        reports = self.below.erase_users(user_ids=user_ids)
        self.below.save_messages(messages=kept)
        return reports


@caught_by("test_a_user_is_gone_from_every_read")
class ErasesNothing(Breaker):
    """Says that a user was erased."""

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> Reports:
        """Report."""
        return (TierReport("liar", {"messages": len(user_ids)}),)


@caught_by("test_an_erase_is_missed_until_the_last_of_its_work_is_cleared", "durable")
class HidesErasuresEarly(Breaker):
    """Says that a follower has seen an erase once it has cleared anything."""

    @hookimpl
    def clear_pending(self, pending: Sequence[Pending]) -> int | None:
        """Note that somebody cleared."""
        self.count("clear")
        return self.below.clear_pending(pending=pending)

    @hookimpl
    def misses_erasure(self, follower: str) -> bool:
        """Look at the note alone."""
        return "clear" not in self.world and bool(self.below.misses_erasure(follower=follower))


@caught_by("test_revision_and_epoch_only_grow_and_later_writes_work")
class ForgetsEpochs(Breaker):
    """Counts the epochs of nobody."""

    @hookimpl
    def update_strategies(self, changes: Sequence[StrategyChange]) -> Sequence[Receipt]:
        """Write, and say epoch 0."""
        return [attrs.evolve(receipt, epoch=0) for receipt in self.below.update_strategies(changes=changes) or []]


@caught_by("test_every_record_is_seen_once_in_pages_of_any_size")
class SkipsBetweenPages(Breaker):
    """Loses the first record of every page but the first."""

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Page | None:
        """Return a page without its first record."""
        page = self.below.scan(kind=kind, cursor=cursor, limit=limit)
        return attrs.evolve(page, records=page.records[1:]) if page and cursor is not None else page


@caught_by("test_messages_come_by_conversation_and_sequence_also_cleared_ones")
class ScansByName(Breaker):
    """Walks through messages in the order of their ids."""

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Page | None:
        """Sort each page by id."""
        page = self.below.scan(kind=kind, cursor=cursor, limit=limit)
        if page is None or kind != "messages":
            return page
        return attrs.evolve(page, records=tuple(sorted(page.records, key=lambda message: message.message_id)))
