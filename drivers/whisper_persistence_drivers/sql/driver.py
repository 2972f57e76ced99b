"""Every hook of the SQL drivers, once; what they do stands in the modules of the subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from whisper_persistence import records as rec
from whisper_persistence.hookspecs import (
    AnalyticsSpecs,
    ConversationSpecs,
    FollowerSpecs,
    MaintenanceSpecs,
    StatisticsSpecs,
    StrategySpecs,
    hookimpl,
)
from whisper_persistence_drivers.sql import messages as sql_messages
from whisper_persistence_drivers.sql import on_use
from whisper_persistence_drivers.sql import windows as sql_windows
from whisper_persistence_drivers.sql.chain_hooks import SqlChaining
from whisper_persistence_drivers.sql.database import Scrubbed
from whisper_persistence_drivers.sql.erasure_hooks import SqlErasure
from whisper_persistence_drivers.sql.search_hooks import SqlSearch


@attrs.define(eq=False)
class SqlDriver(
    SqlChaining,
    SqlErasure,
    SqlSearch,
    StrategySpecs,
    StatisticsSpecs,
    ConversationSpecs,
    FollowerSpecs,
    MaintenanceSpecs,
    AnalyticsSpecs,
):
    """The hooks of a driver on a SQL database; a subclass says which database, and is registered under its own name."""

    @hookimpl
    def save_strategies(self, strategies: Sequence[rec.Strategy]) -> Sequence[rec.Receipt]:
        """Put whole strategies."""
        return self._write(on_use.strategies.save_strategies, strategies)

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, rec.Strategy]:
        """Return strategies by user id."""
        return self._read(on_use.strategies.load_strategies, user_ids)

    @hookimpl
    def update_strategies(self, changes: Sequence[rec.StrategyChange]) -> Sequence[rec.Receipt]:
        """Apply changes to strategies."""
        return self._write(on_use.strategies.update_strategies, changes)

    @hookimpl
    def load_outcomes(self, queries: Sequence[rec.OutcomeQuery]) -> Mapping[rec.OutcomeQuery, tuple[rec.Outcome, ...]]:
        """Return pages of the learning history."""
        return self._read(on_use.strategies.load_outcomes, queries)

    @hookimpl
    def save_statistics(self, statistics: Sequence[rec.Statistics]) -> Sequence[rec.Receipt]:
        """Put whole statistics."""
        return self._write(on_use.statistics.save_statistics, statistics)

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, rec.Statistics]:
        """Return statistics by user id."""
        return self._read(on_use.statistics.load_statistics, user_ids)

    @hookimpl
    def update_statistics(self, changes: Sequence[rec.StatisticsChange]) -> Sequence[rec.Receipt]:
        """Apply changes to statistics and scores."""
        return self._write(on_use.statistics.update_statistics, changes)

    @hookimpl
    def save_patterns(self, patterns: Sequence[rec.Pattern]) -> Sequence[rec.Receipt]:
        """Put whole patterns."""
        return self._write(on_use.patterns.save_patterns, patterns)

    @hookimpl
    def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[rec.Pattern, ...]]:
        """Return patterns by user id."""
        return self._read(on_use.patterns.load_patterns, user_ids)

    @hookimpl
    def update_patterns(self, changes: Sequence[rec.PatternChange]) -> Sequence[rec.Receipt]:
        """Apply observations to patterns."""
        return self._write(on_use.patterns.update_patterns, changes)

    @hookimpl
    def save_preferences(self, preferences: Sequence[rec.Preferences]) -> Sequence[rec.Receipt]:
        """Put whole preferences."""
        return self._write(on_use.patterns.save_preferences, preferences)

    @hookimpl
    def load_preferences(self, user_ids: Sequence[str]) -> Mapping[str, rec.Preferences]:
        """Return preferences by user id."""
        return self._read(on_use.patterns.load_preferences, user_ids)

    @hookimpl
    def update_preferences(self, changes: Sequence[rec.PreferencesChange]) -> Sequence[rec.Receipt]:
        """Apply changes to preferences."""
        return self._write(on_use.patterns.update_preferences, changes)

    @hookimpl
    def load_scores(self, queries: Sequence[rec.ScoreQuery]) -> Mapping[rec.ScoreQuery, tuple[rec.MemoryScore, ...]]:
        """Return pages of memory scores."""
        return self._read(on_use.scores.load_scores, queries)

    @hookimpl
    def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt]:
        """Append messages."""
        receipts = self._write(sql_messages.save_messages, messages)
        self._written()
        return receipts

    @hookimpl
    def load_messages(self, windows: Sequence[rec.Window]) -> Mapping[rec.Window, tuple[rec.Message, ...]]:
        """Return what each window shows."""
        return self._read(sql_windows.load_messages, windows)

    @hookimpl
    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt]:
        """Edit, redact or clear."""
        receipts = self._write(sql_messages.update_messages, changes)
        self._written()
        return receipts

    @hookimpl
    def register_follower(self, follower: rec.Follower) -> bool:
        """Make a follower known."""
        return self._write(on_use.following.register_follower, follower)

    @hookimpl
    def load_pending(self, follower: str, limit: int) -> tuple[rec.Pending, ...]:
        """Return what a follower has not seen."""
        return self._read(on_use.following.load_pending, follower, limit)

    @hookimpl
    def lease_follower(self, lease: rec.Lease) -> rec.Lease:
        """Take, renew or give back a follower's lease."""
        return self._write(on_use.leasing.lease_follower, lease)

    @hookimpl
    def load_revisions(self, things: Sequence[rec.Thing]) -> Mapping[rec.Thing, rec.Revision]:
        """Return the revisions of things."""
        return self._read(on_use.following.load_revisions, things)

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Return one page of the records of a kind."""
        if not on_use.scanning.knows(kind):
            return self._below.scan(kind=kind, cursor=cursor, limit=limit)
        return self._read(on_use.scanning.scan, kind, cursor, limit)

    @hookimpl
    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> rec.Page:
        """Return one page of the messages of a user."""
        return self._read(on_use.scanning.scan_messages, user_id, cursor, limit)

    @hookimpl
    def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> tuple[rec.TierReport, ...]:
        """Remove what the policies no longer keep, here and below."""
        counts = on_use.expiring.expire(self._read, self._write, policies, dry_run=dry_run)
        scrubbed = Scrubbed()
        if not (dry_run or on_use.expiring.is_cut_short(policies, counts)) and self._read(on_use.slack.has_slack):
            scrubbed = self._translated(self._database.scrub)
            self._write(on_use.slack.forget_slack)
        below = self._below.expire(policies=policies, dry_run=dry_run) or ()
        return (rec.TierReport(self.tier, counts, scrubbed.rewritten, scrubbed.remaining), *below)

    @hookimpl
    def aggregate(self, question: rec.Question[Any]) -> Any:
        """Answer one question over many users; ask below one that is not known."""
        from whisper_persistence_drivers.sql import aggregating as sql_aggregating

        answer = self._read(sql_aggregating.aggregate, question)
        return self._below.aggregate(question=question) if answer is None else answer
