"""A plain dict of strategies that remembers: for code that reads synchronously and changes values in place."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TypeVar

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.asynchronous import asynchronous
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.strategy_entry import StrategyEntry
from whisper_persistence.companion.support import SupportStrategy
from whisper_persistence.errors import (
    PersistenceError,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    ValidationError,
)
from whisper_persistence.records import Durability, Receipt, Strategy, fields

T = TypeVar("T")

_log = logging.getLogger(__name__)


class PersistentStrategies(MutableMapping[str, T]):
    """Strategies by user id: reads are synchronous, `ensure` fetches, `flush` writes what changed in place.

    A user is loaded, known to be absent, or unknown because the store did not answer. Unknown users are worked on in
    memory, and joined with what is stored as soon as it answers: lists become unions, histories are put in the order of
    time and cut to ten, of single values the newer ones stay. Deleting a key forgets the user in memory, without what
    was not flushed; `AsyncStore.erase_users` erases what is stored. Like the dict that it stands for, it keeps every
    user that it met.

    Attributes:
        session_id: this run of the bot; every outcome learned through it says so, since intervention ids repeat.
    """

    def __init__(
        self,
        store: AsyncStore,
        value_class: type[T] = SupportStrategy,  # type: ignore[assignment]
        adopt: Mapping[str, T] | None = None,
        *,
        refresh_after: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with what is in memory already, if anything.

        Args:
            store: an open store; it stays open when this is closed.
            value_class: the class of the values handed out: a dataclass, an attrs class or a mapping with the fields of
                a strategy, built with keyword arguments.
            adopt: strategies by user id, joined with what is stored when a user is first met or flushed.
            refresh_after: after so many seconds `ensure` reads a user again, for what other processes learned.
            clock: seconds that never go back.
        """
        self._store = asynchronous(store)
        self._class = value_class
        self._refresh_after = refresh_after
        self._clock = clock
        self.session_id = fields.new_id()
        self._entries: dict[str, StrategyEntry[T]] = {}
        for user_id, value in (adopt or {}).items():
            self._entries[user_id] = StrategyEntry(user_id, self.session_id, value, adopted=True)
        store.forgetters.add(self.forget_user)

    def __getitem__(self, user_id: str) -> T:
        """Return what is held of a user; ask `ensure` first.

        Raises:
            KeyError: nothing is held.
        """
        entry = self._entries.get(user_id)
        if entry is None or entry.value is None:
            raise KeyError(user_id)
        return entry.value

    def __setitem__(self, user_id: str, value: T) -> None:
        """Hold this for a user; `flush` stores it."""
        self._entry(user_id).value = value

    def __delitem__(self, user_id: str) -> None:
        """Forget a user in memory.

        Raises:
            KeyError: nothing is held.
        """
        if user_id not in self:
            raise KeyError(user_id)
        del self._entries[user_id]

    def __iter__(self) -> Iterator[str]:
        """Go through the users that something is held of."""
        return iter([user_id for user_id, entry in self._entries.items() if entry.value is not None])

    def __len__(self) -> int:
        """Return of how many users something is held."""
        return sum(entry.value is not None for entry in self._entries.values())

    def knowledge(self, user_id: str) -> Knowledge:
        """Return whether memory knows what the store holds about a user."""
        entry = self._entries.get(user_id)
        return entry.knowledge if entry else Knowledge.UNKNOWN

    def forget_user(self, user_id: str) -> None:
        """Drop everything that memory holds of a user; ``erase_users`` of the same store does that by itself."""
        self._entries.pop(user_id, None)

    async def ensure(self, user_id: str) -> Knowledge:
        """Make what is stored about a user readable, and return what is known now; an outage does not raise.

        Raises:
            ValidationError: what is in memory cannot be stored.
        """
        entry = self._entry(user_id)
        if entry.lock.locked() or not self._is_fresh(entry):
            async with entry.lock:
                if not self._is_fresh(entry):
                    await self._refresh(entry)
        return entry.knowledge

    async def flush(self, user_id: str) -> Receipt | None:
        """Write what changed about a user since the last time; an outage does not raise.

        Returns:
            How safe the changes are, ``VOLATILE`` while the store does not answer; ``None`` where nothing changed.

        Raises:
            ValidationError: what is in memory cannot be stored.
            StorageRefusedError: the store refused what changed, and would again; it is kept in memory only.
        """
        entry = self._entries.get(user_id)
        if entry is None:
            return None
        async with entry.lock:
            if not entry.collect():
                return None
            receipt = await self._settle(entry)
            return Receipt(Durability.VOLATILE, 0) if receipt is None and entry.pending else receipt

    async def flush_all(self) -> int:
        """Write what changed about every user, and return how many users wait for the store to answer."""
        waiting = 0
        users = list(self._entries)
        for first in range(0, len(users), 500):
            waiting += sum(await asyncio.gather(*map(self._is_waiting, users[first : first + 500])))
        return waiting

    async def keep_flushing(self, seconds: float = 30.0) -> None:
        """Flush everybody again and again, for a task of the bot; it covers edits that nobody flushes."""
        while True:
            await asyncio.sleep(seconds)
            await self.flush_all()

    async def aclose(self) -> None:
        """Write what changed about every user; what the store does not take is counted in the log."""
        waiting = await self.flush_all()
        if waiting:
            _log.warning("closed while the store did not answer", extra={"users": waiting})

    def _entry(self, user_id: str) -> StrategyEntry[T]:
        return self._entries.get(user_id) or self._entries.setdefault(user_id, StrategyEntry(user_id, self.session_id))

    def _is_fresh(self, entry: StrategyEntry[T]) -> bool:
        known = entry.knowledge is not Knowledge.UNKNOWN and not entry.pending
        return known and self._clock() - entry.read_at <= self._refresh_after

    async def _is_waiting(self, user_id: str) -> bool:
        try:
            receipt = await self.flush(user_id)
        except PersistenceError as error:
            _log.error("strategy not saved: %s", type(error).__name__, extra={"user_id": user_id})
            return True
        return receipt is not None and receipt.durability is Durability.VOLATILE

    async def _settle(self, entry: StrategyEntry[T]) -> Receipt | None:
        """Bring memory and store together as far as the store answers, and return what it said to a write."""
        if entry.knowledge is Knowledge.UNKNOWN:
            found = await self._load(entry)
            try:
                entry.collect()
            except ValidationError:
                entry.knowledge = Knowledge.UNKNOWN
                raise
            if found:
                entry.join(found, self._class)
        known = entry.knowledge is not Knowledge.UNKNOWN
        return await self._send(entry) if known and entry.pending else None

    async def _refresh(self, entry: StrategyEntry[T]) -> None:
        """Take over what other processes learned, unless something here waits for the store."""
        if entry.knowledge is Knowledge.UNKNOWN or entry.pending:
            await self._settle(entry)
            return
        if entry.collect():
            await self._send(entry)
        found = await self._load(entry)
        if entry.collect():
            return
        if found:
            entry.join(found, self._class)
        elif entry.knowledge is Knowledge.ABSENT:
            entry.drop()

    async def _load(self, entry: StrategyEntry[T]) -> Strategy | None:
        try:
            found = (await self._store.load_strategies([entry.user_id])).get(entry.user_id)
        except (StorageUnavailableError, StorageDamagedError) as error:
            _log.warning("strategy not loaded: %s", type(error).__name__, extra={"user_id": entry.user_id})
            return None
        entry.knowledge = Knowledge.LOADED if found else Knowledge.ABSENT
        entry.read_at = self._clock()
        return found

    async def _send(self, entry: StrategyEntry[T]) -> Receipt | None:
        sent = entry.batch()
        try:
            receipts = await self._store.update_strategies(sent)
        except StorageUnavailableError as error:
            _log.warning("strategy not saved yet: %s", type(error).__name__, extra={"user_id": entry.user_id})
            return None
        except StorageRefusedError:
            entry.confirm(len(sent))
            raise
        entry.confirm(len(sent))
        entry.knowledge = Knowledge.LOADED
        return receipts[-1]
