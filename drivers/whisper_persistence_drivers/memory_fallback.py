"""Alone a complete store in memory; above other drivers the net that holds what they do not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import StoreClosedError
from whisper_persistence.hookspecs import (
    AnalyticsSpecs,
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
from whisper_persistence.paths import absolute_path, data_path
from whisper_persistence_drivers.memory.alone import Alone
from whisper_persistence_drivers.net import Net, NetOptions
from whisper_persistence_drivers.net.drivers import drivers_below

TIER: Final = "memory-fallback"

_positive: Any = attrs.validators.gt(0)


@attrs.define(eq=False)
class MemoryFallbackDriver(
    LifecycleSpecs,
    StrategySpecs,
    StatisticsSpecs,
    ConversationSpecs,
    SearchSpecs,
    FollowerSpecs,
    MaintenanceSpecs,
    AnalyticsSpecs,
):
    """Alone it keeps everything in this process and loses it when it is closed; above others it is a net.

    The net answers from memory what is safe to answer while the drivers below do not, keeps writes in a journal on
    disk, and brings them in afterwards, in order and once.

    Options, all of the net:
        journal_directory: the folder for journals; made when the first is needed.
        journal_mb, journal_entries: what waits at most; more is refused.
        deadline: how long a driver below that asks over a network may take to answer, in seconds.
        in_flight: how many such calls may be on their way at once, half of them writes at most, and half reads.
        remembered: of how many users and conversations the last answers are remembered.
        strict: whether to refuse writes that the drivers below do not take, instead of keeping them.
    """

    contract_version: ClassVar[int] = 1
    local: ClassVar[bool] = True
    bears_outages: ClassVar[bool] = True

    journal_directory: Path = attrs.field(factory=partial(data_path, "journals"), converter=absolute_path)
    journal_mb: int = attrs.field(default=256, converter=int, validator=_positive)
    journal_entries: int = attrs.field(default=100_000, converter=int, validator=_positive)
    deadline: float = attrs.field(default=0.25, converter=float, validator=_positive)
    in_flight: int = attrs.field(default=8, converter=int, validator=_positive)
    remembered: int = attrs.field(default=10_000, converter=int, validator=_positive)
    strict: bool = False
    _role: Alone | Net | None = attrs.field(default=None, init=False, repr=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Be a store, or the net over those that are listed below."""
        if drivers_below(below):
            limits = (self.journal_entries, self.deadline, self.in_flight, self.remembered, self.strict)
            options = NetOptions(self.journal_directory, self.journal_mb << 20, *limits)
            self._role = Net(TIER, below, namespace, options)
        else:
            self._role = Alone(TIER, below, namespace)

    @hookimpl
    def close(self) -> None:
        """Forget everything but what the journal holds."""
        role, self._role = self._role, None
        if role is not None:
            role.close()

    def _open(self) -> Alone | Net:
        if self._role is None:
            raise StoreClosedError(f"{TIER} was asked while it is not open: open a store first")
        return self._role

    @hookimpl
    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Say how it is, how much it holds, and how the drivers below are."""
        return self._open().check_health()

    @hookimpl
    def save_strategies(self, strategies: Sequence[rec.Strategy]) -> Sequence[rec.Receipt]:
        """Put whole strategies."""
        return self._open().write("save_strategies", strategies)

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, rec.Strategy]:
        """Return strategies by user id."""
        return self._open().load("load_strategies", user_ids)

    @hookimpl
    def update_strategies(self, changes: Sequence[rec.StrategyChange]) -> Sequence[rec.Receipt]:
        """Apply changes to strategies."""
        return self._open().write("update_strategies", changes)

    @hookimpl
    def load_outcomes(self, queries: Sequence[rec.OutcomeQuery]) -> Mapping[rec.OutcomeQuery, tuple[rec.Outcome, ...]]:
        """Return pages of learning histories."""
        return self._open().load("load_outcomes", queries)

    @hookimpl
    def save_statistics(self, statistics: Sequence[rec.Statistics]) -> Sequence[rec.Receipt]:
        """Put whole statistics."""
        return self._open().write("save_statistics", statistics)

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, rec.Statistics]:
        """Return statistics by user id."""
        return self._open().load("load_statistics", user_ids)

    @hookimpl
    def update_statistics(self, changes: Sequence[rec.StatisticsChange]) -> Sequence[rec.Receipt]:
        """Apply changes to statistics and scores."""
        return self._open().write("update_statistics", changes)

    @hookimpl
    def save_patterns(self, patterns: Sequence[rec.Pattern]) -> Sequence[rec.Receipt]:
        """Put whole patterns."""
        return self._open().write("save_patterns", patterns)

    @hookimpl
    def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[rec.Pattern, ...]]:
        """Return patterns by user id."""
        return self._open().load("load_patterns", user_ids)

    @hookimpl
    def update_patterns(self, changes: Sequence[rec.PatternChange]) -> Sequence[rec.Receipt]:
        """Apply observations to patterns."""
        return self._open().write("update_patterns", changes)

    @hookimpl
    def save_preferences(self, preferences: Sequence[rec.Preferences]) -> Sequence[rec.Receipt]:
        """Put whole preferences."""
        return self._open().write("save_preferences", preferences)

    @hookimpl
    def load_preferences(self, user_ids: Sequence[str]) -> Mapping[str, rec.Preferences]:
        """Return preferences by user id."""
        return self._open().load("load_preferences", user_ids)

    @hookimpl
    def update_preferences(self, changes: Sequence[rec.PreferencesChange]) -> Sequence[rec.Receipt]:
        """Apply changes to preferences."""
        return self._open().write("update_preferences", changes)

    @hookimpl
    def load_scores(self, queries: Sequence[rec.ScoreQuery]) -> Mapping[rec.ScoreQuery, tuple[rec.MemoryScore, ...]]:
        """Return pages of memory scores."""
        return self._open().load("load_scores", queries)

    @hookimpl
    def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt]:
        """Append messages."""
        return self._open().write("save_messages", messages)

    @hookimpl
    def load_messages(self, windows: Sequence[rec.Window]) -> Mapping[rec.Window, tuple[rec.Message, ...]]:
        """Return what each window shows."""
        return self._open().load("load_messages", windows)

    @hookimpl
    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt]:
        """Edit, redact or clear."""
        return self._open().write("update_messages", changes)

    @hookimpl
    def search_messages(self, queries: Sequence[rec.SearchQuery]) -> Mapping[rec.SearchQuery, rec.SearchResult] | None:
        """Return what each query finds by its words."""
        answer: Mapping[rec.SearchQuery, rec.SearchResult] | None = self._open().ask("search_messages", queries)
        return answer

    @hookimpl
    def register_follower(self, follower: rec.Follower) -> bool:
        """Make a follower known."""
        answer: bool = self._open().ask("register_follower", follower)
        return answer

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> tuple[rec.Pending, ...]:
        """Return what a follower has not seen."""
        answer: tuple[rec.Pending, ...] = self._open().ask("load_pending", follower, limit)
        return answer

    @hookimpl
    def clear_pending(self, pending: Sequence[rec.Pending]) -> int:
        """Forget pending work."""
        answer: int = self._open().ask("clear_pending", pending)
        return answer

    @hookimpl
    def lease_follower(self, lease: rec.Lease) -> rec.Lease:
        """Take, renew or give back a follower's lease."""
        answer: rec.Lease = self._open().ask("lease_follower", lease)
        return answer

    @hookimpl
    def load_revisions(self, things: Sequence[rec.Thing]) -> Mapping[rec.Thing, rec.Revision]:
        """Return revisions."""
        answer: Mapping[rec.Thing, rec.Revision] = self._open().ask("load_revisions", things)
        return answer

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Return one page of all records of a kind; ask below for a kind that is not kept here."""
        return self._open().scan(kind, cursor, limit)

    @hookimpl
    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Return one page of the messages of a user."""
        return self._open().scan_messages(user_id, cursor, limit)

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Forget users here and below."""
        return self._open().erase_users(user_ids)

    @hookimpl
    def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> tuple[rec.TierReport, ...] | None:
        """Remove what the policies no longer keep, here and below."""
        return self._open().expire(policies, dry_run=dry_run)

    @hookimpl
    def aggregate(self, question: rec.Question[Any]) -> Any:
        """Answer one question over many users; ask below one that is not known."""
        return self._open().aggregate(question)
