"""Every driver by itself: what one does wrong ends its own call, and after three times in a row more than that.

What leaves a hook is an answer of the right kind or one of our errors. Anything else, also a ``BaseException`` of
native code, is a mistake of the driver and told as `BrokenDriverError`; but ``KeyboardInterrupt``, ``SystemExit`` and
``CancelledError`` are wishes of the program and go through. After `FAILURES` mistakes in a row

- a driver that says ``skippable = True`` is left out, and the next one answers in its place, as it does from the
  first mistake on; only erasing and expiring are still asked of it, and fail with it, since what it holds must go too;
- of any other driver, since to leave out an encryptor would write plaintext and to leave out an owner would lose data,
  the hook is refused at once with `StorageUnavailableError`, but for one call now and then that tries it again.

Observers are guarded by `whisper_persistence.observing`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import BrokenDriverError, PersistenceError, StorageUnavailableError
from whisper_persistence.records import checks

#: So many mistakes in a row are enough.
FAILURES: Final = 3
#: How long a hook is refused the first time, and at most, in seconds.
SHORTEST: Final = 1.0
LONGEST: Final = 15.0
#: What is asked of a driver that is left out, too: what it holds must go.
_REMOVING: Final = frozenset({"erase_users", "erase_again", "settle_erasures", "expire"})

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Watched:
    """How one driver or observer fares.

    Attributes:
        name: as settings name it.
        skippable: whether the next driver may answer in its place, any call at any time.
        failures: how many mistakes it made since it was built.
        left_out: why it is left out; empty while it is not.
        impls: its implementations of hooks, by hook.
    """

    name: str
    skippable: bool = False
    failures: int = 0
    left_out: str = ""
    impls: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    def mistake(self, hook: str, problem: str) -> BrokenDriverError:
        """Count a mistake, and return the error that tells of it; the log is told of the first."""
        self.failures += 1
        if self.failures == 1:
            _log.warning("a plugin made a mistake", extra={"plugin": self.name, "hook": hook, "problem": problem})
        return BrokenDriverError(
            f"driver {self.name!r} {problem} in {hook}, so what it did is unknown: tell its author"
        )

    def leave_out(self, hook: str, stand_in: Callable[..., Any], kept: Container[str] = ()) -> None:
        """Have something else stand in for it in every hook but some, after mistakes in one of them."""
        if not self.left_out:
            self.left_out = f"after {FAILURES} mistakes in a row in {hook}"
            _log.warning("a plugin is left out", extra={"plugin": self.name, "hook": hook, "failures": self.failures})
        for name, impl in self.impls.items():
            if name not in kept:
                impl.function = stand_in

    def told(self, reports: Sequence[rec.TierHealth]) -> tuple[rec.TierHealth, ...]:
        """Return the reports of all tiers with what is known of this one."""
        if not self.failures:
            return tuple(reports)
        facts: dict[str, Any] = {"failures": self.failures}
        if self.left_out:
            facts["left_out"] = self.left_out
        if all(tier.tier != self.name for tier in reports):
            return (*reports, rec.TierHealth(self.name, rec.State.DEGRADED, None, facts))
        return tuple(_degraded(tier, facts) if tier.tier == self.name else tier for tier in reports)


@attrs.define(eq=False)
class Turn:
    """Whether one hook of one driver may be asked.

    Attributes:
        watched: the driver.
        hook: the hook.
        has_next: says whether another driver of the chain answers it after this one.
        misses: how many mistakes it made in a row.
        until: until when it is refused, by a clock that never goes back; 0 for not at all.
    """

    watched: Watched
    hook: str
    has_next: Callable[[], bool]
    misses: int = 0
    until: float = 0.0
    _pause: float = SHORTEST

    def enter(self) -> None:
        """Let calls pass, but where it is refused only one whose time has come, and no other while that is on its way.

        Raises:
            StorageUnavailableError: its time has not come.
        """
        if not self.until:
            return
        now = time.monotonic()
        if now < self.until:
            raise StorageUnavailableError(
                f"driver {self.watched.name!r} made {self.misses} mistakes in a row in {self.hook} and is left alone "
                "for a while: tell its author"
            )
        self.until = now + LONGEST

    def mend(self) -> None:
        """Forget the mistakes: it answered."""
        self.misses, self.until, self._pause = 0, 0.0, SHORTEST

    def missed(self, problem: str) -> None:
        """Count a mistake; it returns where the next driver is to answer.

        Raises:
            BrokenDriverError: no other may.
        """
        broken = self.watched.mistake(self.hook, problem)
        self.misses += 1
        skipped = self.watched.skippable and self.hook not in _REMOVING
        if self.misses >= FAILURES and skipped:
            self.watched.leave_out(self.hook, _absent, kept={*_REMOVING, "check_health"})
        elif self.misses >= FAILURES and not self.watched.skippable:
            self.until = time.monotonic() + self._pause
            self._pause = min(LONGEST, 2 * self._pause)
        if not (skipped and self.has_next()):
            raise broken from None


def guarded(turn: Turn, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an implementation of a driver's hook that answers as it must, or raises one of our errors."""
    plain, fits = _check_of(turn.hook)

    def call(*arguments: Any) -> Any:
        if turn.misses:
            turn.enter()
        try:
            answer = function(*arguments)
        except PersistenceError:
            if turn.misses:
                turn.mend()
            raise
        except BaseException as error:
            if is_wish(error):
                raise
            return turn.missed(let_escape(error))
        if answer.__class__ is not plain and answer is not None and not fits(answer, arguments[0] if arguments else ()):
            return turn.missed(f"answered with a {type(answer).__name__} that is not what is asked for")
        if turn.misses:
            turn.mend()
        return answer

    call.__name__ = turn.hook
    return call


