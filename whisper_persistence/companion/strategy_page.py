"""What is known of one user's strategy."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

import attrs

from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.records import Durability, Outcome, Receipt, Strategy, StrategyChange

#: How many of a user's newest outcomes are kept at hand.
RECENT_OUTCOMES: Final = 50


@attrs.define(eq=False)
class StrategyPage:
    """What is known of one user.

    Attributes:
        stored: the strategy as the store holds it, as far as we know, without what `news` adds.
        news: what the store confirmed since; folded in when somebody looks, so that learning does not wait for it.
        recent: the newest outcomes that the store holds, newest first; ``None`` while nobody asked.
        writes: how many writes began or ended; a read that saw it move is not kept.
    """

    knowledge: Knowledge = Knowledge.UNKNOWN
    stored: Strategy | None = None
    news: list[StrategyChange] = attrs.field(factory=list[StrategyChange])
    recent: tuple[Outcome, ...] | None = None
    read_at: float = 0.0
    revision: int = 0
    epoch: int = 0
    writing: int = 0
    writes: int = 0

    def is_changed_since(self, writes: int) -> bool:
        """Return whether a write began, ended or is on its way since ``writes`` was noted."""
        return self.writing > 0 or self.writes != writes

    @contextmanager
    def being_written(self) -> Generator[None, None, None]:
        """Mark the page as one that a write is on its way for; a cancelled caller's write completes unseen."""
        self.writing += 1
        self.writes += 1
        try:
            yield
        except asyncio.CancelledError:
            self.knowledge = Knowledge.UNKNOWN
            raise
        finally:
            self.writing -= 1
            self.writes += 1

    def view(self, pending: Sequence[StrategyChange]) -> Strategy | None:
        """Return the strategy together with changes that the store has not confirmed."""
        self._fold()
        state = self.stored
        for change in pending:
            state = change.apply_to(state)
        return state

    def outcomes(self, pending: Sequence[StrategyChange]) -> tuple[Outcome, ...]:
        """Return the newest outcomes together with those that the store has not confirmed, newest first."""
        waiting = [outcome for change in pending for outcome in change.outcomes]
        return (*reversed(waiting), *(self.recent or ()))[:RECENT_OUTCOMES]

    def know(self, found: Strategy | None, now: float) -> None:
        """Take over what the store answered."""
        self.stored, self.recent, self.read_at = found, None if found else (), now
        self.news.clear()
        self.knowledge = Knowledge.LOADED if found else Knowledge.ABSENT

    def confirm(self, change: StrategyChange, receipt: Receipt) -> None:
        """Take over a change that the store confirmed; an erase elsewhere in between ends what was known.

        One that did not raise the revision may have been a repeat, which changed nothing: the store is asked again.
        What only waits below does not raise it either, and would be missed if the store does not answer.
        """
        is_new = receipt.revision > self.revision
        self.revision = max(receipt.revision, self.revision)
        if receipt.epoch != self.epoch:
            self.knowledge, self.stored, self.recent = Knowledge.UNKNOWN, None, None
            self.news.clear()
        self.epoch = receipt.epoch
        if not is_new:
            self.read_at = float("-inf")
        if not is_new and receipt.durability is Durability.DURABLE:
            self.recent = None
        elif self.knowledge is not Knowledge.UNKNOWN:
            self.news.append(change)
            if len(self.news) >= RECENT_OUTCOMES:
                self._fold()
            self.knowledge = Knowledge.LOADED
            if self.recent is not None:
                self.recent = (*reversed(change.outcomes), *self.recent)[:RECENT_OUTCOMES]

    def _fold(self) -> None:
        for change in self.news:
            self.stored = change.apply_to(self.stored)
        self.news.clear()
