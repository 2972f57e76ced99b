"""Which memories matter to each user: scored, learned from feedback, and kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion import importance_factors as factors
from whisper_persistence.companion import importance_learning as learning
from whisper_persistence.companion import importance_scoring as scoring
from whisper_persistence.companion.backlog import Backlog
from whisper_persistence.companion.importance_accesses import Accesses
from whisper_persistence.companion.importance_cache import Bounded, ScoreCache
from whisper_persistence.companion.importance_managers import memories_by_id, tell_scores
from whisper_persistence.companion.importance_options import Adjustment, ImportanceOptions
from whisper_persistence.companion.importance_reading import Memory, accesses_of, id_of, lifted
from whisper_persistence.companion.importance_records import ImportanceRecords
from whisper_persistence.companion.importance_stored import StoredScores
from whisper_persistence.companion.importance_summary import summary_of, summary_of_scores
from whisper_persistence.companion.importance_weights import LearnedWeights
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import Durability, MemoryScore, StatisticsChange
from whisper_persistence.records.checks import MAX_MEMBERS
from whisper_persistence.records.memories import BASE_WEIGHTS, CORE_AT
from whisper_persistence.validation import validate

_log = logging.getLogger(__name__)


class MemoryImportanceEngine(ImportanceRecords):
    """Scores memories by six factors, under weights that each user's feedback shifts, and keeps every score.

    Weights are a view per call: nothing one user teaches reaches another. Scoring teaches nothing; feedback does.
    """

    importance_weights: Final[Mapping[str, float]] = MappingProxyType(dict(BASE_WEIGHTS))
    base_decay_rate: Final = scoring.BASE_DECAY_RATE
    access_boost_multiplier: Final = 1.5  # nothing uses it, here or in WhisperEngine
    emotional_preservation_threshold: Final = 0.8
    core_memory_threshold: Final = CORE_AT
    max_core_memories: Final = 20

    def __init__(self, store: AsyncStore, options: ImportanceOptions | None = None) -> None:
        """Score into an open store.

        Args:
            store: where scores, statistics, patterns and preferences are kept.
            options: how to score; the defaults are WhisperEngine's own ways.
        """
        self.options = options or ImportanceOptions()
        backlog = Backlog(store, self.options.max_pending, self.options.retry_seconds, self.options.clock)
        super().__init__(store, backlog, self.options.remembered_users)
        self.importance_cache = ScoreCache(self.options.cached_scores)
        self._scores = StoredScores(backlog, self.importance_cache)
        self._learned = LearnedWeights(
            self._ask_statistics,
            self.options.clock,
            self.options.weights_max_age,
            Bounded(self.options.remembered_users),
        )
        self._accesses = Accesses(backlog, Bounded(self.options.remembered_users))
        store.forgetters.add(self.forget_user)

    async def calculate_memory_importance(
        self,
        memory_id: str,
        user_id: str,
        memory_data: Memory,
        user_history: Sequence[Memory],
        memory_manager: Any = None,
    ) -> MemoryScore:
        """Return how much a memory matters to a user, and record it; never raises.

        A memory that cannot be scored gets `importance_scoring.default_score`, which is not recorded. In an outage the
        score waits to be recorded.

        Args:
            memory_id: which memory.
            user_id: to whom.
            memory_data: the memory, as the bot keeps it.
            user_history: what else the bot knows of the user.
            memory_manager: accepted, since WhisperEngine hands it in, and not asked.
        """
        now = self.options.now()
        try:
            weights = await self.weights_for(user_id)
            access = await self._access(user_id, memory_id, memory_data)
            score = scoring.score(
                user_id, memory_id, self._measure(memory_data, user_history, access, now), weights, now
            )
        except Exception as error:
            _log.warning("a memory could not be scored: %s", type(error).__name__)
            return scoring.default_score(user_id, memory_id, now)
        try:
            await self.record_score(score)
        except PersistenceError as error:
            _log.warning("a score could not be recorded: %s", error)
        return score

    async def record_score(self, score: MemoryScore) -> Durability:
        """Record a score that was made elsewhere, such as by the bot's own engine, and return how safe it is.

        From then on it counts like one of `calculate_memory_importance`: in statistics, core memories and feedback.
        """
        validate(score)
        self.importance_cache.add(score)
        return await self._record([score])

    async def weights_for(self, user_id: str) -> dict[str, float]:
        """Return a user's weights, which add up to 1: a new dictionary for each call."""
        return (await self._learned.of(user_id)).weights(BASE_WEIGHTS)

    async def record_feedback(
        self, user_id: str, memory_id: str, helpful: bool, score: MemoryScore | None = None
    ) -> Adjustment:
        """Learn from whether recalling a memory helped, by the rule of `importance_learning.shifts`.

        Args:
            user_id: whom it was to help.
            memory_id: which memory; one that has no score teaches nothing.
            helpful: whether it did.
            score: its score, where the caller has it; else it is looked for in the cache and the user's last 1,000.
        """
        found = score or await self._scores.find(user_id, memory_id)
        durability = Durability.DURABLE
        async with self._learned.lesson(user_id):
            learned = (await self._learned.of(user_id)).weight_adjustments
            taught = learning.shifts(learning.teaching(found, self.options.count_accesses), helpful, learned)
            if taught:
                change = StatisticsChange(user_id, weight_adjustments=taught)
                durability = await self._learned.learn(change, self._write("update_statistics", change))
        return Adjustment(user_id, 0, await self.weights_for(user_id), durability)

    async def record_access(self, user_id: str, memory_id: str) -> Durability:
        """Count that a memory was recalled, and return how safe that is; `ImportanceOptions.count_accesses` uses it."""
        return await self._accesses.record(user_id, memory_id)

    async def auto_adjust_importance(self, user_id: str, memory_manager: Any = None) -> Adjustment:
        """Let every score of a user that is a day old or older fade by its own rate; meant for once a day.

        In an outage only the scores of this process fade.

        Args:
            user_id: whose.
            memory_manager: told the new scores, if it has ``update_memory_importance(memory_id, score)``.
        """
        adjusted, durability, now = 0, Durability.DURABLE, self.options.now()
        page = await self._scores.page(user_id, MAX_MEMBERS)
        while page:
            pairs = [(old, scoring.decayed(old, now)) for old in map(self.importance_cache.latest, page)]
            faded = [new for old, new in pairs if new.overall_score < old.overall_score]
            for first in range(0, len(faded), MAX_MEMBERS):
                part = faded[first : first + MAX_MEMBERS]
                durability = await self._record(part)
                self.importance_cache.replace(part)
                await tell_scores(memory_manager, part)
            adjusted += len(faded)
            page = await self._scores.page(user_id, MAX_MEMBERS, page[-1])
        return Adjustment(user_id, adjusted, await self.weights_for(user_id), durability)

    async def identify_core_memories(
        self,
        user_id: str,
        limit: int | None = None,
        memory_manager: Any = None,
        memories: Iterable[Memory] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the memories that matter most, highest first: ``memory``, ``importance_score``, ``score_value``.

        Only memories that were scored count, in this process or another, and nothing is scored or written here.

        Args:
            user_id: to whom.
            limit: at most this many; `max_core_memories` unless told.
            memory_manager: asked for ``get_memories_by_user(user_id)``; what it does not have any more is left out.
            memories: the user's memories, instead of asking the manager. Without either, ``memory`` holds the id alone.
        """
        wanted = self.max_core_memories if limit is None else limit
        known = await memories_by_id(memory_manager, user_id, memories)
        core: list[dict[str, Any]] = []
        page = await self._scores.page(user_id, max(wanted, 1))
        while page:
            for score in page:
                if score.overall_score < self.core_memory_threshold or len(core) >= wanted:
                    return core
                memory = {"memory_id": score.memory_id} if known is None else known.get(score.memory_id)
                if memory is not None:
                    core.append({"memory": memory, "importance_score": score, "score_value": score.overall_score})
            page = await self._scores.page(user_id, max(wanted, 1), page[-1])
        return core

    async def get_importance_statistics(self, user_id: str) -> dict[str, Any]:
        """Return what all scores of a user say together, or nothing where there are none; see `summary_of`.

        In an outage it is what the scores of this process say.
        """
        statistics = await self.load_user_statistics(user_id)
        if self.knowledge(user_id) is Knowledge.UNKNOWN:
            return summary_of_scores(self.importance_cache.of_user(user_id)) or summary_of(statistics)
        return summary_of(statistics)

    def clear_cache(self, user_id: str | None = None) -> None:
        """Forget the cached scores of exactly this user, or of everybody; what is stored stays."""
        if user_id is None:
            self.importance_cache.clear()
        else:
            self.importance_cache.clear_user(user_id)

    def forget_user(self, user_id: str) -> None:
        """Forget all that is held about a user, waiting changes included; ``erase_users`` of the store does that."""
        self.clear_cache(user_id)
        self._learned.known.drop(user_id)
        self._accesses.counts.drop(user_id)
        self._forget_records(user_id)

    async def _access(self, user_id: str, memory_id: str, memory: Memory) -> float:
        if not self.options.count_accesses:
            return factors.drawn_access(self.options.random.uniform(0, factors.ACCESS_SPREAD))
        told = accesses_of(memory)
        return factors.counted_access(await self._accesses.count(user_id, memory_id) if told is None else told)

    def _measure(self, memory: Memory, history: Sequence[Memory], access: float, now: datetime) -> dict[str, float]:
        if not self.options.lift_memory_shape:
            return scoring.measure(memory, history, access, now)
        others = [lifted(item) for item in history if not id_of(item) or id_of(item) != id_of(memory)]
        return scoring.measure(lifted(memory), others, access, now)

    async def _record(self, scores: Sequence[MemoryScore]) -> Durability:
        return await self._write("update_statistics", StatisticsChange(scores[0].user_id, scores=tuple(scores)))