def guarded_health(watched: Watched, function: Callable[[], Any]) -> Callable[[], Any]:
    """Return a driver's report of its health; where it makes a mistake in it, the next one is asked for its own."""

    def call() -> Any:
        try:
            return function()
        except PersistenceError:
            raise
        except BaseException as error:
            if is_wish(error):
                raise
            watched.mistake("check_health", let_escape(error))
            return None

    call.__name__ = "check_health"
    return call


def is_wish(error: BaseException) -> bool:
    """Say whether an error is no mistake, but tells that the program wants to end something."""
    from asyncio import CancelledError

    return isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError))


def let_escape(error: BaseException) -> str:
    """Return what happened and where, without the error's own words, which may be private."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_filename.rpartition(os.sep)[2]}:{trace.tb_lineno})" if trace else ""
    return f"let {type(error).__name__} escape{where}"


def _absent(*_: Any) -> None:
    """Answer as a driver that has not the hook."""


def _degraded(tier: rec.TierHealth, facts: dict[str, Any]) -> rec.TierHealth:
    state = rec.State.DEGRADED if tier.state is rec.State.UP else tier.state
    return attrs.evolve(tier, state=state, details={**tier.details, **facts})


def _check_of(hook: str) -> tuple[type | None, Callable[[Any, Any], bool]]:
    """Return a class that a hook's answer may have without a further look, and what tells of any other answer."""
    if hook.startswith(("save_", "update_")):
        return None, _are_receipts
    if hook in ("scan", "scan_messages"):
        return None, _is_page
    if hook == "search_messages" or (hook.startswith("load_") and hook not in ("load_pending", "load_erasures")):
        return dict, lambda answer, _: isinstance(answer, Mapping)
    return None, lambda answer, _: True


def _is_page(answer: Any, _: Any) -> bool:
    return isinstance(answer, rec.Page) and (answer.cursor is None or checks.check_text(answer.cursor) is None)


def _are_receipts(answer: Any, items: Any) -> bool:
    if answer.__class__ is not list and not isinstance(answer, Sequence):
        return False
    receipts = cast("Sequence[Any]", answer)
    return len(receipts) == len(items) and (not receipts or isinstance(receipts[-1], rec.Receipt))
