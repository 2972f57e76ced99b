"""A complete store in memory: for tests, for demos, and for a bot whose memory may end with the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Concatenate, Final, ParamSpec, TypeVar

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import ConfigurationError, StoreClosedError
from whisper_persistence.hookspecs import (
    Below,
    ConversationSpecs,
    FollowerSpecs,
    LifecycleSpecs,
    MaintenanceSpecs,
    SearchSpecs,
    StatisticsSpecs,
    StrategySpecs,
    hookimpl,
)
from whisper_persistence_drivers.memory import following, learning, maintenance, searching, talk
from whisper_persistence_drivers.memory.state import LOCK, State
from whisper_persistence_drivers.memory.tables import PATTERNS, PREFERENCES, STATISTICS, STRATEGIES, load_patterns

TIER: Final = "memory-fallback"

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class MemoryFallbackDriver(
    LifecycleSpecs, StrategySpecs, StatisticsSpecs, ConversationSpecs, SearchSpecs, FollowerSpecs, MaintenanceSpecs
):
    """Keeps everything in this process, as strictly as a database would, and loses it when it is closed."""

    contract_version: ClassVar[int] = 1

    _below: Below | None = attrs.field(default=None, init=False, repr=False)
    _state: State | None = attrs.field(default=None, init=False, repr=False)

    def _do(self, act: Callable[Concatenate[State, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with LOCK:
            if self._state is None:
                raise StoreClosedError(f"{TIER} was asked while it is not open: open a store first")
            return act(self._state, *args, **kwargs)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Start empty; refuse to hide another driver."""
        if below.check_health() is not None:
            raise ConfigurationError(
                f"{TIER} is listed above another driver, whose records it would hide: list it alone, or last"
            )
        self._below, self._state = below, State()

    @hookimpl
    def close(self) -> None:
        """Forget everything."""
        self._below, self._state = None, None

    @hookimpl
    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Say that it is up, and how much it holds."""
        started = time.perf_counter()
        counts = self._do(State.counts)
        health = rec.TierHealth(TIER, rec.State.UP, time.perf_counter() - started, dict(counts))
        return health, *((self._below and self._below.check_health()) or ())

    @hookimpl
    def save_strategies(self, strategies: Sequence[rec.Strategy]) -> Sequence[rec.Receipt]:
        """Put whole strategies."""
        return self._do(STRATEGIES.save, strategies)

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, rec.Strategy]:
        """Return strategies by user id."""
        return self._do(STRATEGIES.load, user_ids)

    @hookimpl
    def update_strategies(self, changes: Sequence[rec.StrategyChange]) -> Sequence[rec.Receipt]:
        """Apply changes to strategies."""
        return self._do(learning.update_strategies, changes)

    @hookimpl
    def load_outcomes(self, queries: Sequence[rec.OutcomeQuery]) -> Mapping[rec.OutcomeQuery, tuple[rec.Outcome, ...]]:
        """Return pages of learning histories."""
        return self._do(learning.load_outcomes, queries)

    @hookimpl
    def save_statistics(self, statistics: Sequence[rec.Statistics]) -> Sequence[rec.Receipt]:
        """Put whole statistics."""
        return self._do(STATISTICS.save, statistics)

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, rec.Statistics]:
        """Return statistics by user id."""
        return self._do(learning.load_statistics, user_ids)

    @hookimpl
    def update_statistics(self, changes: Sequence[rec.StatisticsChange]) -> Sequence[rec.Receipt]:
        """Apply changes to statistics and scores."""
        return self._do(learning.update_statistics, changes)

    @hookimpl
    def save_patterns(self, patterns: Sequence[rec.Pattern]) -> Sequence[rec.Receipt]:
        """Put whole patterns."""
        return self._do(PATTERNS.save, patterns)

    @hookimpl
    def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[rec.Pattern, ...]]:
        """Return patterns by user id."""
        return self._do(load_patterns, user_ids)

    @hookimpl
    def update_patterns(self, changes: Sequence[rec.PatternChange]) -> Sequence[rec.Receipt]:
        """Apply observations to patterns."""
        return self._do(PATTERNS.update, changes)

    @hookimpl
    def save_preferences(self, preferences: Sequence[rec.Preferences]) -> Sequence[rec.Receipt]:
        """Put whole preferences."""
        return self._do(PREFERENCES.save, preferences)

    @hookimpl
    def load_preferences(self, user_ids: Sequence[str]) -> Mapping[str, rec.Preferences]:
        """Return preferences by user id."""
        return self._do(PREFERENCES.load, user_ids)

    @hookimpl
    def update_preferences(self, changes: Sequence[rec.PreferencesChange]) -> Sequence[rec.Receipt]:
        """Apply changes to preferences."""
        return self._do(PREFERENCES.update, changes)

    @hookimpl
    def load_scores(self, queries: Sequence[rec.ScoreQuery]) -> Mapping[rec.ScoreQuery, tuple[rec.MemoryScore, ...]]:
        """Return pages of memory scores."""
        return self._do(learning.load_scores, queries)

    @hookimpl
    def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt]:
        """Append messages."""
        return self._do(talk.save_messages, messages)

    @hookimpl
    def load_messages(self, windows: Sequence[rec.Window]) -> Mapping[rec.Window, tuple[rec.Message, ...]]:
        """Return what each window shows."""
        return self._do(talk.load_messages, windows)

    @hookimpl
    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt]:
        """Edit, redact or clear."""
        return self._do(talk.update_messages, changes)

    @hookimpl
    def search_messages(self, queries: Sequence[rec.SearchQuery]) -> Mapping[rec.SearchQuery, rec.SearchResult]:
        """Return what each query finds by its words."""
        return self._do(searching.search_messages, queries)

    @hookimpl
    def register_follower(self, follower: rec.Follower) -> bool:
        """Make a follower known."""
        return self._do(following.register_follower, follower)

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> tuple[rec.Pending, ...]:
        """Return what a follower has not seen."""
        return self._do(following.load_pending, follower, limit)

    @hookimpl
    def clear_pending(self, pending: Sequence[rec.Pending]) -> int:
        """Forget pending work."""
        return self._do(following.clear_pending, pending)

    @hookimpl
    def load_revisions(self, things: Sequence[rec.Thing]) -> Mapping[rec.Thing, rec.Revision]:
        """Return revisions."""
        return self._do(following.load_revisions, things)

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Return one page of all records of a kind; ask below for a kind that is not kept here."""
        if kind not in rec.RECORD_KINDS:
            return self._below.scan(kind=kind, cursor=cursor, limit=limit) if self._below else None
        return self._do(maintenance.scan, kind, cursor, limit)

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Forget users here and below."""
        report = rec.TierReport(TIER, self._do(maintenance.erase_users, user_ids))
        return report, *((self._below and self._below.erase_users(user_ids=user_ids)) or ())
