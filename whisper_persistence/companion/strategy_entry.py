"""What a bot holds of one user, compared with what was stored of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import attrs

from whisper_persistence.companion.history_outcomes import learned
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.strategy_differences import advance, fold, merge
from whisper_persistence.companion.strategy_shapes import blank, to_record, to_value, write_into
from whisper_persistence.records import Strategy, StrategyChange
from whisper_persistence.validation import Validated, validate_batch

T = TypeVar("T")
#: How many changes of one user wait for the store; the oldest gives way.
MAX_PENDING: Final = 500

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class StrategyEntry(Generic[T]):
    """What is held of one user.

    Attributes:
        user_id: of whom.
        session_id: the run of the bot that what it learns is noted to be of.
        value: what the bot holds, if anything.
        adopted: whether ``value`` was there before this package was.
        base: the state that ``value`` had when it was last compared.
        knowledge: whether memory knows what the store holds.
        pending: what changed and is not confirmed by the store, oldest first.
        checked: whether everything pending is known to be legal.
        read_at: when the store was last read.
        lock: held while the store is asked about this user.
    """

    user_id: str
    session_id: str = ""
    value: T | None = None
    adopted: bool = False
    base: Strategy | None = None
    knowledge: Knowledge = Knowledge.UNKNOWN
    pending: list[StrategyChange] = attrs.field(factory=list[StrategyChange])
    checked: bool = True
    read_at: float = 0.0
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def collect(self) -> bool:
        """Turn what changed in place into pending changes, and return whether any are pending.

        Raises:
            ValidationError: what is held cannot be stored; it stays as it is.
        """
        told = learned(self.base, self.value, self.session_id) if self.base and self.value is not None else None
        if told:
            change, self.base = told
            self.pending.append(change)
        elif self.value is not None:
            held = to_record(self.value, self.base or blank(self.user_id))
            first = self.adopted and self.base is None
            changes, state = advance(self.base, held, keep_style=first, session_id=self.session_id)
            if changes and state:
                validate_batch(changes, StrategyChange)
                self.base, self.value = state, write_into(self.value, state)
                self.pending += changes
        if len(self.pending) > MAX_PENDING:
            _log.error("changes dropped: too many wait for the store", extra={"user_id": self.user_id})
            del self.pending[:-MAX_PENDING]
        return bool(self.pending)

    def join(self, stored: Strategy, value_class: type[T]) -> None:
        """Join what is pending with what is stored, and let the value show both."""
        self.pending = merge(stored, self.pending) if self.pending else []
        self.checked = not self.pending
        self.base = fold(stored, self.pending)
        self.value = to_value(self.base, value_class) if self.value is None else write_into(self.value, self.base)

    def batch(self) -> Sequence[StrategyChange]:
        """Return what is pending, for the store."""
        return Validated(self.pending) if self.checked else list(self.pending)

    def confirm(self, count: int) -> None:
        """Take off the oldest that were pending."""
        del self.pending[:count]
        self.checked = self.checked or not self.pending

    def drop(self) -> None:
        """Hold nothing any more, since the store holds nothing any more."""
        self.value = self.base = None
