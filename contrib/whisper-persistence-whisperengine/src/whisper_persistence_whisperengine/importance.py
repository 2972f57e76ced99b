"""Scores of a running bot: recorded as they are calculated, under what each user's feedback taught."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any, Final, cast

from whisper_persistence import AsyncStore, MemoryScore, Statistics, StatisticsChange
from whisper_persistence.companion import Knowledge, MemoryImportanceEngine
from whisper_persistence.companion.importance_cache import Bounded
from whisper_persistence.companion.importance_summary import summary_of
from whisper_persistence_whisperengine.errands import Errands
from whisper_persistence_whisperengine.patches import Patches
from whisper_persistence_whisperengine.scores import base_weights, to_score, under_weights

#: Scores that come within this time share one reading of the statistics, in seconds.
GATHER_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


class BotImportance(MemoryImportanceEngine):
    """What is kept of the bot's scores: `MemoryImportanceEngine`, with the bot's engine doing the scoring.

    Attributes:
        user_statistics: what all scores of a user say together, as of a moment ago, by user id.
        active: whether the wrapped methods do more than the bot's own.
    """

    def __init__(self, store: AsyncStore, engine: Any, errands: Errands) -> None:
        """Keep the scores of the bot's engine in a store."""
        super().__init__(store)
        self.active = True
        self._before = getattr(engine, "user_statistics", {})
        self.user_statistics: dict[str, Any] = dict(self._before)
        self._engine = engine
        self._errands = errands
        self._statistics: Bounded[str, Statistics] = Bounded(self.options.remembered_users)
        self._reading: set[str] = set()
        self._unread: set[str] = set()

    @classmethod
    def adopt(cls, engine: Any, store: AsyncStore, errands: Errands, patches: Patches) -> BotImportance | None:
        """Let a bot's engine remember; ``None`` where it scores nothing."""
        scoring: Any = getattr(engine, "calculate_memory_importance", None)
        if not callable(scoring):
            return None
        memory = cls(store, engine, errands)
        if not patches.put(engine, "calculate_memory_importance", memory.recording(scoring)):
            return None
        if hasattr(engine, "user_statistics"):
            patches.put(engine, "user_statistics", memory.user_statistics)
        summing: Any = getattr(engine, "get_importance_statistics", None)
        if callable(summing):
            patches.put(engine, "get_importance_statistics", memory.summing(summing))
        return memory

    def recording(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the scoring method, working under a user's own weights and recording what it finds."""

        @functools.wraps(method)
        async def record(*args: Any, **kwargs: Any) -> Any:
            memory_id, user_id = (
                kwargs.get(name, args[position] if len(args) > position else None)
                for position, name in enumerate(("memory_id", "user_id"))
            )
            if not self.active or not isinstance(memory_id, str) or not isinstance(user_id, str):
                return await method(*args, **kwargs)
            found = await (await self._for_user(method, user_id))(*args, **kwargs)
            try:
                score = to_score(found, user_id, memory_id)
            except Exception as error:
                _log.warning("a score was not understood", extra={"error": type(error).__name__})
                return found
            if score is not None:
                await self._errands.run(self._keep(score))
            return found

        return record

    def summing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the synchronous statistics: those of all scores once they were read, until then the engine's own."""

        @functools.wraps(method)
        def sum_up(user_id: str) -> dict[str, Any]:
            if not self.active:
                return cast("dict[str, Any]", method(user_id))
            self._read_soon(user_id)
            known = self._statistics.get(user_id)
            return summary_of(known) or cast("dict[str, Any]", method(user_id))

        return sum_up

    async def weights_for(self, user_id: str) -> dict[str, float]:
        """Return a user's weights: the bot's own, as feedback shifted them; a new dictionary for each call."""
        return (await self._learned.of(user_id)).weights(base_weights(self._engine))

    def forget_user(self, user_id: str) -> None:
        """Forget all that this process holds about a user, in what the bot's own engine has too."""
        super().forget_user(user_id)
        self._statistics.drop(user_id)
        self.user_statistics.pop(user_id, None)
        if isinstance(self._before, dict):
            cast("dict[str, Any]", self._before).pop(user_id, None)
        cache = getattr(self._engine, "importance_cache", None)
        if isinstance(cache, dict):
            found = cast("dict[str, Any]", cache)
            for key in [key for key, score in found.items() if getattr(score, "user_id", None) == user_id]:
                del found[key]

    async def _for_user(self, method: Callable[..., Any], user_id: str) -> Callable[..., Any]:
        asking = self._errands.start(self._learned.of(user_id))
        await asyncio.wait([asking], timeout=self._errands.patience)
        known = self._learned.known.get(user_id)
        if known is None or not any(known.statistics.weight_adjustments.values()):
            return method
        return under_weights(self._engine, method, known.statistics.weights(base_weights(self._engine)))

    async def _keep(self, score: MemoryScore) -> None:
        user_id = score.user_id
        before = self.importance_cache.get((user_id, score.memory_id))
        try:
            await self.record_score(score)
        finally:
            known = self._statistics.get(user_id)
            if known is not None:
                change = StatisticsChange(user_id, scores=(score,))
                self._show(change.apply_to(known, {score.memory_id: before} if before else {}))
            self._read_soon(user_id)

    def _read_soon(self, user_id: str) -> None:
        """See to it that a user's statistics are read after what is known now."""
        self._unread.add(user_id)
        if user_id in self._reading:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self._reading.add(user_id)
        self._errands.start(self._read(user_id))

    async def _read(self, user_id: str) -> None:
        try:
            while user_id in self._unread:
                await asyncio.sleep(GATHER_SECONDS)
                self._unread.discard(user_id)
                found = await self.load_user_statistics(user_id)
                if self.knowledge(user_id) is not Knowledge.UNKNOWN:
                    self._show(found or Statistics(user_id))
        finally:
            self._reading.discard(user_id)

    def _show(self, statistics: Statistics) -> None:
        self._statistics.put(statistics.user_id, statistics)
        self.user_statistics[statistics.user_id] = summary_of(statistics)
