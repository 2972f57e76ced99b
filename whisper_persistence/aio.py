"""The same store for asyncio: one method per hook, of the same name, that never blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast

from whisper_persistence import records as rec
from whisper_persistence.crew import Crews
from whisper_persistence.dispatch import NOT_OPEN, Lanes, open_store
from whisper_persistence.forgetters import Forgetters
from whisper_persistence.plugins import Chain
from whisper_persistence.store import Store
from whisper_persistence.validation import validate_batch, validate_ids

if TYPE_CHECKING:
    from whisper_persistence.records.kinds import RecordKind
    from whisper_persistence.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", bound="rec.Answer")
#: How long `AsyncStore.close` waits for what is on its way, in seconds.
DRAIN_SECONDS: Final = 30.0


class AsyncStore:
    """A memory on the storage that settings choose, for asyncio; use it in an ``async with`` statement.

    Calls of one hook that wait together travel together: thirty-two callers share one transaction. Awaited in sequence
    means applied in sequence; calls that nobody awaited in between have no order, except that one hook's writes to one
    user or conversation keep theirs. A cancelled caller's write still completes. Errors are those of `Store`.
    """

    def __init__(self, chain: Chain, namespace: str = "default", workers: int = 4) -> None:
        """Get ready to open a chain of drivers.

        Args:
            chain: as `Store` takes it.
            namespace: as `Store` takes it.
            workers: how many threads load, how many write, how many do the rest; and how many batches a hook may send.
        """
        self._chain, self._namespace = Chain.required(chain), namespace
        self._workers, self._crews, self.forgetters = workers, Crews(workers), Forgetters()
        self._store: Store | None = None
        self._moving: asyncio.Future[None] | None = None
        self._lanes = NOT_OPEN

    @classmethod
    def from_settings(cls, settings: Settings | None = None, **overrides: Any) -> Self:
        """Return the store that settings describe, not yet open.

        Args:
            settings: as loaded before, or ``None`` to load them now.
            **overrides: settings given here, stronger than environment and file.
        """
        from whisper_persistence.settings import choose_settings

        chosen = choose_settings(settings, overrides)
        return cls(Chain.build(chosen.driver_specs(), chosen.observer_specs()), chosen.namespace, chosen.workers)

    async def open(self) -> None:
        """Open the chain of drivers, after any move that nobody waited for; opening an open store does nothing."""
        await self._settled()
        if self._store is None:
            self._moving = asyncio.ensure_future(self._open())
            await self._moving

    async def _open(self) -> None:
        store = await open_store(self._crews.moving, self._chain, self._namespace)
        readers, writers = (self._chain.limit(name) or self._workers for name in ("max_readers", "max_writers"))
        self._lanes = Lanes(self._crews, store.ask, min(readers, self._workers), min(writers, self._workers))
        self._store = store

    async def close(self, deadline: float = DRAIN_SECONDS) -> None:
        """Wait for what is on its way, then close every driver; closing twice is closing once.

        Args:
            deadline: how long to wait, in seconds; what takes longer raises `StoreClosedError` at its caller.
        """
        await self._settled()
        store, lanes = self._store, self._lanes
        if store is not None:
            self._store, self._lanes = None, NOT_OPEN
            self._moving = asyncio.ensure_future(lanes.close(store.close, deadline))
            await asyncio.shield(self._moving)

    async def _settled(self) -> None:
        """Wait until nobody else opens or closes the store on this loop."""
        while self._moving and not self._moving.done() and self._moving.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([self._moving])

    async def __aenter__(self) -> Self:
        """Open the store."""
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the store."""
        await self.close()

    async def _run(self, method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return cast("T", await self._lanes.run(method, self._store, *args, **kwargs))

    async def save_strategies(self, strategies: Sequence[rec.Strategy]) -> Sequence[rec.Receipt]:
        """Put whole strategies in place of those stored, as imports do; `update_strategies` applies changes."""
        validate_batch(strategies, rec.Strategy)
        return await self._lanes.write(Store.save_strategies, strategies, "user_id")

    async def load_strategies(self, user_ids: Sequence[str]) -> Mapping[str, rec.Strategy]:
        """Return strategies by user id."""
        validate_ids("user_ids", user_ids)
        return await self._lanes.load(Store.load_strategies, user_ids)

    async def update_strategies(self, changes: Sequence[rec.StrategyChange]) -> Sequence[rec.Receipt]:
        """Apply changes to strategies."""
        validate_batch(changes, rec.StrategyChange)
        return await self._lanes.write(Store.update_strategies, changes, "user_id")

    async def load_outcomes(
        self, queries: Sequence[rec.OutcomeQuery]
    ) -> Mapping[rec.OutcomeQuery, tuple[rec.Outcome, ...]]:
        """Return pages of the users' learning histories."""
        validate_batch(queries, rec.OutcomeQuery)
        return await self._lanes.load(Store.load_outcomes, queries)

    async def save_statistics(self, statistics: Sequence[rec.Statistics]) -> Sequence[rec.Receipt]:
        """Put whole statistics in place of those stored, as imports do; `update_statistics` applies changes."""
        validate_batch(statistics, rec.Statistics)
        return await self._lanes.write(Store.save_statistics, statistics, "user_id")

    async def load_statistics(self, user_ids: Sequence[str]) -> Mapping[str, rec.Statistics]:
        """Return statistics by user id."""
        validate_ids("user_ids", user_ids)
        return await self._lanes.load(Store.load_statistics, user_ids)

    async def update_statistics(self, changes: Sequence[rec.StatisticsChange]) -> Sequence[rec.Receipt]:
        """Apply changes to statistics and scores."""
        validate_batch(changes, rec.StatisticsChange)
        return await self._lanes.write(Store.update_statistics, changes, "user_id")

    async def save_patterns(self, patterns: Sequence[rec.Pattern]) -> Sequence[rec.Receipt]:
        """Put whole patterns in place of those stored, as imports do; `update_patterns` applies changes."""
        validate_batch(patterns, rec.Pattern)
        return await self._lanes.write(Store.save_patterns, patterns, "user_id")

    async def load_patterns(self, user_ids: Sequence[str]) -> Mapping[str, tuple[rec.Pattern, ...]]:
        """Return patterns by user id."""
        validate_ids("user_ids", user_ids)
        return await self._lanes.load(Store.load_patterns, user_ids)

    async def update_patterns(self, changes: Sequence[rec.PatternChange]) -> Sequence[rec.Receipt]:
        """Apply observations to patterns."""
        validate_batch(changes, rec.PatternChange)
        return await self._lanes.write(Store.update_patterns, changes, "user_id")

    async def save_preferences(self, preferences: Sequence[rec.Preferences]) -> Sequence[rec.Receipt]:
        """Put whole preferences in place of those stored, as imports do; `update_preferences` applies changes."""
        validate_batch(preferences, rec.Preferences)
        return await self._lanes.write(Store.save_preferences, preferences, "user_id")

    async def load_preferences(self, user_ids: Sequence[str]) -> Mapping[str, rec.Preferences]:
        """Return preferences by user id."""
        validate_ids("user_ids", user_ids)
        return await self._lanes.load(Store.load_preferences, user_ids)

    async def update_preferences(self, changes: Sequence[rec.PreferencesChange]) -> Sequence[rec.Receipt]:
        """Apply changes to preferences."""
        validate_batch(changes, rec.PreferencesChange)
        return await self._lanes.write(Store.update_preferences, changes, "user_id")

    async def load_scores(
        self, queries: Sequence[rec.ScoreQuery]
    ) -> Mapping[rec.ScoreQuery, tuple[rec.MemoryScore, ...]]:
        """Return pages of the users' memory scores."""
        validate_batch(queries, rec.ScoreQuery)
        return await self._lanes.load(Store.load_scores, queries)

    async def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt]:
        """Append messages to their conversations."""
        validate_batch(messages, rec.Message)
        return await self._lanes.write(Store.save_messages, messages, "conversation_id")

    async def load_messages(self, windows: Sequence[rec.Window]) -> Mapping[rec.Window, tuple[rec.Message, ...]]:
        """Return what each window shows, oldest first."""
        validate_batch(windows, rec.Window)
        return await self._lanes.load(Store.load_messages, windows)

    async def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt]:
        """Edit, redact or clear messages."""
        validate_batch(changes, rec.MessageEdit, rec.MessageRedaction, rec.ClearMark)
        return await self._lanes.write(Store.update_messages, changes, "conversation_id")

    async def search_messages(self, queries: Sequence[rec.SearchQuery]) -> Mapping[rec.SearchQuery, rec.SearchResult]:
        """Return what each query finds, the best first."""
        return await self._run(Store.search_messages, queries)

    async def embed(self, texts: Sequence[str]) -> Sequence[rec.Embedding]:
        """Return each text as a vector."""
        return await self._run(Store.embed, texts)

    async def save_vectors(self, vectors: Sequence[rec.Vector]) -> Sequence[rec.Receipt]:
        """Keep vectors beside their messages."""
        return await self._run(Store.save_vectors, vectors)

    async def load_vectors(self, queries: Sequence[rec.VectorQuery]) -> Mapping[rec.VectorQuery, rec.Page]:
        """Return pages of vectors."""
        return await self._run(Store.load_vectors, queries)

    async def register_follower(self, follower: rec.Follower) -> bool:
        """Make a follower known, durably."""
        return await self._run(Store.register_follower, follower)

    async def load_pending(self, follower: str, limit: int) -> tuple[rec.Pending, ...]:
        """Return what a follower has not seen."""
        return await self._run(Store.load_pending, follower, limit)

    async def clear_pending(self, pending: Sequence[rec.Pending]) -> int:
        """Forget pending work up to the revision that each names."""
        return await self._run(Store.clear_pending, pending)

    async def load_revisions(self, things: Sequence[rec.Thing]) -> Mapping[rec.Thing, rec.Revision]:
        """Return the revisions of users and conversations."""
        validate_batch(things, rec.Thing)
        return await self._lanes.load(Store.load_revisions, things)

    async def scan(self, kind: RecordKind, cursor: str | None, limit: int) -> rec.Page:
        """Return one page of all records of a kind; its ``cursor`` leads to the next, ``None`` to the first."""
        return await self._run(Store.scan, kind, cursor, limit)

    async def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Forget users in every tier, and in what this process holds of them beside the store (`forgetters`)."""
        return await self.forgetters.around(user_ids, lambda ids: self._run(Store.erase_users, ids))

    async def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> tuple[rec.TierReport, ...]:
        """Remove what the policies no longer keep; with ``dry_run`` only count it."""
        return await self._run(Store.expire, policies, dry_run)

    async def aggregate(self, question: rec.Question[A]) -> A:
        """Answer one question over many users."""
        return cast("A", await self._run(Store.aggregate, cast("Any", question)))

    async def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Ask every tier how it is."""
        return await self._run(Store.check_health)

    async def metrics(self) -> dict[str, dict[str, float]]:
        """Return the numbers that every tier's health has, by tier."""
        return await self._run(Store.metrics)
