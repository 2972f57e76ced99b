"""What is known of users' strategies: read once, kept up to date by every change, and written through."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.asynchronous import asynchronous
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.strategy_differences import differences
from whisper_persistence.companion.strategy_page import RECENT_OUTCOMES, StrategyPage
from whisper_persistence.errors import StorageDamagedError, StorageRefusedError, StorageUnavailableError
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
        self._store = asynchronous(store)
        self._max_users = max_users
        self._max_pending = max_pending
        self._refresh_after = refresh_after
        self._clock = clock
        self._pages: OrderedDict[str, StrategyPage] = OrderedDict()
        self._pending: dict[str, StrategyChange] = {}
        self._flushing: asyncio.Future[None] | None = None

    @property
    def pending(self) -> int:
        """How many changes wait for the store."""
        return len(self._pending)

    def knowledge(self, user_id: str) -> Knowledge:
        """Return whether memory knows what the store holds about a user."""
        page = self._pages.get(user_id)
        return page.knowledge if page else Knowledge.UNKNOWN

    def forget(self, user_id: str) -> None:
        """Drop everything that memory holds of a user, after an erase."""
        page = self._pages.pop(user_id, StrategyPage())
        for change_id in page.pending:
            self._pending.pop(change_id, None)

    async def read(self, user_id: str) -> Strategy | None:
        """Return a user's strategy, from memory where it is fresh; in an outage, what memory holds."""
        page = self._page(user_id)
        if page.pending:
            await self.flush()
        known = page.knowledge is not Knowledge.UNKNOWN
        if page.pending or (known and self._clock() - page.read_at <= self._refresh_after):
            return page.view()
        writes = page.writes
        try:
            found = (await self._store.load_strategies([user_id])).get(user_id)
        except _UNREADABLE as error:
            _log.warning("strategy not loaded: %s", type(error).__name__, extra={"user_id": user_id})
            return page.view()
        if not page.is_changed_since(writes):
            page.know(found, self._clock())
            await self._catch_up()
            return page.view()
        return page.view() if known else found

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
            views = {user_id: page.view() for user_id, page in self._pages.items()}
            found.update((user_id, view) for user_id, view in views.items() if view)
        return found

    async def recent(self, user_id: str) -> tuple[Outcome, ...]:
        """Return a user's newest outcomes, newest first; in an outage, those that memory holds."""
        page = self._page(user_id)
        if page.recent is not None or page.pending:
            return page.outcomes()
        writes, query = page.writes, OutcomeQuery(user_id, RECENT_OUTCOMES)
        try:
            found = (await self._store.load_outcomes([query])).get(query, ())
        except _UNREADABLE as error:
            _log.warning("outcomes not loaded: %s", type(error).__name__, extra={"user_id": user_id})
            return page.outcomes()
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
        if page.pending:
            await self.flush()
        if page.pending:
            return self._hold(page, change)
        try:
            with page.being_written():
                (receipt,) = await self._store.update_strategies([change])
                page.confirm(change, receipt)
        except StorageUnavailableError:
            return self._hold(page, change)
        await self._catch_up()
        return receipt

    async def save(self, strategy: Strategy) -> Receipt:
        """Put a whole strategy; in an outage keep how it differs from what is known, which can wipe nothing unseen.

        Raises:
            ValidationError: the strategy is not legal.
        """
        page = self._page(strategy.user_id)
        if page.pending:
            await self.flush()
        if not page.pending:
            try:
                with page.being_written():
                    (receipt,) = await self._store.save_strategies([strategy])
                    page.know(strategy, self._clock())
            except StorageUnavailableError:
                pass
            else:
                return receipt
        for change in differences(page.view(), strategy):
            self._hold(page, change)
        return Receipt(Durability.VOLATILE, page.revision)

    async def flush(self) -> int:
        """Send what waits for the store, oldest first, and return how much still waits; an outage does not raise."""
        if self._pending and (self._flushing is None or self._flushing.done()):
            self._flushing = asyncio.ensure_future(self._send_pending())
        if self._flushing is not None and not self._flushing.done():
            await asyncio.shield(self._flushing)
        return len(self._pending)

    async def _catch_up(self) -> None:
        if self._pending:
            await self.flush()

    async def _send_pending(self) -> None:
        size = 500
        while self._pending:
            batch = list(self._pending.values())[:size]
            pages = [self._page(change.user_id) for change in batch]
            try:
                receipts = await self._store.update_strategies(batch)
            except StorageUnavailableError:
                return
            except StorageRefusedError:
                size = self._refused(batch)
                continue
            for page, change, receipt in zip(pages, batch, receipts, strict=True):
                page.writes += 1
                self._pending.pop(change.change_id, None)
                page.confirm(change, receipt)
            _log.info("storage is back", extra={"changes": len(batch)})

    def _refused(self, batch: list[StrategyChange]) -> int:
        """Drop a change that was refused alone; of several, let each be tried alone."""
        if len(batch) == 1:
            (change,) = batch
            self._pending.pop(change.change_id, None)
            self._page(change.user_id).pending.pop(change.change_id, None)
            _log.error("change dropped: the storage refused it", extra={"user_id": change.user_id})
        return 1

    def _hold(self, page: StrategyPage, change: StrategyChange) -> Receipt:
        _log.warning("strategy not saved yet", extra={"user_id": change.user_id})
        page.pending[change.change_id] = self._pending[change.change_id] = change
        if len(self._pending) > self._max_pending:
            oldest = self._pending.pop(next(iter(self._pending)))
            self._page(oldest.user_id).pending.pop(oldest.change_id, None)
            _log.error("change dropped: too many wait for the storage", extra={"user_id": oldest.user_id})
        return Receipt(Durability.VOLATILE, page.revision)

    def _page(self, user_id: str) -> StrategyPage:
        page = self._pages.get(user_id)
        if page is None:
            self._make_room()
            page = self._pages[user_id] = StrategyPage()
        self._pages.move_to_end(user_id)
        return page

    def _make_room(self) -> None:
        if len(self._pages) >= self._max_users:
            idle = (user for user, page in self._pages.items() if not page.pending and not page.writing)
            self._pages.pop(next(idle, ""), None)
