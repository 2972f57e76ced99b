"""How a conversation cache is filled and emptied: storage below, the bot's network beside, writing behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.conversation_adoption import find_messages
from whisper_persistence.companion.conversation_answers import Later
from whisper_persistence.companion.conversation_bootstrap import Bootstrap
from whisper_persistence.companion.conversation_channel import Channel, Held
from whisper_persistence.companion.conversation_channels import Channels
from whisper_persistence.companion.conversation_recording import Recorder
from whisper_persistence.companion.conversation_shapes import to_stored
from whisper_persistence.companion.conversation_storage import HybridConversationStorage
from whisper_persistence.companion.conversation_writing import Writing
from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import State, fields

#: Whose replies of the bot a user's context holds: those to this user, or those to everybody.
ReplyScope = Literal["addressed", "all"]

_log = logging.getLogger(__name__)


class ChannelCache:
    """Channels of a bot, kept in a storage; what a bot asks of them is `HybridConversationCache`'s."""

    def __init__(
        self,
        cache_timeout_minutes: float = 15,
        bootstrap_limit: int = 20,
        max_local_messages: int = 50,
        storage: HybridConversationStorage | AsyncStore | None = None,
        *,
        adopt: Any = None,
        reply_scope: ReplyScope = "addressed",
        max_channels: int = 1_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with what a replaced cache holds, if anything.

        Args:
            cache_timeout_minutes: after so long a channel is read again, and one that nobody uses is forgotten.
            bootstrap_limit: how many messages the bot's network is asked for when a channel is read.
            max_local_messages: how many messages of a channel are at hand.
            storage: where conversations are kept; an `AsyncStore` is wrapped, ``None`` means what settings describe,
                opened at the first use and closed by `close`.
            adopt: the cache that this one replaces; its messages are taken over, each once.
            reply_scope: whether a user's context holds the bot's replies to that user, or to everybody.
            max_channels: how many channels are at hand; the longest unused leave.
            clock: seconds that never go back.

        Raises:
            ConfigurationError: settings are wrong.
        """
        self.cache_timeout_minutes = cache_timeout_minutes
        self.bootstrap_limit = bootstrap_limit
        self.max_local_messages = max_local_messages
        self.reply_scope = reply_scope
        self._owns_storage = not isinstance(storage, HybridConversationStorage)
        self.storage = _storage(storage)
        self._clock = clock
        self._recorder = Recorder()
        self._channels = Channels(max_local_messages, max_channels, cache_timeout_minutes * 60, clock)
        self._bootstrap = Bootstrap(self.storage, bootstrap_limit, self._recorder.record)
        self._writing = Writing(self.storage)
        self._redis_connected = False
        self.storage.store.forgetters.add(self.forget_user)
        if adopt is not None:
            self.adopt(adopt)

    async def initialize(self) -> bool:
        """Open the storage, and say whether it answers; where it does not, the cache goes on in memory."""
        try:
            is_open = await self.storage.open()
            await self._ask_health()
        except PersistenceError as error:
            _log.warning("conversations are in memory: %s", type(error).__name__)
            return False
        return is_open

    def adopt(self, replaced: Any) -> int:
        """Take over the messages that another cache holds, and return how many; doing it again changes nothing."""
        taken = 0
        for channel_id, messages in find_messages(replaced).items():
            for message in messages:
                taken += self._add(channel_id, message)
        return taken

    def forget_user(self, user_id: str) -> None:
        """Drop everything that memory holds of a user; the network does not bring it back.

        `AsyncStore.erase_users` of the same store does that by itself.
        """
        self.storage.forget_user(user_id)
        self._bootstrap.erased.put(user_id, fields.now())
        for channel in self._channels:
            channel.drop(lambda message: message.belongs_to((user_id,)))

    async def flush(self) -> int:
        """Write everything that is written behind, and return how much waits for a storage that does not answer."""
        await self._writing.drain(self._channels)
        return await self.storage.flush()

    async def close(self) -> None:
        """Write everything, and close the storage, if it is our own."""
        await self.flush()
        if self._owns_storage:
            await self.storage.aclose()

    cleanup = aclose = close

    def _add(self, channel_id: str, message: Any) -> bool:
        channel = self._channels.of(channel_id)
        record = self._recorder.record(channel, message)
        if record is None:
            return False
        channel.withdrawn.pop(record.message_id, None)
        known = channel.find(record.message_id)
        face = to_stored(record) if isinstance(message, Mapping) else message
        if known is not None and known.kept:
            known.face = face
            return False
        new = Held(record, face)
        channel.put(new)
        channel.unsent.append(new.record)
        self._writing.start(channel)
        return True

    def _written(self, channel_id: str) -> Later:
        channel = self._channels.of(channel_id)
        self._writing.start(channel)
        return Later(lambda: self._writing.drain([channel]))

    async def _ready(self, channel: Any) -> Channel:
        """Return a channel as it is now, read from storage and network where that is due."""
        found = self._channels.of(str(getattr(channel, "id", channel)))
        due = self._clock() - self.cache_timeout_minutes * 60
        if found.read_at <= due or (found.history_at <= due and hasattr(channel, "history")):
            async with found.lock:
                if found.read_at <= due or (found.history_at <= due and hasattr(channel, "history")):
                    await self._read(found, channel if found.history_at <= due else None)
        return found

    async def _read(self, found: Channel, place: Any) -> None:
        await self._writing.drain([found])
        is_known = await self._bootstrap.fill(found, place)
        if is_known:
            found.read_at = self._clock()
        if hasattr(place, "history"):
            found.history_at = self._clock()
        self._writing.start(found)

    async def _ask_health(self) -> dict[str, Any]:
        try:
            tiers = await self.storage.store.check_health() if await self.storage.open() else ()
        except PersistenceError:
            tiers = ()
        self._redis_connected = any("redis" in tier.tier and tier.state is State.UP for tier in tiers)
        return {"redis_connected": self._redis_connected, "tiers": {tier.tier: tier.state.value for tier in tiers}}


def _storage(given: HybridConversationStorage | AsyncStore | None) -> HybridConversationStorage:
    if given is None:
        return HybridConversationStorage.from_settings()
    return given if isinstance(given, HybridConversationStorage) else HybridConversationStorage(given)
