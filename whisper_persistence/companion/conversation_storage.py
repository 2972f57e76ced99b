"""The talk itself, for a bot: appended, read, searched, pruned and erased, also while the storage does not answer."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import attrs

from whisper_persistence.aio import AsyncStore
from whisper_persistence.clocks import ClockWatch
from whisper_persistence.companion.conversation_backlog import ConversationBacklog
from whisper_persistence.companion.conversation_entry import ConversationEntry, Waiting
from whisper_persistence.companion.conversation_reading import ConversationReader
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.errors import ClockMovedError, StorageUnavailableError, ValidationError
from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageEdit,
    MessageRedaction,
    Receipt,
    SearchQuery,
    SearchResult,
    TierReport,
    Window,
    fields,
)
from whisper_persistence.settings import Settings, StoragePolicies, load_settings
from whisper_persistence.validation import validate_batch

T = TypeVar("T")
#: The name under which a search says that the whole storage did not answer.
STORAGE: Final = "storage"

_log = logging.getLogger(__name__)


class HybridConversationStorage:
    """Conversations on the storage that settings choose: what is recent comes fast, what is old stays, all is found.

    The chain of drivers decides where things lie: with ``redis-hybrid`` above a database the newest messages come from
    Redis. While the storage does not answer, a conversation is *unknown*: it goes on in memory, receipts say
    ``VOLATILE``, and what waits is joined with what is stored as soon as the storage answers. What the policies no
    longer keep is not shown either, from the moment that it expires; `prune` removes it.
    """

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
        if self._owns_store and not self._backlog.is_resting:
            try:
                await self._store.open()
            except StorageUnavailableError as error:
                _log.warning("conversations start without the storage: %s", type(error).__name__)
                self._backlog.rest()
        return not self._backlog.is_resting

    async def append(self, *messages: Message) -> tuple[Receipt, ...]:
        """Append one message, or a turn of several, to their conversation; all are kept, or none.

        Returns:
            How safe each is, ``VOLATILE`` while the storage does not answer.

        Raises:
            ValidationError: a message is not legal, or they belong to several conversations.
            StorageRefusedError: the storage refused them.
        """
        validate_batch(messages, Message)
        if len({message.conversation_id for message in messages}) > 1:
            raise ValidationError("messages", "belong to several conversations: append each turn by itself")
        return await self._write(messages) if messages else ()

    async def recent(self, conversation_id: str, limit: int = 20, user_id: str | None = None) -> tuple[Message, ...]:
        """Return the newest messages of a conversation, oldest first; in an outage, those that memory holds.

        A reply at the beginning brings the message that it answers along, so there may be one more.

        Args:
            conversation_id: which conversation.
            limit: at most this many messages.
            user_id: only messages that concern this user.
        """
        return await self.window(Window(conversation_id, limit, user_id=user_id))

    async def window(self, window: Window) -> tuple[Message, ...]:
        """Return what a window shows, oldest first; in an outage, what memory holds of it."""
        validate_batch([window], Window)
        await self.open()
        return await self._reader.read(self._entry(window.conversation_id), window)

    async def search(self, query: SearchQuery | str, **filters: Any) -> SearchResult:
        """Find messages again, by their words and their meaning; in an outage nothing is found, and it says so.

        Args:
            query: what to look for, whole or just the words.
            **filters: the other fields of the query, where it is just the words.

        Raises:
            NotSupportedError: no driver of the chain searches.
        """
        asked = SearchQuery(query, **filters) if isinstance(query, str) else query
        validate_batch([asked], SearchQuery)
        if not await self.open():
            return SearchResult(silent=(STORAGE,))
        try:
            found = (await self._store.search_messages([asked])).get(asked, SearchResult())
        except StorageUnavailableError:
            self._backlog.rest()
            return SearchResult(silent=(STORAGE,))
        return attrs.evolve(found, hits=self._reader.kept(found.hits))

    async def edit(self, conversation_id: str, message_id: str, content: str) -> Receipt:
        """Give a message new words."""
        return (await self._change(MessageEdit(conversation_id, message_id, content, self._now())))[0]

    async def redact(self, conversation_id: str, message_id: str) -> Receipt:
        """Take a message's words away, for good."""
        return (await self._change(MessageRedaction(conversation_id, message_id, self._now())))[0]

    async def clear(self, conversation_id: str) -> Receipt:
        """Clear a conversation: nothing that is in it now is read again."""
        return (await self._change(ClearMark(conversation_id, timestamp=self._now())))[0]

    async def prune(self, *, dry_run: bool = False) -> tuple[TierReport, ...]:
        """Remove the messages that the policies no longer keep, in every tier, or only count them.

        Raises:
            NotSupportedError: no driver of the chain removes what expired.
            ClockMovedError: the clock moved by more than a day since the last time, so ages cannot be believed.
            StorageUnavailableError: the storage did not answer.
        """
        moved = self._watch.moved()
        if moved is not None and not dry_run:
            raise ClockMovedError(f"nothing was pruned: the clock was moved by {moved}; see that it is right")
        await self.open()
        reports = await self._store.expire(self._policies.retentions(self._now(), "messages"), dry_run)
        self._watch.note()
        return reports

    async def erase(self, user_id: str) -> tuple[TierReport, ...]:
        """Forget a user in every tier, and in memory.

        Raises:
            StorageUnavailableError: the storage did not answer, so what it holds is still there.
        """
        await self.open()
        self._forget(user_id)
        reports = await self._store.erase_users([user_id])
        self._forget(user_id)
        return reports

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

    def _forget(self, user_id: str) -> None:
        self._backlog.forget(user_id)
        for entry in self._entries.values():
            entry.forget(user_id)

    async def _change(self, change: MessageEdit | MessageRedaction | ClearMark) -> tuple[Receipt, ...]:
        validate_batch([change], type(change))
        return await self._write([change])

    async def _write(self, items: tuple[Message, ...] | list[Waiting]) -> tuple[Receipt, ...]:
        await self.open()
        receipts = await self._backlog.write(self._entry(items[0].conversation_id), items)
        if self.pending and not self._backlog.is_resting:
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
