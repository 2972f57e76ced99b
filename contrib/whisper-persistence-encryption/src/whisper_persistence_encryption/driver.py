"""The driver: it seals on the way down, opens on the way up, and keeps no record itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import NotSupportedError
from whisper_persistence.hookspecs import (
    ConversationSpecs,
    SearchSpecs,
    StatisticsSpecs,
    StrategySpecs,
    hookimpl,
)
from whisper_persistence.records import Thing
from whisper_persistence_encryption.finding import owners_of_edits
from whisper_persistence_encryption.lifecycle import EncryptionLifecycle
from whisper_persistence_encryption.reading import under_their_names
from whisper_persistence_encryption.searching import search
from whisper_persistence_encryption.shapes import seal

T = TypeVar("T")


@attrs.define(eq=False)
class EncryptionDriver(EncryptionLifecycle, StrategySpecs, StatisticsSpecs, ConversationSpecs, SearchSpecs):
    """Seals what people said, and what describes them, before the drivers below see it; see `EncryptionLifecycle`."""

    @hookimpl
    def save_strategies(self, strategies: Sequence[rec.Strategy]) -> Sequence[rec.Receipt] | None:
        """Seal and put strategies."""
        return self._sealed(strategies, lambda sealed: self._below.save_strategies(strategies=sealed))

    @hookimpl
    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, rec.Strategy] | None:
        """Load and open strategies."""
        return self._reader.mapping(lambda: self._below.load_strategies(user_ids=user_ids))

    @hookimpl
    def update_strategies(self, changes: Sequence[rec.StrategyChange]) -> Sequence[rec.Receipt] | None:
        """Seal and apply changes to strategies."""
        return self._sealed(changes, lambda sealed: self._below.update_strategies(changes=sealed))

    @hookimpl
    def load_outcomes(
        self, queries: Sequence[rec.OutcomeQuery]
    ) -> Mapping[rec.OutcomeQuery, tuple[rec.Outcome, ...]] | None:
        """Load and open outcomes."""
        return self._reader.pages(lambda asked: self._below.load_outcomes(queries=asked), queries)

    @hookimpl
    def save_statistics(self, statistics: Sequence[rec.Statistics]) -> Sequence[rec.Receipt] | None:
        """Seal and put statistics."""
        return self._sealed(statistics, lambda sealed: self._below.save_statistics(statistics=sealed))

    @hookimpl
    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, rec.Statistics] | None:
        """Load and open statistics."""
        return self._reader.mapping(lambda: self._below.load_statistics(user_ids=user_ids))

    @hookimpl
    def update_statistics(self, changes: Sequence[rec.StatisticsChange]) -> Sequence[rec.Receipt] | None:
        """Seal and apply changes to statistics and scores."""
        return self._sealed(changes, lambda sealed: self._below.update_statistics(changes=sealed))

    @hookimpl
    def save_patterns(self, patterns: Sequence[rec.Pattern]) -> Sequence[rec.Receipt] | None:
        """Seal and put patterns."""
        return self._sealed(patterns, lambda sealed: self._below.save_patterns(patterns=sealed))

    @hookimpl
    def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[rec.Pattern, ...]] | None:
        """Load and open patterns."""
        return self._reader.mapping(lambda: self._below.load_patterns(user_ids=user_ids))

    @hookimpl
    def update_patterns(self, changes: Sequence[rec.PatternChange]) -> Sequence[rec.Receipt] | None:
        """Seal and apply observations of patterns."""
        return self._sealed(changes, lambda sealed: self._below.update_patterns(changes=sealed))

    @hookimpl
    def save_preferences(self, preferences: Sequence[rec.Preferences]) -> Sequence[rec.Receipt] | None:
        """Seal and put preferences."""
        return self._sealed(preferences, lambda sealed: self._below.save_preferences(preferences=sealed))

    @hookimpl
    def load_preferences(self, user_ids: Sequence[str]) -> Mapping[str, rec.Preferences] | None:
        """Load and open preferences."""
        return self._reader.mapping(lambda: self._below.load_preferences(user_ids=user_ids))

    @hookimpl
    def update_preferences(self, changes: Sequence[rec.PreferencesChange]) -> Sequence[rec.Receipt] | None:
        """Seal and apply changes to preferences."""
        return self._sealed(changes, lambda sealed: self._below.update_preferences(changes=sealed))

    @hookimpl
    def load_scores(
        self, queries: Sequence[rec.ScoreQuery]
    ) -> Mapping[rec.ScoreQuery, tuple[rec.MemoryScore, ...]] | None:
        """Load and open scores; the score that a page begins after goes down without its words."""

        def ask(asked: Sequence[rec.ScoreQuery]) -> Any:
            plain = [_without_words(query) for query in asked]
            names = list(zip(asked, plain, strict=True))
            return under_their_names(lambda: self._below.load_scores(queries=plain), names)()

        return self._reader.pages(ask, queries)

    @hookimpl
    def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt] | None:
        """Seal and append messages."""
        return self._sealed(messages, lambda sealed: self._below.save_messages(messages=sealed))

    @hookimpl
    def load_messages(self, windows: Sequence[rec.Window]) -> Mapping[rec.Window, tuple[rec.Message, ...]] | None:
        """Load and open messages."""
        return self._reader.pages(lambda asked: self._below.load_messages(windows=asked), windows)

    @hookimpl
    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt] | None:
        """Seal the new words of edits with the keys of the messages' owners, and apply all changes."""
        owners = owners_of_edits(self._below, changes)
        with self._keys.writing(owners.values()) as sealers:
            sealed = [seal(change, sealers[owners[change]]) if change in owners else change for change in changes]
            return self._below.update_messages(changes=sealed)

    @hookimpl
    def search_messages(self, queries: Sequence[rec.SearchQuery]) -> Mapping[rec.SearchQuery, rec.SearchResult] | None:
        """Open messages and look into them: no index below could."""
        if self._below.load_messages(windows=()) is None:
            return None
        return {query: search(self, query, self.search_limit) for query in queries}

    @hookimpl
    def save_vectors(self, vectors: Sequence[rec.Vector]) -> Sequence[rec.Receipt]:
        """Refuse: a vector tells much of what the sealed words say."""
        raise _no_vectors()

    @hookimpl
    def load_vectors(self, queries: Sequence[rec.VectorQuery]) -> Mapping[rec.VectorQuery, rec.Page]:
        """Refuse, as `save_vectors` does."""
        raise _no_vectors()

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Scan and open records."""
        return self._reader.page(lambda: self._below.scan(kind=kind, cursor=cursor, limit=limit))

    @hookimpl
    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> rec.Page | None:
        """Scan and open the messages of one user."""
        return self._reader.page(lambda: self._below.scan_messages(user_id=user_id, cursor=cursor, limit=limit))

    @hookimpl
    def aggregate(self, question: rec.Question[Any]) -> Any:
        """Refuse: what the drivers below could group by is sealed, and differs from user to user."""
        raise NotSupportedError(
            f"driver 'encryption' cannot answer {type(question).__name__}: over sealed records there are no "
            "common words to group by"
        )

    def _sealed(self, items: Sequence[Any], write: Callable[[Sequence[Any]], T]) -> T:
        with self._keys.writing(Thing("user", item.user_id) for item in items) as sealers:
            return write([seal(item, sealers[Thing("user", item.user_id)]) for item in items])


def _without_words(query: rec.ScoreQuery) -> rec.ScoreQuery:
    last = query.after
    if last is None:
        return query
    bare = rec.MemoryScore(last.user_id, last.memory_id, last.overall_score, sequence=last.sequence)
    return attrs.evolve(query, after=attrs.evolve(bare, calculation_timestamp=last.calculation_timestamp))


def _no_vectors() -> NotSupportedError:
    return NotSupportedError(
        "driver 'encryption' keeps no vectors, because they tell what the sealed words say: "
        "search finds messages by opening them, without chroma-recall"
    )
