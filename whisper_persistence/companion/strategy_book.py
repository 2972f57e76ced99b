"""What is known of users' strategies: read once, kept up to date by every change, and written through."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import attrs

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.backlog import Backlog
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.strategy_differences import differences
from whisper_persistence.companion.strategy_page import RECENT_OUTCOMES, StrategyPage
from whisper_persistence.errors import StorageDamagedError, StorageUnavailableError
from whisper_persistence.records import (
    Durability,
    Outcome,
    OutcomeQuery,
    Receipt,
    Strategy,
    StrategyChange,
)

_SCANNED: Final = 1_000
_UNREADABLE: Final = (StorageUnavailableError, StorageDamagedError)

_log = logging.getLogger(__name__)


class StrategyBook:
    """Every user's strategy as far as it is known; during an outage it goes on in memory and catches up afterwards."""

    def __init__(
        self,
        store: AsyncStore,
        *,
        max_users: int = 10_000,
        max_pending: int = 10_000,
        refresh_after: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin knowing nothing.

        Args:
            store: an open store.
            max_users: how many users are kept at hand; those met longest ago leave, unless something is pending.
            max_pending: how many changes wait for the store during an outage; the oldest gives way.
            refresh_after: after so many seconds a user is read again, for what other processes learned.
            clock: seconds that never go back.
        """
        self._backlog = Backlog(store, max_pending, 0.0, clock, self._take)
        self._store = store
        self._max_users = max_users
        self._refresh_after = refresh_after
        self._clock = clock
        self._pages: OrderedDict[str, StrategyPage] = OrderedDict()

    @property
    def pending(self) -> int:
        """How many changes wait for the store."""
        return len(self._backlog)

    @property
    def lost(self) -> int:
        """How many changes that waited were lost: too many waited, or the store refused them."""
        return self._backlog.lost

    def knowledge(self, user_id: str) -> Knowledge:
        """Return whether memory knows what the store holds about a user."""
        page = self._pages.get(user_id)
        return page.knowledge if page else Knowledge.UNKNOWN

    def forget(self, user_id: str) -> None:
        """Drop everything that memory holds of a user, after an erase."""
        self._pages.pop(user_id, None)
        self._backlog.forget(user_id)

    async def read(self, user_id: str) -> Strategy | None:
        """Return a user's strategy, from memory where it is fresh; in an outage, what memory holds."""
        page = self._page(user_id)
        if self._backlog.has(user_id):
            await self.flush()
        known = page.knowledge is not Knowledge.UNKNOWN
        if self._backlog.has(user_id) or (known and self._clock() - page.read_at <= self._refresh_after):
            return self._view(user_id)
        writes = page.writes
        try:
            found = (await self._store.load_strategies([user_id])).get(user_id)
        except _UNREADABLE as error:
            _log.warning("strategy not loaded: %s", type(error).__name__, extra={"user_id": user_id})
            return self._view(user_id)
        if not page.is_changed_since(writes):
            page.know(found, self._clock())
            await self._catch_up()
            return self._view(user_id)
        return self._view(user_id) if known else found

    async def read_all(self) -> dict[str, Strategy]:
        """Return every user's strategy, with everything that is pending; in an outage, those at hand."""
        await self.flush()
        found: dict[str, Strategy] = {}
        try:
            page = await self._store.scan("strategies", None, _SCANNED)
            found.update((strategy.user_id, strategy) for strategy in page.records)
            while page.cursor is not None:
                page = await self._store.scan("strategies", page.cursor, _SCANNED)
                found.update((strategy.user_id, strategy) for strategy in page.records)
        except StorageUnavailableError as error:
            _log.warning("strategies not loaded: %s", type(error).__name__)
            views = {user_id: self._view(user_id) for user_id in list(self._pages)}
            found.update((user_id, view) for user_id, view in views.items() if view)
        return found

    async def recent(self, user_id: str) -> tuple[Outcome, ...]:
        """Return a user's newest outcomes, newest first; in an outage, those that memory holds."""
        page = self._page(user_id)
        if page.recent is not None or self._backlog.has(user_id):
            return page.outcomes(self._waiting(user_id))
        writes, query = page.writes, OutcomeQuery(user_id, RECENT_OUTCOMES)
        try:
            found = (await self._store.load_outcomes([query])).get(query, ())
        except _UNREADABLE as error:
            _log.warning("outcomes not loaded: %s", type(error).__name__, extra={"user_id": user_id})
            return page.outcomes(self._waiting(user_id))
        if not page.is_changed_since(writes) and page.knowledge is not Knowledge.UNKNOWN:
            page.recent = found
        return found

    async def write(self, change: StrategyChange) -> Receipt:
        """Write a change; in an outage keep it, with its id, until the store answers.

        Raises:
            ValidationError: the change is not legal.
            StorageRefusedError: the store refused the change.
        """
        page = self._page(change.user_id)
        with page.being_written():
            receipt = await self._backlog.write("update_strategies", change)
        return await self._told(page, receipt)

    async def save(self, strategy: Strategy) -> Receipt:
        """Put a whole strategy; in an outage keep how it differs from what is known, which can wipe nothing unseen.

        Raises:
            ValidationError: the strategy is not legal.
            StorageRefusedError: the store refused the strategy.
        """
        page = self._page(strategy.user_id)
        await self._catch_up()

        def changes() -> list[tuple[str, StrategyChange]]:
            return [("update_strategies", each) for each in differences(self._view(strategy.user_id), strategy)]

        with page.being_written():
            receipt = await self._backlog.write("save_strategies", strategy, changes)
        return await self._told(page, receipt)

    async def flush(self) -> int:
        """Send what waits for the store, oldest first, and return how much still waits; an outage does not raise."""
        return await self._backlog.flush()

    async def _told(self, page: StrategyPage, receipt: Receipt) -> Receipt:
        """Return what to tell who wrote: that it waits, with the revision that is known, or what the store said."""
        if receipt.durability is Durability.VOLATILE and receipt.revision == 0:
            return attrs.evolve(receipt, revision=page.revision)
        await self._catch_up()
        return receipt

    async def _catch_up(self) -> None:
        if self._backlog:
            await self.flush()

    def _take(self, item: Strategy | StrategyChange, receipt: Receipt) -> None:
        """Note what the store took."""
        page = self._page(item.user_id)
        page.writes += 1
        if isinstance(item, Strategy):
            page.know(item, self._clock())
            page.revision = receipt.revision
        else:
            page.confirm(item, receipt)

    def _waiting(self, user_id: str) -> list[StrategyChange]:
        return self._backlog.waiting(user_id, "update_strategies")

    def _view(self, user_id: str) -> Strategy | None:
        return self._page(user_id).view(self._waiting(user_id))

    def _page(self, user_id: str) -> StrategyPage:
        page = self._pages.get(user_id)
        if page is None:
            self._make_room()
            page = self._pages[user_id] = StrategyPage()
        self._pages.move_to_end(user_id)
        return page

    def _make_room(self) -> None:
        if len(self._pages) >= self._max_users:
            idle = (user for user, page in self._pages.items() if not self._backlog.has(user) and not page.writing)
            self._pages.pop(next(idle, ""), None)
