"""How often each memory was recalled, counted for good: one pattern a memory, one observation an access."""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from whisper_persistence.companion.backlog import Backlog
from whisper_persistence.companion.importance_cache import Bounded
from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import Durability, Pattern, PatternChange
from whisper_persistence.records.checks import MAX_ID_BYTES

#: The `Pattern.pattern_type` of counted accesses.
ACCESS_TYPE: Final = "access"


def access_id(memory_id: str) -> str:
    """Return the pattern id under which the accesses of a memory are counted; a long memory id goes by its digest."""
    plain = f"{ACCESS_TYPE}:{memory_id}"
    digest = hashlib.sha256(memory_id.encode(errors="surrogatepass")).hexdigest()
    return plain if len(plain.encode(errors="surrogatepass")) <= MAX_ID_BYTES else f"{ACCESS_TYPE}:sha256:{digest}"


@attrs.define(eq=False)
class Accesses:
    """The access counts of each user's memories, read once and followed.

    Attributes:
        backlog: the way to the store.
        counts: what is known, by user id.
    """

    backlog: Backlog
    counts: Bounded[str, dict[str, int]]

    async def count(self, user_id: str, memory_id: str) -> int:
        """Return how often a memory was recalled, as far as is known."""
        return (await self._of(user_id)).get(access_id(memory_id), 0)

    async def record(self, user_id: str, memory_id: str) -> Durability:
        """Count one access, and return how safe it is."""
        counts = await self._of(user_id)
        change = PatternChange(user_id, access_id(memory_id), pattern_type=ACCESS_TYPE)
        receipt = await self.backlog.write("update_patterns", change)
        counts[change.pattern_id] = counts.get(change.pattern_id, 0) + 1
        return receipt.durability

    async def _of(self, user_id: str) -> dict[str, int]:
        found = self.counts.get(user_id)
        if found is not None:
            return found
        try:
            patterns: tuple[Pattern, ...] = (await self.backlog.ask("load_patterns", user_id)).get(user_id, ())
        except PersistenceError:
            return self._waiting(user_id)
        counts = {p.pattern_id: p.frequency for p in patterns if p.pattern_type == ACCESS_TYPE}
        raced = self.counts.get(user_id)
        if raced is not None:
            return raced
        self.counts.put(user_id, counts)
        return counts

    def _waiting(self, user_id: str) -> dict[str, int]:
        changes = [c for c in self.backlog.waiting(user_id, "update_patterns") if c.pattern_type == ACCESS_TYPE]
        counts: dict[str, int] = {}
        for change in changes:
            counts[change.pattern_id] = counts.get(change.pattern_id, 0) + 1
        return counts
