"""The channels of a conversation cache: made when they are first met, forgotten when nobody uses them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

import attrs

from whisper_persistence.companion.conversation_channel import Channel


@attrs.define(eq=False)
class Channels:
    """Channels by id, the longest unused first.

    Attributes:
        most: how many messages a channel holds.
        limit: how many channels there may be; those that are busy do not leave.
        idle: after so many seconds without use one is forgotten.
        clock: seconds that never go back.
    """

    most: int
    limit: int
    idle: float
    clock: Callable[[], float]
    _channels: OrderedDict[str, Channel] = attrs.field(factory=OrderedDict[str, Channel])

    def __iter__(self) -> Iterator[Channel]:
        """Iterate over those that are not forgotten."""
        self._forget_idle()
        return iter(list(self._channels.values()))

    def of(self, channel_id: str) -> Channel:
        """Return a channel, which counts as using it."""
        channel = self._channels.get(channel_id)
        if channel is None:
            channel = self._channels[channel_id] = Channel(channel_id, self.most)
        channel.used_at = self.clock()
        self._channels.move_to_end(channel_id)
        self._forget_idle()
        return channel

    def _forget_idle(self) -> None:
        """Forget from the longest unused on; one that is busy waits for its turn among the others."""
        since = self.clock() - self.idle
        for channel_id, channel in list(self._first()):
            if channel.used_at > since and len(self._channels) <= self.limit:
                return
            if channel.is_busy:
                self._channels.move_to_end(channel_id)
            else:
                del self._channels[channel_id]

    def _first(self) -> Iterator[tuple[str, Channel]]:
        """Iterate over a few of the longest unused, but never the newest."""
        few = min(len(self._channels) - 1, max(8, len(self._channels) - self.limit))
        return (entry for _, entry in zip(range(few), self._channels.items(), strict=False))
