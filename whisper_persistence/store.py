"""The typed face of a chain of drivers: one method per hook; bad input is refused before any driver is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from whisper_persistence import erase_protocol
from whisper_persistence import records as rec
from whisper_persistence.answers import answered
from whisper_persistence.errors import StoreClosedError
from whisper_persistence.hookspecs import Below
from whisper_persistence.plugins import Chain
from whisper_persistence.validation import (
    normalised,
    validate_batch,
    validate_choice,
    validate_cursor,
    validate_id,
    validate_ids,
    validate_limit,
    validate_question,
    validate_texts,
)

if TYPE_CHECKING:
    from whisper_persistence.records.kinds import RecordKind
    from whisper_persistence.settings import Settings

A = TypeVar("A", bound="rec.Answer")


class Store:
    """A memory on the storage that settings choose. Thread-safe; close it, or use it in a ``with`` statement.

    Every method raises `ValidationError` for input that is not legal, `NotSupportedError` where no driver of the chain
    has the hook, `StorageUnavailableError` where the storage did not answer, `BrokenDriverError` where a write was not
    answered with one receipt for each item, and `StoreClosedError` after `close`. What a method asks and answers is
    said by the hook of the same name in `whisper_persistence.hookspecs`.
    """

    def __init__(self, chain: Chain, namespace: str = "default") -> None:
        """Open a chain of drivers.

        Args:
            chain: the drivers, not yet open; the store closes them.
            namespace: the bot or character that every record belongs to.
        """
        self.namespace = normalised(namespace)
        self.chain = Chain.required(chain)
        chain.open(self.namespace)
        self._hook = chain.hook
        try:
            erase_protocol.finish_interrupted(self._hook)
        except BaseException:
            chain.close(quietly=True)
            raise

    @classmethod
    def from_settings(cls, settings: Settings | None = None, **overrides: Any) -> Self:
        """Open the store that settings describe.

        Args:
            settings: as loaded before, or ``None`` to load them now.
            **overrides: settings given here, stronger than environment and file.
        """
        from whisper_persistence.settings import choose_settings

        chosen = choose_settings(settings, overrides)
        return cls(Chain.build(chosen.driver_specs(), chosen.observer_specs()), chosen.namespace)

    def close(self) -> None:
        """Close every driver; closing twice is closing once."""
        self._hook = cast("Below", _Closed())
        self.chain.close()

    def __enter__(self) -> Self:
        """Return the open store."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the store."""
        self.close()

    def ask(self, hook: str, batch: Sequence[Any]) -> Any:
        """Ask one hook with a batch that `validate_batch` has passed."""
        caller = getattr(self._hook, hook)
        return answered(hook, caller(**{caller.spec.argnames[0]: batch}))

    def save_strategies(self, strategies: Sequence[rec.Strategy]) -> Sequence[rec.Receipt]:
        """Put whole strategies in place of those stored, as imports do; `update_strategies` applies changes."""
        validate_batch(strategies, rec.Strategy)
        return answered("save_strategies", self._hook.save_strategies(strategies=strategies))

    def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, rec.Strategy]:
        """Return strategies by user id."""
        validate_ids("user_ids", user_ids)
        return answered("load_strategies", self._hook.load_strategies(user_ids=user_ids))

    def update_strategies(self, changes: Sequence[rec.StrategyChange]) -> Sequence[rec.Receipt]:
        """Apply changes to strategies."""
        validate_batch(changes, rec.StrategyChange)
        return answered("update_strategies", self._hook.update_strategies(changes=changes))

    def load_outcomes(self, queries: Sequence[rec.OutcomeQuery]) -> Mapping[rec.OutcomeQuery, tuple[rec.Outcome, ...]]:
        """Return pages of the users' learning histories."""
        validate_batch(queries, rec.OutcomeQuery)
        return answered("load_outcomes", self._hook.load_outcomes(queries=queries))

    def save_statistics(self, statistics: Sequence[rec.Statistics]) -> Sequence[rec.Receipt]:
        """Put whole statistics in place of those stored, as imports do; `update_statistics` applies changes."""
        validate_batch(statistics, rec.Statistics)
        return answered("save_statistics", self._hook.save_statistics(statistics=statistics))

    def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, rec.Statistics]:
        """Return statistics by user id."""
        validate_ids("user_ids", user_ids)
        return answered("load_statistics", self._hook.load_statistics(user_ids=user_ids))

    def update_statistics(self, changes: Sequence[rec.StatisticsChange]) -> Sequence[rec.Receipt]:
        """Apply changes to statistics and scores."""
        validate_batch(changes, rec.StatisticsChange)
        return answered("update_statistics", self._hook.update_statistics(changes=changes))

    def save_patterns(self, patterns: Sequence[rec.Pattern]) -> Sequence[rec.Receipt]:
        """Put whole patterns in place of those stored, as imports do; `update_patterns` applies changes."""
        validate_batch(patterns, rec.Pattern)
        return answered("save_patterns", self._hook.save_patterns(patterns=patterns))

    def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[rec.Pattern, ...]]:
        """Return patterns by user id."""
        validate_ids("user_ids", user_ids)
        return answered("load_patterns", self._hook.load_patterns(user_ids=user_ids))

    def update_patterns(self, changes: Sequence[rec.PatternChange]) -> Sequence[rec.Receipt]:
        """Apply observations to patterns."""
        validate_batch(changes, rec.PatternChange)
        return answered("update_patterns", self._hook.update_patterns(changes=changes))

    def save_preferences(self, preferences: Sequence[rec.Preferences]) -> Sequence[rec.Receipt]:
        """Put whole preferences in place of those stored, as imports do; `update_preferences` applies changes."""
        validate_batch(preferences, rec.Preferences)
        return answered("save_preferences", self._hook.save_preferences(preferences=preferences))

    def load_preferences(self, user_ids: Sequence[str]) -> Mapping[str, rec.Preferences]:
        """Return preferences by user id."""
        validate_ids("user_ids", user_ids)
        return answered("load_preferences", self._hook.load_preferences(user_ids=user_ids))

    def update_preferences(self, changes: Sequence[rec.PreferencesChange]) -> Sequence[rec.Receipt]:
        """Apply changes to preferences."""
        validate_batch(changes, rec.PreferencesChange)
        return answered("update_preferences", self._hook.update_preferences(changes=changes))

    def load_scores(self, queries: Sequence[rec.ScoreQuery]) -> Mapping[rec.ScoreQuery, tuple[rec.MemoryScore, ...]]:
        """Return pages of the users' memory scores."""
        validate_batch(queries, rec.ScoreQuery)
        return answered("load_scores", self._hook.load_scores(queries=queries))

    def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt]:
        """Append messages to their conversations."""
        validate_batch(messages, rec.Message)
        return answered("save_messages", self._hook.save_messages(messages=messages))

    def load_messages(self, windows: Sequence[rec.Window]) -> Mapping[rec.Window, tuple[rec.Message, ...]]:
        """Return what each window shows, oldest first."""
        validate_batch(windows, rec.Window)
        return answered("load_messages", self._hook.load_messages(windows=windows))

    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt]:
        """Edit, redact or clear messages."""
        validate_batch(changes, rec.MessageEdit, rec.MessageRedaction, rec.ClearMark)
        return answered("update_messages", self._hook.update_messages(changes=changes))

    def search_messages(self, queries: Sequence[rec.SearchQuery]) -> Mapping[rec.SearchQuery, rec.SearchResult]:
        """Return what each query finds, the best first."""
        validate_batch(queries, rec.SearchQuery)
        return answered("search_messages", self._hook.search_messages(queries=queries))

    def embed(self, texts: Sequence[str]) -> Sequence[rec.Embedding]:
        """Return each text as a vector."""
        validate_texts(texts)
        return answered("embed", self._hook.embed(texts=texts))

    def save_vectors(self, vectors: Sequence[rec.Vector]) -> Sequence[rec.Receipt]:
        """Keep vectors beside their messages."""
        validate_batch(vectors, rec.Vector)
        return answered("save_vectors", self._hook.save_vectors(vectors=vectors))

    def load_vectors(self, queries: Sequence[rec.VectorQuery]) -> Mapping[rec.VectorQuery, rec.Page]:
        """Return pages of vectors."""
        validate_batch(queries, rec.VectorQuery)
        return answered("load_vectors", self._hook.load_vectors(queries=queries))

    def register_follower(self, follower: rec.Follower) -> bool:
        """Make a follower known, durably."""
        validate_batch([follower], rec.Follower)
        return answered("register_follower", self._hook.register_follower(follower=follower))

    def load_pending(self, follower: str, limit: int) -> tuple[rec.Pending, ...]:
        """Return what a follower has not seen."""
        validate_id("follower", follower)
        validate_limit(limit)
        return answered("load_pending", self._hook.load_pending(follower=follower, limit=limit))

    def clear_pending(self, pending: Sequence[rec.Pending]) -> int:
        """Forget pending work up to the revision that each names."""
        validate_batch(pending, rec.Pending)
        return answered("clear_pending", self._hook.clear_pending(pending=pending))

    def load_revisions(self, things: Sequence[rec.Thing]) -> Mapping[rec.Thing, rec.Revision]:
        """Return the revisions of users and conversations."""
        validate_batch(things, rec.Thing)
        return answered("load_revisions", self._hook.load_revisions(things=things))

    def scan(self, kind: RecordKind, cursor: str | None, limit: int) -> rec.Page:
        """Return one page of all records of a kind; its ``cursor`` leads to the next, ``None`` to the first."""
        validate_choice("kind", kind, tuple(rec.RECORD_KINDS))
        validate_cursor(cursor)
        validate_limit(limit)
        return answered("scan", self._hook.scan(kind=kind, cursor=cursor, limit=limit))

    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Forget users in every tier; the reports say what went, and what is out of reach."""
        validate_ids("user_ids", user_ids)
        return answered("erase_users", erase_protocol.erase(self._hook, user_ids))

    def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> tuple[rec.TierReport, ...]:
        """Remove what the policies no longer keep; with ``dry_run`` only count it."""
        validate_batch(policies, rec.Retention)
        return answered("expire", self._hook.expire(policies=policies, dry_run=dry_run))

    def aggregate(self, question: rec.Question[A]) -> A:
        """Answer one question over many users."""
        validate_question(question, rec.QUESTIONS)
        return answered("aggregate", self._hook.aggregate(question=question))

    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Ask every tier how it is."""
        return self.chain.told(answered("check_health", self._hook.check_health()))

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return the numbers that every tier's health has, by tier."""
        return {health.tier: health.numbers() for health in self.check_health()}


class _Closed:
    def __getattr__(self, hook: str) -> Any:
        raise StoreClosedError(f"{hook} was asked of a store that is closed: open a new one")
