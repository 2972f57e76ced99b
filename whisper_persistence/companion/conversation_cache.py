"""A drop-in for WhisperEngine's conversation caches that remembers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from whisper_persistence.companion.conversation_answers import Later, Stats
from whisper_persistence.companion.conversation_cache_core import ChannelCache
from whisper_persistence.companion.conversation_channel import Held
from whisper_persistence.records import ClearMark, Message, MessageEdit, MessageRedaction, TierReport

_LOOK_BEHIND: Final = 5


class HybridConversationCache(ChannelCache):
    """The newest messages of each channel at hand, and all of them kept.

    Code written for the synchronous cache and for the asynchronous one both work: what does not need to be waited for
    answers at once, and may be awaited. It never raises because the storage does not answer.
    """

    def add_message(self, conversation_key: Any, message: Any) -> Later:
        """Hold a message and write it behind, in order; awaiting the answer waits until it is written.

        Args:
            conversation_key: the channel's id.
            message: a live message, or a mapping of any of the bot's caches.
        """
        self._add(str(conversation_key), message)
        return self._written(str(conversation_key))

    async def get_conversation_context(
        self, channel: Any, limit: int = 5, exclude_message_id: int | str | None = None
    ) -> list[Any]:
        """Return the newest messages of a channel, oldest first: live ones as they were added, others as mappings.

        Args:
            channel: the bot's channel, or its id.
            limit: at most this many messages.
            exclude_message_id: one to leave out, such as the message that is being answered.
        """
        return _faces((await self._ready(channel)).held, limit, exclude_message_id)

    async def get_user_conversation_context(
        self, channel: Any, user_id: int | str, limit: int = 5, exclude_message_id: int | str | None = None
    ) -> list[Any]:
        """Return what a user said in a channel and what the bot replied to them, as `get_conversation_context` does."""
        found = await self._ready(channel)
        user = str(user_id)
        found.asked = (user, None if exclude_message_id is None else str(exclude_message_id))
        shown = [held for held in found.held if self._concerns(held.record, user)]
        if limit > 0 and len(shown) <= limit and len(found.held) >= found.most and self.reply_scope == "addressed":
            older = await self.storage.recent(found.channel_id, limit + _LOOK_BEHIND, user)
            known = {held.record.message_id for held in shown} | found.withdrawn.keys()
            shown = [*(Held.of(m) for m in older if m.message_id not in known and self._concerns(m, user)), *shown]
            shown.sort(key=lambda held: held.record.timestamp)
        return _faces(shown, limit, exclude_message_id)

    def remove_message(self, channel_id: Any, message_id: Any) -> Later:
        """Take a message out for good: its words are removed from the storage, too."""
        channel, gone = self._channels.of(str(channel_id)), str(message_id)
        channel.change(MessageRedaction(channel.channel_id, gone))
        channel.drop(lambda message: message.message_id == gone)
        return self._written(channel.channel_id)

    def sync_with_storage(self, channel_id: Any, message: Any, storage_success: bool | None) -> Later:
        """Take a message back that the bot's own storage did not keep, until it is added again."""
        if not storage_success:
            channel, gone = self._channels.of(str(channel_id)), str(getattr(message, "id", message))
            if isinstance(message, Mapping):
                gone = str(cast("Mapping[str, Any]", message).get("id"))
            channel.drop(lambda held: held.message_id == gone)
            channel.withdrawn[gone] = None
            while len(channel.withdrawn) > channel.most:
                del channel.withdrawn[next(iter(channel.withdrawn))]
        return self._written(str(channel_id))

    def clear_channel_cache(self, channel_id: Any) -> Later:
        """Clear a channel for good: nothing that was said in it until now is shown again, also after a restart."""
        channel, mark = self._channels.of(str(channel_id)), ClearMark(str(channel_id))
        self._bootstrap.cleared.put(channel.channel_id, mark.timestamp)
        channel.held.clear()
        channel.version += 1
        channel.unsent.append(mark)
        return self._written(channel.channel_id)

    def on_message_edit(self, before: Any, after: Any) -> Later:
        """Take over new words, for the bot's handler of that name."""
        del before
        key, facts = str(after.channel.id), self._recorder.facts(after)
        if facts is None:
            return self._written(key)
        channel = self._channels.of(key)
        held = channel.find(facts.message_id)
        change = MessageEdit(key, facts.message_id, facts.content)
        if held is not None:
            held.record, held.face = change.apply_to(held.record), after
        channel.change(change)
        return self._written(key)

    def on_message_delete(self, message: Any) -> Later:
        """Take a message out for good, for the bot's handler of that name."""
        return self.remove_message(message.channel.id, message.id)

    def get_cache_stats(self) -> Stats:
        """Return numbers under the keys of every cache that this one stands for."""
        channels = list(self._channels)
        total = sum(len(channel.held) for channel in channels)
        average = total / len(channels) if channels else 0
        count = len(channels)
        numbers = {
            "cached_channels": count,
            "channels_cached": count,
            "memory_conversations": count,
            "total_conversations": count,
            "total_cached_messages": total,
            "total_messages": total,
            "memory_messages": total,
            "avg_messages_per_channel": average,
            "cache_timeout_minutes": self.cache_timeout_minutes,
            "cache_ttl_hours": self.cache_timeout_minutes / 60,
            "bootstrap_limit": self.bootstrap_limit,
            "max_local_messages": self.max_local_messages,
            "redis_connected": self._redis_connected,
            "cache_type": "whisper-persistence",
            "waiting": self._writing.waiting(channels) + self.storage.pending,
            "lost": self._writing.lost + self.storage.lost,
        }
        return Stats(numbers, self._ask_health)

    get_stats = get_cache_stats

    async def erase_user(self, user_id: int | str) -> tuple[TierReport, ...]:
        """Forget a user in every layer: here, in the storage, and in what the bot's network still tells.

        Raises:
            StorageUnavailableError: the storage did not answer, so what it holds is still there.
        """
        user = str(user_id)
        self.forget_user(user)
        await self._writing.drain(self._channels)
        return await self.storage.erase(user)

    async def get_conversation(self, user_id: Any, conversation_id: Any) -> dict[str, Any] | None:
        """Return a conversation as the bot's universal chat keeps it, or ``None`` where there is nothing."""
        del user_id
        held = (await self._ready(str(conversation_id))).held
        if not held:
            return None
        messages = [
            {
                "user_id": one.record.author_id,
                "content": one.record.content,
                "timestamp": one.record.timestamp.isoformat(),
            }
            for one in held
        ]
        return {"messages": messages, "last_activity": messages[-1]["timestamp"]}

    async def store_conversation(
        self, user_id: Any, conversation_id: Any, data: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Keep a conversation as the universal chat hands it over, or a message with its response.

        Args:
            user_id: who talked.
            conversation_id: which conversation; or the user's message.
            data: a mapping with ``messages``; or the response.
            metadata: of the message and its response, with a ``channel_id`` where there is one.
        """
        key, messages = self._recorder.unpack(str(user_id), conversation_id, data, metadata or {})
        for message in messages:
            self._add(key, message)
        await self._written(key)

    def _concerns(self, message: Message, user_id: str) -> bool:
        if message.role == "assistant":
            return self.reply_scope == "all" or message.user_id == user_id
        return message.author_id == user_id


def _faces(shown: Iterable[Held], limit: int, excluded: int | str | None) -> list[Any]:
    left_out = None if excluded is None else str(excluded)
    faces = [held.face for held in shown if held.record.message_id != left_out and not held.record.is_redacted()]
    return faces[-limit:] if limit > 0 else []
