"""Removing what the storage policies no longer keep: once, for an operator, or again and again beside a bot."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import attrs

from whisper_persistence.aio import AsyncStore
from whisper_persistence.clocks import ClockWatch
from whisper_persistence.errors import ClockMovedError, PersistenceError
from whisper_persistence.paths import state_path
from whisper_persistence.records import RECORD_KINDS, TierReport, fields
from whisper_persistence.settings import StoragePolicies

#: How many records of a kind go in one call, so that each call is short and a run can be ended between two.
BATCH: Final = 20_000
#: How long a run rests between two calls, in seconds, so that others get their turn.
PAUSE: Final = 0.05
#: The first run of a background task begins within so many seconds.
FIRST_SECONDS: Final = 60.0
#: By how much the time between two runs differs at random, as a part of it, so that many processes do not meet.
JITTER: Final = 0.1

_log = logging.getLogger(__name__)


@attrs.frozen
class RetentionReport:
    """What one run removed, or would remove.

    Attributes:
        began: when it began; ages are counted from here.
        dry_run: whether it only counted.
        seconds: how long it took.
        tiers: what each tier did, all calls of the run together.
    """

    began: datetime
    dry_run: bool
    seconds: float
    tiers: tuple[TierReport, ...]

    def total(self) -> int:
        """Return how many records went from all tiers together."""
        return sum(tier.counts.get(kind, 0) for tier in self.tiers for kind in RECORD_KINDS)


def clock_path() -> Path:
    """Return where the clock is remembered between two runs: in the user's state directory."""
    return state_path("retention-clock.json")


async def apply_retention(
    store: AsyncStore,
    policies: StoragePolicies,
    *,
    dry_run: bool = False,
    watch: ClockWatch | None = None,
    batch: int = BATCH,
    pause: float = PAUSE,
) -> RetentionReport:
    """Remove what the policies no longer keep, in every tier, or only count it.

    A run is many short calls: cancelled between two it has removed the oldest, and the next run goes on.

    Args:
        store: an open store.
        policies: what is kept.
        dry_run: whether only to count; what is counted is what the same run removes.
        watch: what notices that the clock was moved; ``None`` to remember it in `clock_path`.
        batch: how many records of a kind go in one call.
        pause: how long to rest between two calls, in seconds.

    Raises:
        ClockMovedError: the clock was moved by more than a day since the last run; nothing was removed.
        NotSupportedError: no driver of the chain removes what expired.
        StorageUnavailableError: the storage did not answer.
    """
    watch = watch or ClockWatch(clock_path())
    if not dry_run:
        _believe(watch)
    began, now = time.perf_counter(), watch.now()
    tiers: dict[str, TierReport] = {}
    if dry_run:
        _join(tiers, await store.expire(policies.retentions(now), True))
    else:
        for kind in RECORD_KINDS:  # statistics before their scores, so that a later call finds no more than the first
            ours = policies.retentions(now, kind, limit=batch)
            more = bool(ours)
            while more:
                more = _join(tiers, await store.expire(ours, False)) >= batch
                await asyncio.sleep(pause if more else 0)
        watch.note()
    return RetentionReport(now, dry_run, time.perf_counter() - began, tuple(tiers.values()))


def _believe(watch: ClockWatch) -> None:
    moved = watch.moved()
    if moved is not None:
        raise ClockMovedError(
            f"nothing was removed: the clock was moved by {moved} since the last run; see that it is right, and say so "
            "with whisper-persistence expire --trust-clock"
        )


def _join(tiers: dict[str, TierReport], reports: tuple[TierReport, ...]) -> int:
    """Add what one call did to what the others did, and return how many records of a kind went at most."""
    for report in reports:
        before = tiers.get(report.tier, TierReport(report.tier))
        counts = {kind: before.counts.get(kind, 0) for kind in (*before.counts, *report.counts)}
        tiers[report.tier] = TierReport(
            report.tier,
            {kind: count + report.counts.get(kind, 0) for kind, count in counts.items()},
            tuple(dict.fromkeys((*before.rewritten, *report.rewritten))),
            tuple(dict.fromkeys((*before.remaining, *report.remaining))),
        )
    return max((count for report in reports for count in report.counts.values()), default=0)


class RetentionTask:
    """Applies the policies again and again while a bot runs; use it in ``async with``, or start and stop it.

    Errors end no run but their own: they are logged, told by `describe`, and the next run tries again.
    """

    def __init__(
        self,
        store: AsyncStore,
        policies: StoragePolicies,
        *,
        watch: ClockWatch | None = None,
        batch: int = BATCH,
        first_seconds: float = FIRST_SECONDS,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Get ready; nothing runs before `start`.

        Args:
            store: an open store; it stays open.
            policies: what is kept, and how often to look.
            watch: what notices that the clock was moved.
            batch: how many records of a kind go in one call.
            first_seconds: the first run begins within this time.
            chance: a number between two, at random.
        """
        self._store = store
        self._policies = policies
        self._watch = watch or ClockWatch(clock_path())
        self._batch = batch
        self._first_seconds = first_seconds
        self._chance = chance
        self._task: asyncio.Task[None] | None = None
        self.running = False
        self.runs = 0
        self.last_report: RetentionReport | None = None
        self.last_error: str | None = None
        self.next_run: datetime | None = None

    def start(self) -> None:
        """Begin to run in the background; where no policy lets anything go, there is nothing to run."""
        if self._policies.rules and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._keep_running(), name="whisper-persistence retention")

    async def stop(self) -> None:
        """End it, and wait until it has ended; a call that is on its way is short, and completes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.running, self.next_run = False, None

    async def __aenter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop it."""
        await self.stop()

    async def run_once(self) -> RetentionReport | None:
        """Run now, and return what was removed, or ``None`` where that failed; never raises for the storage."""
        self.running = True
        try:
            report = await apply_retention(self._store, self._policies, watch=self._watch, batch=self._batch)
        except PersistenceError as error:
            self.last_error = str(error)
            _log.warning("what expired was not removed: %s", type(error).__name__)
            return None
        finally:
            self.running = False
            self.runs += 1
        self.last_report, self.last_error = report, None
        if report.total():
            _log.info("what expired was removed", extra={"records": report.total(), "seconds": report.seconds})
        return report

    def describe(self) -> Mapping[str, Any]:
        """Return how it is, as JSON data."""
        last = self.last_report
        return {
            "active": self._task is not None and not self._task.done(),
            "running": self.running,
            "runs": self.runs,
            "next_run": self.next_run and self.next_run.isoformat(),
            "last_run": last and last.began.isoformat(),
            "last_removed": last and {tier.tier: dict(tier.counts) for tier in last.tiers},
            "last_error": self.last_error,
        }

    async def _keep_running(self) -> None:
        seconds = self._chance(0.0, self._first_seconds)
        while True:
            self.next_run = fields.now() + timedelta(seconds=seconds)
            await asyncio.sleep(seconds)
            try:
                await self.run_once()
            except Exception as error:
                self.last_error = type(error).__name__
                _log.exception("what expired was not removed", extra={"error": type(error).__name__})
            every = self._policies.every.total_seconds()
            seconds = every * self._chance(1 - JITTER, 1 + JITTER)
