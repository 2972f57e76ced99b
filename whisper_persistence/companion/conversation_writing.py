"""Writing behind: what a conversation cache was told goes to the storage in order, channel by channel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from whisper_persistence.companion.conversation_channel import Channel
from whisper_persistence.companion.conversation_entry import Waiting
from whisper_persistence.companion.conversation_storage import HybridConversationStorage
from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import Message

#: How much of one channel may wait to be written; of more, the oldest are lost.
MAX_UNSENT: Final = 10_000
_RUN: Final = 100

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Writing:
    """One writer for each channel that has something to write.

    Attributes:
        storage: where it goes.
        lost: how much the storage refused, or waited too long.
    """

    storage: HybridConversationStorage
    lost: int = 0

    def start(self, channel: Channel) -> None:
        """Begin to write a channel's changes, or leave that to the first call inside an event loop."""
        while len(channel.unsent) > MAX_UNSENT:
            channel.unsent.popleft()
            self._lose("too much waits")
        if channel.unsent and (channel.writer is None or channel.writer.done()):
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            channel.writer = loop.create_task(self._write(channel))

    def waiting(self, channels: Iterable[Channel]) -> int:
        """Return how much is not handed to the storage yet."""
        return sum(len(channel.unsent) + len(channel.sending) for channel in channels)

    async def drain(self, channels: Iterable[Channel]) -> None:
        """Wait until everything is handed to the storage."""
        for channel in channels:
            self.start(channel)
            while channel.writer is not None and not channel.writer.done():
                await asyncio.wait([channel.writer])

    async def _write(self, channel: Channel) -> None:
        while channel.unsent:
            channel.sending = _next_run(channel)
            try:
                await self._send(channel.sending)
            except asyncio.CancelledError:
                channel.unsent.extendleft(reversed(channel.sending))
                raise
            finally:
                channel.sending = []

    async def _send(self, run: Sequence[Waiting]) -> None:
        try:
            if isinstance(run[0], Message):
                await self.storage.append(*[item for item in run if isinstance(item, Message)])
            else:
                await self.storage.update(run[0])
        except PersistenceError as error:
            if len(run) == 1:
                self._lose(type(error).__name__)
                return
            for item in run:
                await self._send([item])

    def _lose(self, reason: str) -> None:
        self.lost += 1
        _log.error("something of a conversation is in memory only", extra={"reason": reason})


def _next_run(channel: Channel) -> list[Waiting]:
    """Take messages that may be written together, or one change."""
    run = [channel.unsent.popleft()]
    while isinstance(run[0], Message) and channel.unsent and len(run) < _RUN:
        if not isinstance(channel.unsent[0], Message):
            break
        run.append(channel.unsent.popleft())
    return run
