"""A user's stored scores, and what stands in for them in an outage."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from whisper_persistence.companion.backlog import Backlog
from whisper_persistence.companion.importance_cache import ScoreCache
from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import MemoryScore, ScoreQuery
from whisper_persistence.records.checks import MAX_MEMBERS


@attrs.frozen(eq=False)
class StoredScores:
    """Reads scores.

    Attributes:
        backlog: the way to the store.
        cache: the scores of this process.
    """

    backlog: Backlog
    cache: ScoreCache

    async def find(self, user_id: str, memory_id: str) -> MemoryScore | None:
        """Return the score of a memory, from the cache or the user's last 1,000."""
        cached = self.cache.get((user_id, memory_id))
        if cached is not None:
            return cached
        try:
            query = ScoreQuery(user_id, "recent", MAX_MEMBERS)
            page = (await self.backlog.ask("load_scores", query)).get(query, ())
        except StorageUnavailableError:
            return None
        return next((score for score in page if score.memory_id == memory_id), None)

    async def page(self, user_id: str, size: int, after: MemoryScore | None = None) -> Sequence[MemoryScore]:
        """Return a page of a user's stored scores, highest first; in an outage all those of this process."""
        query = ScoreQuery(user_id, "top", size, after)
        try:
            found: Sequence[MemoryScore] = (await self.backlog.ask("load_scores", query)).get(query, ())
        except StorageUnavailableError:
            cached = () if after else self.cache.of_user(user_id)
            return sorted(cached, key=lambda score: score.overall_score, reverse=True)
        return found
