"""Changes on their way to the store: those that it could not take wait here, and go first once it answers again.

A change carries its own id and applying it twice equals once, so sending it again after an answer was lost is safe.

Conversations have a backlog of their own, `conversation_backlog`: there each conversation waits by itself and a turn of
several messages is one write; here all changes wait in one line, each by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import attrs

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.asynchronous import asynchronous
from whisper_persistence.errors import StorageUnavailableError, StoreClosedError
from whisper_persistence.records import (
    Durability,
    PatternChange,
    Preferences,
    PreferencesChange,
    Receipt,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
    fields,
)
from whisper_persistence.records.checks import MAX_BATCH
from whisper_persistence.validation import validate_batch

_log = logging.getLogger(__name__)

_TAKES: Final = {
    "save_preferences": Preferences,
    "save_statistics": Statistics,
    "save_strategies": Strategy,
    "update_patterns": PatternChange,
    "update_preferences": PreferencesChange,
    "update_statistics": StatisticsChange,
    "update_strategies": StrategyChange,
}

#: Returns hooks and items, maybe none.
Later: TypeAlias = Callable[[], Sequence[tuple[str, Any]]]


def _ignore(item: Any, receipt: Receipt) -> None:
    """Take no notice of what the store took."""


def _legal(changes: Sequence[tuple[str, Any]]) -> Sequence[tuple[str, Any]]:
    """Return what is to wait, if the store will take it: refused only then, it would be lost."""
    for hook, item in changes:
        validate_batch([item], _TAKES[hook])
    return changes


@attrs.define(eq=False)
class _Entry:
    hook: str
    item: Any
    later: Later | None = None
    key: str = attrs.field(init=False)
    receipt: Receipt = attrs.field(init=False, default=Receipt(Durability.VOLATILE, 0))
    error: BaseException | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.key = getattr(self.item, "change_id", None) or fields.new_id()


@attrs.define(eq=False)
class Backlog:
    """The way to the store that survives an outage.

    Attributes:
        store: where changes go.
        limit: how many may wait; of more, the oldest are lost.
        retry_seconds: how long a store that did not answer is left alone; then one change is tried before the others.
        clock: seconds that only grow.
        taken: called with each change that the store took, and its receipt.
        lost: how many changes that waited were lost, to the limit or because the store refused them.
    """

    store: AsyncStore = attrs.field(converter=asynchronous)
    limit: int = 1_000
    retry_seconds: float = 1.0
    clock: Callable[[], float] = time.monotonic
    taken: Callable[[Any, Receipt], None] = _ignore
    lost: int = 0
    _waiting: dict[str, _Entry] = attrs.field(factory=dict[str, _Entry])
    _of_user: dict[str, dict[str, _Entry]] = attrs.field(factory=dict[str, dict[str, _Entry]])
    _silent_at: float | None = None
    _unheard_at: float | None = None
    _flushing: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def __len__(self) -> int:
        return len(self._waiting)

    def has(self, user_id: str) -> bool:
        """Say whether anything waits about a user."""
        return user_id in self._of_user

    def waiting(self, user_id: str, *hooks: str) -> list[Any]:
        """Return what waits to be sent to these hooks about a user, oldest first."""
        return [entry.item for entry in self._of_user.get(user_id, {}).values() if entry.hook in hooks]

    def forget(self, user_id: str) -> None:
        """Drop what waits about exactly this user."""
        for entry in list(self._of_user.get(user_id, {}).values()):
            self._remove(entry)

    async def write(self, hook: str, item: Any, later: Later | None = None) -> Receipt:
        """Send a change, after those that wait; in an outage it waits in memory, and its receipt says ``VOLATILE``.

        Args:
            hook: where to.
            item: the change, or a whole record.
            later: asked only if it has to wait: the hooks and changes, maybe none, that wait instead of it, because a
                whole record would wipe what others wrote.

        Raises:
            PersistenceError: it is not legal, or the store refused it, which an outage is not.
        """
        entry = _Entry(hook, item, later)
        if not self._waiting and not self._is_resting(self._silent_at):
            await self._send(entry)
            if entry.error is not None:
                raise entry.error
            return entry.receipt
        _legal([(hook, item)])
        waiting = self._keep(entry)
        error = await self._send_waiting() or next((each.error for each in waiting if each.error), None)
        if error is not None:
            for each in waiting:
                self._remove(each)
            raise error
        return waiting[-1].receipt if waiting else entry.receipt

    async def ask(self, hook: str, item: Any) -> Any:
        """Return what the store answers to one question, after it was sent what waits.

        Raises:
            StorageUnavailableError: the storage did not answer, or did not a moment ago.
        """
        if self._waiting:
            await self.flush()
        if self._is_resting(self._silent_at) or self._is_resting(self._unheard_at):
            raise StorageUnavailableError(f"{hook} was not asked: the storage did not answer a moment ago")
        try:
            return await getattr(self.store, hook)([item])
        except StorageUnavailableError:
            self._unheard_at = self.clock()  # which does not keep changes back: a driver may take them all the same
            raise

    async def flush(self) -> int:
        """Send what waits, in order, as far as the store takes it, and return how much still waits."""
        await self._send_waiting()
        return len(self._waiting)

    async def _send_waiting(self) -> BaseException | None:
        """Send what waits, and return what else than an outage kept the store from taking it."""
        async with self._flushing:
            while self._waiting and not self._is_resting(self._silent_at):
                run = self._next_run(1 if self._silent_at is not None else MAX_BATCH)
                await asyncio.gather(*map(self._send, run))
                left = [entry for entry in run if entry.key in self._waiting]
                if left:
                    return left[0].error
                if not self._waiting:
                    _log.info("all changes that waited were sent")
        return None

    def _next_run(self, most: int) -> list[_Entry]:
        """Return the oldest that wait, up to where another hook comes: hooks do not keep an order among each other."""
        run: list[_Entry] = []
        for entry in self._waiting.values():
            if len(run) == most or (run and entry.hook != run[0].hook):
                break
            run.append(entry)
        return run

    async def _send(self, entry: _Entry) -> None:
        entry.error = None
        try:
            (entry.receipt,) = await getattr(self.store, entry.hook)([entry.item])
        except StoreClosedError as error:
            entry.error = error
        except StorageUnavailableError:
            self._silent_at = self.clock()
            self._keep(entry)
        except asyncio.CancelledError:
            self._keep(entry)
            raise
        except Exception as error:
            self._silent_at = None
            entry.error = error
            self._drop(entry)
        else:
            self._silent_at = None
            self._remove(entry)
            self.taken(entry.item, entry.receipt)

    def _keep(self, entry: _Entry) -> Sequence[_Entry]:
        """Let an entry wait, or what is to wait instead of it, and return that.

        Raises:
            ValidationError: what is to wait instead is not legal.
        """
        kept = [entry] if entry.later is None else [_Entry(*each) for each in _legal(entry.later())]
        if not self._waiting:
            _log.warning("the storage does not answer: changes wait in memory")
        for each in kept:
            self._waiting.setdefault(each.key, each)
            self._of_user.setdefault(each.item.user_id, {}).setdefault(each.key, each)
        while len(self._waiting) > self.limit:
            self._drop(next(iter(self._waiting.values())))
        return kept

    def _remove(self, entry: _Entry) -> bool:
        user_id = entry.item.user_id
        own = self._of_user.get(user_id, {})
        own.pop(entry.key, None)
        if not own:
            self._of_user.pop(user_id, None)
        return self._waiting.pop(entry.key, None) is not None

    def _drop(self, entry: _Entry) -> None:
        if self._remove(entry):
            self.lost += 1
            facts = {"hook": entry.hook, "error": type(entry.error).__name__, "user_id": entry.item.user_id}
            _log.warning("a change that waited is lost", extra=facts)

    def _is_resting(self, since: float | None) -> bool:
        return since is not None and self.clock() < since + self.retry_seconds
