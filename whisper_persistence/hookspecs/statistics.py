"""Which memories matter to each user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whisper_persistence.hookspecs.markers import hookspec

if TYPE_CHECKING:
    from whisper_persistence.records import (
        MemoryScore,
        Pattern,
        PatternChange,
        Preferences,
        PreferencesChange,
        Receipt,
        ScoreQuery,
        Statistics,
        StatisticsChange,
    )


class StatisticsSpecs:
    """Which memories matter to each user."""

    @hookspec(firstresult=True)
    def save_statistics(self, statistics: Sequence[Statistics]) -> Sequence[Receipt] | None:
        """Put whole statistics, replacing what is stored (import, migration). Leaves the scores alone."""

    @hookspec(firstresult=True)
    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, Statistics] | None:
        """Return the statistics of these users, by user id.

        Where every counted score is stored, minimum, maximum and median are worked out from them.
        """

    @hookspec(firstresult=True)
    def update_statistics(self, changes: Sequence[StatisticsChange]) -> Sequence[Receipt] | None:
        """Apply changes by `StatisticsChange.apply_to`, and put or remove the scores they name.

        A change whose ``change_id`` was applied before changes nothing.
        """

    @hookspec(firstresult=True)
    def save_patterns(self, patterns: Sequence[Pattern]) -> Sequence[Receipt] | None:
        """Put whole patterns, replacing what is stored under their user and pattern id."""

    @hookspec(firstresult=True)
    def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[Pattern, ...]] | None:
        """Return the patterns of these users, by user id, in the order of their pattern ids (by code point)."""

    @hookspec(firstresult=True)
    def update_patterns(self, changes: Sequence[PatternChange]) -> Sequence[Receipt] | None:
        """Apply observations by `PatternChange.apply_to`; one applied before changes nothing."""

    @hookspec(firstresult=True)
    def save_preferences(self, preferences: Sequence[Preferences]) -> Sequence[Receipt] | None:
        """Put whole preferences, replacing what is stored."""

    @hookspec(firstresult=True)
    def load_preferences(self, user_ids: Sequence[str]) -> Mapping[str, Preferences] | None:
        """Return the preferences of these users, by user id."""

    @hookspec(firstresult=True)
    def update_preferences(self, changes: Sequence[PreferencesChange]) -> Sequence[Receipt] | None:
        """Apply changes by `PreferencesChange.apply_to`; one applied before changes nothing."""

    @hookspec(firstresult=True)
    def load_scores(self, queries: Sequence[ScoreQuery]) -> Mapping[ScoreQuery, tuple[MemoryScore, ...]] | None:
        """Return a page of each user's scores; users without any are absent.

        ``top`` is by overall score, highest first, and memory id (by code point, descending) where equal; ``recent`` by
        sequence, newest first.
        """
