"""The parts of an open driver, put together; and what happens to Redis after a write."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import attrs

from whisper_persistence.errors import ConfigurationError, PersistenceError
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import Durability, Follower, Message, MessageChange, Receipt, Window
from whisper_persistence_drivers.installations import installation_of
from whisper_persistence_drivers.redis_cache.exchange import Exchange
from whisper_persistence_drivers.redis_cache.flights import Flights
from whisper_persistence_drivers.redis_cache.following import Relay
from whisper_persistence_drivers.redis_cache.near import Near
from whisper_persistence_drivers.redis_cache.reading import Reader
from whisper_persistence_drivers.redis_cache.recents import BEYOND, Limits, Recents
from whisper_persistence_drivers.redis_cache.sweeping import Sweeper
from whisper_persistence_drivers.redis_cache.tally import Tally

_log = logging.getLogger(__name__)

#: What keys begin with; the number is that of the strings' format.
_FORMAT: Final = "whisper-persistence:1"
_ALONE: Final = (
    "driver 'redis-hybrid' needs a driver below it that keeps conversations, their revisions and what followers have "
    "not seen, such as sqlite or postgres: list one after it"
)


@attrs.define(eq=False)
class Layer:
    """Recents in Redis over one database of record, which answers.

    Attributes:
        reader: reads.
        relay: repairs.
        sweeper: tidies.
        tally: counts, together with other processes.
    """

    reader: Reader
    relay: Relay
    sweeper: Sweeper
    tally: Tally
    _lasting: bool = attrs.field(default=True, init=False)

    @classmethod
    def over(cls, below: Below, namespace: str, exchange: Exchange, limits: Limits, follower: str) -> Layer:
        """Return a layer once the database below is known and keeps an outbox for it.

        Raises:
            ConfigurationError: nobody below keeps what is needed.
            StorageUnavailableError: the database did not answer.
        """
        installation = installation_of(below)
        if installation is None:
            raise ConfigurationError(_ALONE)
        prefix = f"{_FORMAT}:{installation}:"
        known = below.register_follower(follower=Follower(follower, ("amendments",)))
        if known is None or below.load_revisions(things=[]) is None or below.load_messages(windows=[]) is None:
            raise ConfigurationError(_ALONE)
        near = Near(limits.near_bytes, limits.recent, limits.ttl)
        reader = Reader(Recents(exchange, near, limits, prefix, namespace), below, Flights())
        sweeper = Sweeper(exchange, prefix, limits.max_memory)
        tally = Tally(exchange, f"{prefix}counted:{quote(namespace, safe='')}")
        return cls(reader, Relay(reader, below, follower), sweeper, tally)

    def load(self, windows: Sequence[Window]) -> Mapping[Window, tuple[Message, ...]] | None:
        """Return what each window shows."""
        return self.reader.load(windows) if self._lasting else self.reader.below.load_messages(windows=windows)

    def appended(self, messages: Sequence[Message], receipts: Sequence[Receipt]) -> None:
        """Add messages that the database took."""
        if self._kept([message.conversation_id for message in messages], receipts):
            self.reader.recents.append(messages, receipts)

    def changed(self, changes: Sequence[MessageChange], receipts: Sequence[Receipt]) -> bool:
        """Remove what lacks changes that the database took; say whether Redis was told."""
        names = [change.conversation_id for change in changes]
        if not self._kept(names, receipts):
            return False
        # In the order of the batch, in which revisions only grow.
        return not self.reader.recents.drop(dict(zip(names, (receipt.revision for receipt in receipts), strict=True)))

    def flush(self) -> dict[str, float]:
        """Have Redis told what waits for it, messages and what was counted; return what all processes counted."""
        self.reader.recents.telling.flush()
        return self.tally.read()

    def end(self) -> None:
        """End the thread that tells Redis, once it has."""
        self.reader.recents.telling.stop()
        self.tally.tell()

    def settle(self, patience: float) -> tuple[int, bool]:
        """Bring Redis up to date; return how many conversations were behind, and whether Redis was told of all."""
        try:
            return self.relay.settle(patience)
        except PersistenceError as error:
            _log.warning("recents cannot be brought up to date", extra={"error": type(error).__name__})
            return 0, False

    def _kept(self, conversations: Sequence[str], receipts: Sequence[Receipt]) -> bool:
        """Say whether the database of record itself took everything; where not, its revisions mean nothing to us."""
        safe = {receipt.durability for receipt in receipts}
        if Durability.VOLATILE in safe and self._lasting:
            self._lasting = False
            _log.warning("what is below forgets with the process, so that nothing of it may be kept in Redis")
        if safe <= {Durability.DURABLE}:
            return True
        self.reader.recents.drop(dict.fromkeys(conversations, BEYOND))
        return False
