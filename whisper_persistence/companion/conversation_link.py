"""The way of a bot's conversations to its storage: opened late, closed orderly, and bounded in memory."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from whisper_persistence.aio import AsyncStore
from whisper_persistence.clocks import ClockWatch
from whisper_persistence.companion.conversation_backlog import ConversationBacklog
from whisper_persistence.companion.conversation_entry import ConversationEntry, Waiting
from whisper_persistence.companion.conversation_reading import ConversationReader
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import Message, Receipt, fields
from whisper_persistence.settings import Settings, StoragePolicies, load_settings

_log = logging.getLogger(__name__)


class ConversationLink:
    """What a bot's conversations go through, without what may be done with them."""

    def __init__(
        self,
        store: AsyncStore,
        policies: StoragePolicies | None = None,
        *,
        max_conversations: int = 1_000,
        remembered: int = 100,
        max_pending: int = 10_000,
        retry_seconds: float = 1.0,
        owns_store: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = fields.now,
    ) -> None:
        """Begin knowing nothing.

        Args:
            store: a store, open unless ``owns_store``.
            policies: what is kept, how long and how many; ``None`` for everything and for ever.
            max_conversations: how many conversations memory holds; the longest unused leave, unless something waits.
            remembered: how many messages of each conversation memory holds, for an outage.
            max_pending: how many messages and changes wait for the store in an outage; the oldest give way.
            retry_seconds: how long a store that did not answer is left alone.
            owns_store: whether the store is opened at the first use, and closed by `aclose`.
            clock: seconds that never go back.
            now: the present moment, aware.
        """
        self._store = store
        self._policies = policies or StoragePolicies()
        self._max_conversations = max_conversations
        self._owns_store = owns_store
        self._now = now
        self._watch = ClockWatch(now=now)
        self._backlog = ConversationBacklog(store, remembered, max_pending, retry_seconds, clock)
        self._reader = ConversationReader(store, self._backlog, self._policies, now)
        self._entries: OrderedDict[str, ConversationEntry] = OrderedDict()
        store.forgetters.add(self.forget_user)

    @classmethod
    def from_settings(cls, settings: Settings | None = None, **overrides: Any) -> Self:
        """Return the storage that settings describe, with a store of its own that is opened at the first use.

        Args:
            settings: as loaded before, or ``None`` to load them now.
            **overrides: settings given here, stronger than environment and file.
        """
        chosen = settings or load_settings(**overrides)
        return cls(AsyncStore.from_settings(chosen), chosen.policies, owns_store=True)

    async def __aenter__(self) -> Self:
        """Open the store, if it is our own; an outage does not raise."""
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Send what waits, and close the store, if it is our own."""
        await self.aclose()

    @property
    def store(self) -> AsyncStore:
        """Where the conversations are kept."""
        return self._store

    @property
    def policies(self) -> StoragePolicies:
        """What is kept, how long and how many."""
        return self._policies

    @property
    def pending(self) -> int:
        """How many messages and changes wait for the storage."""
        return len(self._backlog)

    @property
    def lost(self) -> int:
        """How many that waited were lost: too many waited, or the storage refused them."""
        return self._backlog.lost

    def knowledge(self, conversation_id: str) -> Knowledge:
        """Return whether memory knows what the store holds of a conversation."""
        entry = self._entries.get(conversation_id)
        return entry.knowledge if entry else Knowledge.UNKNOWN

    async def open(self) -> bool:
        """Open the store, if it is our own, and say whether it is open; an outage does not raise.

        Raises:
            PersistenceError: it can never be opened as it is: a setting is wrong, or its content cannot be read.
        """
        if self._owns_store and not self._backlog.is_shut:
            try:
                await self._store.open()
            except StorageUnavailableError as error:
                _log.warning("conversations start without the storage: %s", type(error).__name__)
                self._backlog.shut()
        return not self._backlog.is_resting

    async def flush(self) -> int:
        """Send what waits, and return how much still waits; an outage does not raise."""
        await self.open()
        return await self._backlog.flush()

    async def aclose(self) -> None:
        """Send what waits, and close the store, if it is our own; what it does not take is counted in the log."""
        waiting = await self.flush()
        if waiting:
            _log.error("closed while the storage did not answer", extra={"waiting": waiting})
        if self._owns_store:
            await self._store.close()

    def forget_user(self, user_id: str) -> None:
        """Drop everything that memory holds of a user, and what waits of their messages.

        `AsyncStore.erase_users` of the same store does that by itself.
        """
        self._backlog.forget(user_id)
        for entry in self._entries.values():
            entry.forget(user_id)

    async def _write(self, items: tuple[Message, ...] | list[Waiting]) -> tuple[Receipt, ...]:
        await self.open()
        receipts = await self._backlog.write(self._entry(items[0].conversation_id), items)
        if self.pending and not self._backlog.is_shut:
            await self._backlog.flush()
        return receipts

    def _entry(self, conversation_id: str) -> ConversationEntry:
        entry = self._entries.get(conversation_id)
        if entry is None:
            while len(self._entries) >= self._max_conversations and self._drop_idle():
                pass
            entry = self._entries[conversation_id] = ConversationEntry(conversation_id)
        self._entries.move_to_end(conversation_id)
        return entry

    def _drop_idle(self) -> bool:
        idle = (key for key, entry in self._entries.items() if not entry.pending and not entry.lock.locked())
        return self._entries.pop(next(idle, ""), None) is not None
