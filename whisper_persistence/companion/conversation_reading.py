"""Reading conversations: what the store shows, what waits for it, and what the policies still show of both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.conversation_backlog import ConversationBacklog
from whisper_persistence.companion.conversation_entry import ConversationEntry
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.errors import StorageDamagedError, StorageUnavailableError
from whisper_persistence.records import Message, SearchHit, Window
from whisper_persistence.settings import StoragePolicies

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class ConversationReader:
    """Reads windows.

    Attributes:
        store: where conversations are kept.
        backlog: what waits for it.
        policies: what is still to be shown.
        now: the present moment, aware.
    """

    store: AsyncStore
    backlog: ConversationBacklog
    policies: StoragePolicies
    now: Callable[[], datetime]

    async def read(self, entry: ConversationEntry, window: Window) -> tuple[Message, ...]:
        """Return what a window shows; in an outage, what memory holds of it."""
        await self.backlog.send_pending(entry)
        if not self.backlog.is_resting:
            writes = entry.writes
            try:
                found, places = await self._load(window)
            except (StorageUnavailableError, StorageDamagedError) as error:
                _log.warning("a conversation is not known: %s", type(error).__name__)
                entry.knowledge = Knowledge.UNKNOWN
                if isinstance(error, StorageUnavailableError):
                    self.backlog.rest()
            else:
                if entry.writes == writes:
                    entry.learn(window, found, self.backlog.remembered)
                return self._shown(entry.joined(window, found), places)
        return self._shown(entry.view(window), {})

    def kept(self, hits: Sequence[SearchHit]) -> tuple[SearchHit, ...]:
        """Return the hits, and the turns around them, that are not too old to be shown."""
        return tuple(
            attrs.evolve(hit, context=self._shown(hit.context, {})) for hit in hits if self.is_kept(hit.message)
        )

    def is_kept(self, message: Message) -> bool:
        """Say whether a message is not too old to be shown."""
        return bool(self._shown((message,), {}))

    async def _load(self, window: Window) -> tuple[tuple[Message, ...], dict[str, int]]:
        """Return what the store shows, and the places of those messages that may be too many, 1 for the newest."""
        most = self.policies.most()
        is_end = window.before is None and window.after is None and window.user_id is None
        if most is None or (is_end and window.limit <= most):
            found = (await self.store.load_messages([window])).get(window, ())
            return found, {}
        newest = Window(window.conversation_id, 1)
        answer = await self.store.load_messages([window, newest])
        found, last = answer.get(window, ()), answer.get(newest, ())
        if not found or not last or (last[-1].sequence or 0) - (found[0].sequence or 0) < most:
            return found, {}
        return found, await self._places(window.conversation_id, most, found)

    async def _places(self, conversation_id: str, most: int, found: Sequence[Message]) -> dict[str, int]:
        """Return places of messages, counted over the newest ones; those beyond them are beyond every rule."""
        numbers = [rule.max_per_thing or most for rule in self.policies.rules if rule.kind == "messages"]
        counted = Window(conversation_id, max(numbers))
        newest = (await self.store.load_messages([counted])).get(counted, ())[-max(numbers) :]
        places = {message.message_id: place for place, message in enumerate(reversed(newest), 1)}
        return {message.message_id: places.get(message.message_id, max(numbers) + 1) for message in found}

    def _shown(self, messages: tuple[Message, ...], places: dict[str, int]) -> tuple[Message, ...]:
        rules = self.policies.retentions(self.now(), "messages")
        if not rules:
            return messages
        return tuple(
            message
            for message in messages
            if not any(
                rule.drops(
                    message.timestamp,
                    places.get(message.message_id, 1),
                    message.user_id,
                    message.author_id if message.role == "user" else None,
                )
                for rule in rules
            )
        )
