"""Filling a channel of a conversation cache: from the storage first, then from the bot's network."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from whisper_persistence.companion.conversation_channel import Channel, Held
from whisper_persistence.companion.conversation_storage import HybridConversationStorage
from whisper_persistence.companion.importance_cache import Bounded
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.records import Message, Revision, Thing, fields

#: How long the network may take to tell what was said in a channel, in seconds.
HISTORY_SECONDS: Final = 10.0
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_REMEMBERED: Final = 10_000

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Bootstrap:
    """Fills channels. What is gone from the storage does not come back from the network.

    A channel that was cleared, and a user who was erased, are shown nothing of the network from before that; over a
    restart, when that moment is not known any more, nothing from before this process. Where the storage shows the
    beginning of a channel no more, the network adds nothing from before what it does show.

    Attributes:
        storage: where conversations are kept.
        limit: how many messages the network is asked for.
        record: makes a record of a message of the network.
        began: when this process began.
        cleared: when channels were cleared in this process.
        erased: when users were erased in this process.
    """

    storage: HybridConversationStorage
    limit: int
    record: Callable[[Channel, Any], Message | None]
    began: datetime = attrs.field(factory=fields.now)
    cleared: Bounded[str, datetime] = attrs.field(factory=lambda: Bounded[str, datetime](_REMEMBERED))
    erased: Bounded[str, datetime] = attrs.field(factory=lambda: Bounded[str, datetime](_REMEMBERED))

    async def fill(self, channel: Channel, place: Any) -> bool:
        """Read storage and network, join both with what is held, and say whether the storage answered.

        Args:
            channel: what to fill.
            place: the bot's own channel, whose ``history`` is asked, if it has one.
        """
        talk = Thing("conversation", channel.channel_id)
        while True:
            version, puts = channel.version, channel.puts
            position = (await self.storage.revisions(talk)).get(talk, Revision())
            stored = await self.storage.recent(channel.channel_id, channel.most)
            is_known = self.storage.knowledge(channel.channel_id) is not Knowledge.UNKNOWN
            said = await self._history(channel, place)
            floors = await self._floors(channel, stored, said, position) if is_known and said else {}
            if version == channel.version:
                break
        late = {held.record.message_id for held in channel.held if held.number > puts} | channel.waiting()
        self._join(channel, stored, late, is_known)
        if said is not None:
            self._add(channel, said, floors, is_known)
        return is_known

    def _join(self, channel: Channel, stored: Sequence[Message], late: set[str], is_known: bool) -> None:
        """Hold what is stored, and beside it what came too late to be read, or from the network only."""
        local = [held for held in channel.held if held.record.message_id in late or not is_known or not held.kept]
        channel.replace(stored, local)

    def _add(self, channel: Channel, said: Sequence[Held], floors: dict[str, datetime], is_known: bool) -> None:
        """Hold what the network says beside that, and keep what is newer than all that is kept."""
        channel.held = [held for held in channel.held if held.kept or not is_known]
        cleared = self.cleared.get(channel.channel_id) or _EARLIEST
        newest = max((held.record.timestamp for held in channel.held if held.kept), default=_EARLIEST)
        for held in said:
            message, known = held.record, channel.find(held.record.message_id)
            if known is not None or message.message_id in channel.withdrawn or message.timestamp <= cleared:
                continue
            if self._is_admitted(message, floors):
                held.kept = is_known and message.timestamp > newest
                channel.put(held)
                if held.kept:
                    channel.unsent.append(held.record)

    def _is_admitted(self, message: Message, floors: dict[str, datetime]) -> bool:
        floor = max(floors.get("", _EARLIEST), floors.get(message.user_id, _EARLIEST))
        erased = self.erased.get(message.user_id) or _EARLIEST
        return message.timestamp > max(floor, erased) and self.storage.keeps(message)

    async def _floors(
        self, channel: Channel, stored: Sequence[Message], said: Sequence[Held], position: Revision
    ) -> dict[str, datetime]:
        """Return from when on messages of the network are shown: under ``""`` all, under a user's id theirs."""
        users = {held.record.user_id for held in said}
        found = await self.storage.revisions(*(Thing("user", user_id) for user_id in sorted(users)))
        erased = [thing.thing_id for thing, at in found.items() if at.epoch]
        floors = {user_id: self.erased.get(user_id) or self.began for user_id in erased}
        return {**floors, "": self._floor(channel, stored, position)}

    def _floor(self, channel: Channel, stored: Sequence[Message], at: Revision) -> datetime:
        if stored:
            first = stored[0].sequence or 1
            return stored[0].timestamp if first > 1 else _EARLIEST
        return (self.cleared.get(channel.channel_id) or self.began) if at.sequence else _EARLIEST

    async def _history(self, channel: Channel, place: Any) -> list[Held] | None:
        """Return what the network says was said, oldest first, or ``None`` where it does not say."""
        if not callable(getattr(place, "history", None)):
            return None
        try:
            async with asyncio.timeout(HISTORY_SECONDS):
                found = [message async for message in place.history(limit=self.limit)]
        except Exception as error:
            _log.warning("a channel was not filled from the network: %s", type(error).__name__)
            return None
        records = [(self.record(channel, message), message) for message in reversed(found)]
        held = [Held(record, message, kept=False) for record, message in records if record is not None]
        return sorted(held, key=lambda one: one.record.timestamp)
