"""The way of conversations to the store: what it could not take waits in memory, in order, and goes first later."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import attrs

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.asynchronous import asynchronous
from whisper_persistence.companion.conversation_entry import ConversationEntry, Waiting
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.errors import BrokenDriverError, StorageRefusedError, StorageUnavailableError, ValidationError
from whisper_persistence.records import Durability, Message, Receipt
from whisper_persistence.records.checks import MAX_BATCH

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class ConversationBacklog:
    """Writes conversations, and keeps in memory what the store does not take.

    A message has an id and a change has one, and sending either twice equals once, so sending it again after an answer
    was lost is safe.

    Attributes:
        store: where everything goes.
        remembered: how many messages of a conversation are kept in memory.
        limit: how many messages and changes may wait; of more, the oldest are lost.
        retry_seconds: how long a store that did not answer is left alone.
        clock: seconds that never go back.
        lost: how many that waited were lost, to the limit or because the store refused them.
    """

    store: AsyncStore = attrs.field(converter=asynchronous)
    remembered: int = 100
    limit: int = 10_000
    retry_seconds: float = 1.0
    clock: Callable[[], float] = time.monotonic
    lost: int = 0
    _late: dict[str, ConversationEntry] = attrs.field(factory=dict[str, ConversationEntry])
    _ask_again_at: float = 0.0
    _send_again_at: float = 0.0

    def __len__(self) -> int:
        return sum(len(entry.pending) for entry in self._late.values())

    @property
    def is_resting(self) -> bool:
        """Whether the store did not answer a moment ago, and is not asked."""
        return self.clock() < self._ask_again_at

    @property
    def is_shut(self) -> bool:
        """Whether the store took nothing a moment ago, and is sent nothing."""
        return self.clock() < self._send_again_at

    def rest(self) -> None:
        """Ask the store nothing for a while, because it did not answer; it may take what it is sent all the same."""
        self._ask_again_at = self.clock() + self.retry_seconds

    def shut(self) -> None:
        """Leave the store alone for a while, because it took nothing."""
        self.rest()
        self._send_again_at = self._ask_again_at

    async def write(self, entry: ConversationEntry, items: Sequence[Waiting]) -> tuple[Receipt, ...]:
        """Send messages or changes, after those of the conversation that wait; in an outage they wait too.

        Raises:
            StorageRefusedError: the store refused them.
        """
        async with entry.lock:
            await self._send_pending(entry)
            if entry.pending or self.is_shut:
                return self._hold(entry, items)
            try:
                receipts = await self._send(entry, items)
            except StorageUnavailableError:
                return self._hold(entry, items)
            entry.confirm(_taken(items, receipts), self.remembered)
            return receipts

    async def send_pending(self, entry: ConversationEntry) -> None:
        """Send what waits of a conversation, as far as the store takes it."""
        if entry.pending:
            async with entry.lock:
                await self._send_pending(entry)

    async def flush(self) -> int:
        """Send what waits of every conversation, and return how much still waits."""
        entries = list(self._late.values())
        for first in range(0, len(entries), 100):
            await asyncio.gather(*map(self.send_pending, entries[first : first + 100]))
        return len(self)

    def forget(self, user_id: str) -> None:
        """Drop what waits of a user's messages."""
        for entry in list(self._late.values()):
            entry.forget(user_id)
            self._notice(entry)

    async def _send(self, entry: ConversationEntry, items: Sequence[Waiting]) -> tuple[Receipt, ...]:
        entry.writes += 1
        try:
            if isinstance(items[0], Message):
                return tuple(await self.store.save_messages([item for item in items if isinstance(item, Message)]))
            return tuple(await self.store.update_messages([item for item in items if not isinstance(item, Message)]))
        except StorageUnavailableError:
            self.shut()
            entry.knowledge = Knowledge.UNKNOWN
            raise
        except asyncio.CancelledError:
            entry.knowledge, entry.seen = Knowledge.UNKNOWN, ()
            raise
        finally:
            entry.writes += 1

    async def _send_pending(self, entry: ConversationEntry) -> None:
        size = MAX_BATCH
        while entry.pending and not self.is_shut:
            run = _first_run(entry.pending, size)
            try:
                receipts = await self._send(entry, run)
            except StorageUnavailableError:
                return
            except (StorageRefusedError, ValidationError, BrokenDriverError) as error:
                if len(run) == 1:
                    self._drop(entry, type(error).__name__)
                size = 1
                continue
            entry.confirm(_taken(run, receipts), self.remembered)
            sent = set(map(id, run))
            entry.pending = [item for item in entry.pending if id(item) not in sent]
            self._notice(entry)

    def _hold(self, entry: ConversationEntry, items: Sequence[Waiting]) -> tuple[Receipt, ...]:
        if not self._late:
            _log.warning("the storage does not answer: conversations go on in memory")
        entry.knowledge = Knowledge.UNKNOWN
        entry.pending += items
        self._late.setdefault(entry.conversation_id, entry)
        while len(self) > self.limit:
            self._drop(next(iter(self._late.values())), "too many wait")
        return tuple(Receipt(Durability.VOLATILE, 0) for _ in items)

    def _drop(self, entry: ConversationEntry, reason: str) -> None:
        del entry.pending[0]
        self.lost += 1
        _log.error("something that waited for the storage is lost", extra={"reason": reason})
        self._notice(entry)

    def _notice(self, entry: ConversationEntry) -> None:
        if not entry.pending and entry.conversation_id in self._late:
            del self._late[entry.conversation_id]
            if not self._late:
                _log.info("nothing waits for the storage any more")


def _first_run(pending: Sequence[Waiting], size: int) -> list[Waiting]:
    """Return the first that wait and go to the same hook, at most so many."""
    run: list[Waiting] = []
    for item in pending[:size]:
        if run and isinstance(item, Message) is not isinstance(run[0], Message):
            break
        run.append(item)
    return run


def _taken(items: Sequence[Waiting], receipts: Sequence[Receipt]) -> list[Waiting]:
    """Return what was sent, its messages with the positions that the store gave them.

    A message that was stored before is left out: it may have been edited, redacted or cleared since.
    """
    return [
        attrs.evolve(item, sequence=receipt.sequence) if isinstance(item, Message) else item
        for item, receipt in zip(items, receipts, strict=True)
        if not receipt.repeated
    ]
