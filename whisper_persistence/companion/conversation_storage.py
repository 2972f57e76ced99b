"""The talk itself, for a bot: appended, read, searched, pruned and erased, also while the storage does not answer."""

from __future__ import annotations

from typing import Any, Final

import attrs

from whisper_persistence.companion.conversation_link import ConversationLink
from whisper_persistence.errors import ClockMovedError, NotSupportedError, StorageUnavailableError, ValidationError
from whisper_persistence.records import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Receipt,
    Revision,
    SearchQuery,
    SearchResult,
    Thing,
    TierReport,
    Window,
)
from whisper_persistence.validation import validate_batch

#: The name under which a search says that the whole storage did not answer.
STORAGE: Final = "storage"


class HybridConversationStorage(ConversationLink):
    """Conversations on the storage that settings choose: what is recent comes fast, what is old stays, all is found.

    The chain of drivers decides where things lie: with ``redis-hybrid`` above a database the newest messages come from
    Redis. While the storage does not answer, a conversation is *unknown*: it goes on in memory, receipts say
    ``VOLATILE``, and what waits is joined with what is stored as soon as the storage answers. What the policies no
    longer keep is not shown either, from the moment that it expires; `prune` removes it.
    """

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
        return await self.update(MessageEdit(conversation_id, message_id, content, self._now()))

    async def redact(self, conversation_id: str, message_id: str) -> Receipt:
        """Take a message's words away, for good."""
        return await self.update(MessageRedaction(conversation_id, message_id, self._now()))

    async def clear(self, conversation_id: str) -> Receipt:
        """Clear a conversation: nothing that is in it now is read again."""
        return await self.update(ClearMark(conversation_id, timestamp=self._now()))

    async def update(self, change: MessageChange) -> Receipt:
        """Edit, redact or clear by a change with an id of its own; in an outage it waits, after what waits already."""
        validate_batch([change], MessageEdit, MessageRedaction, ClearMark)
        return (await self._write([change]))[0]

    async def revisions(self, *things: Thing) -> dict[Thing, Revision]:
        """Return how often conversations and users were changed and erased, as far as the storage says now."""
        if not await self.open():
            return {}
        try:
            return dict(await self._store.load_revisions(things))
        except NotSupportedError:
            return {}
        except StorageUnavailableError:
            self._backlog.rest()
            return {}

    def keeps(self, message: Message) -> bool:
        """Say whether the policies still show a message of this age."""
        return self._reader.is_kept(message)

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
        return await self._store.erase_users([user_id])
