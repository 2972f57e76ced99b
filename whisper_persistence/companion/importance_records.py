"""The plan's persistence methods of memory importance: statistics, patterns and preferences of each user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.backlog import Backlog, Later
from whisper_persistence.companion.importance_accesses import ACCESS_TYPE
from whisper_persistence.companion.importance_cache import Bounded
from whisper_persistence.companion.importance_learning import relearned
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import (
    Durability,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Receipt,
    Statistics,
)
from whisper_persistence.records.checks import MAX_MEMBERS


def leading_to(wanted: Preferences, known: Preferences | None) -> list[PreferencesChange]:
    """Return the changes that lead from what is known to what is wanted, none with more members than it may have."""
    gone = [name for name in known.values if name not in wanted.values] if known else []
    parts = [tuple(gone[first : first + MAX_MEMBERS]) for first in range(0, len(gone), MAX_MEMBERS)]
    *before, last = parts or [()]
    changes = [PreferencesChange(wanted.user_id, removed=part) for part in before]
    return [*changes, PreferencesChange(wanted.user_id, wanted.values, last)]


class ImportanceRecords:
    """What is kept about which memories matter to each user, behind an outage.

    Where the storage does not answer, nothing here raises: a load answers what was last known, and a change waits in
    memory, with its id, and goes first once the storage answers; its answer then is ``Durability.VOLATILE``. Any other
    error of the store is raised: `ValidationError` for what is not legal, `StorageRefusedError`, `StoreClosedError`.
    """

    def __init__(self, store: AsyncStore, backlog: Backlog, remembered_users: int) -> None:
        """Keep records in an open store.

        Args:
            store: where to.
            backlog: the way there.
            remembered_users: of how many users the last answers are remembered.
        """
        self.store = store
        self._backlog = backlog
        backlog.taken = self._follow
        self._last: Bounded[tuple[str, str], Any] = Bounded(3 * remembered_users)
        self._silent: Bounded[str, bool] = Bounded(remembered_users)

    @property
    def pending(self) -> int:
        """How many changes wait for the storage to answer."""
        return len(self._backlog)

    @property
    def lost(self) -> int:
        """How many changes that waited were lost: too many waited, or the storage refused them."""
        return self._backlog.lost

    async def flush(self) -> int:
        """Send what waits, as far as the storage takes it, and return how many changes still wait; for a shutdown."""
        return await self._backlog.flush()

    def knowledge(self, user_id: str) -> Knowledge:
        """Return whether a user's statistics, when last asked for, were loaded, absent, or unknown in an outage."""
        key = ("load_statistics", user_id)
        if key not in self._last or user_id in self._silent:
            return Knowledge.UNKNOWN
        return Knowledge.ABSENT if self._last.get(key) is None else Knowledge.LOADED

    async def save_user_statistics(self, statistics: Statistics) -> Durability:
        """Put whole statistics, replacing what is stored, and return how safe they are; scores stay as they are.

        In an outage, what they change of the weights and extra fields last known is kept for later, which can wipe
        nothing unseen; counts and sums then stay those of the scores that are stored.
        """
        known: Statistics | None = self._last.get(("load_statistics", statistics.user_id))
        for waiting in self._backlog.waiting(statistics.user_id, "update_statistics"):
            known = waiting.apply_to(known, {})
        change = relearned(known, statistics)
        return await self._write("save_statistics", statistics, lambda: [("update_statistics", change)])

    async def load_user_statistics(self, user_id: str) -> Statistics | None:
        """Return a user's statistics, the median exact; ``None`` where there are none, or none are known in an outage.

        `knowledge` tells the two apart.
        """
        found: Statistics | None = await self._load("load_statistics", user_id)
        return found

    async def update_memory_patterns(
        self,
        user_id: str,
        pattern_id: str,
        *,
        pattern_type: str = "",
        confidence: float = 0.5,
        importance: float = 0.5,
        keywords: Sequence[str] = (),
    ) -> Durability:
        """Record that a kind of memory was seen to matter once more, and return how safe that is.

        Args:
            user_id: to whom.
            pattern_id: which pattern; observations of one add up.
            pattern_type: its kind; empty keeps the stored one.
            confidence: how sure the observation is, 0 to 1; the pattern's is the mean of all.
            importance: how much what was seen matters, 0 to 1.
            keywords: words it was recognised by, added to the stored ones.
        """
        change = PatternChange(user_id, pattern_id, confidence, importance, pattern_type, tuple(keywords))
        return await self._write("update_patterns", change)

    async def load_memory_patterns(self, user_id: str) -> tuple[Pattern, ...]:
        """Return a user's patterns in the order of their ids, counted accesses left out."""
        found: tuple[Pattern, ...] = await self._load("load_patterns", user_id) or ()
        return tuple(pattern for pattern in found if pattern.pattern_type != ACCESS_TYPE)

    async def save_user_preferences(self, user_id: str, values: Mapping[str, Any]) -> Durability:
        """Put all of a user's preferences, replacing what is stored, and return how safe they are.

        In an outage, what they change of those last known is kept for later, which can wipe nothing unseen.
        """
        saved = Preferences(user_id, dict(values))
        changes = leading_to(saved, self._known_preferences(user_id))
        return await self._write("save_preferences", saved, lambda: [("update_preferences", one) for one in changes])

    async def load_user_preferences(self, user_id: str) -> dict[str, Any]:
        """Return a user's preferences by name; in an outage what was last known, with the changes that wait."""
        await self._load("load_preferences", user_id)
        found = self._known_preferences(user_id)
        return dict(found.values) if found else {}

    async def update_user_preferences(
        self, user_id: str, values: Mapping[str, Any], removed: Sequence[str] = ()
    ) -> Durability:
        """Set some of a user's preferences, take others away, keep the rest, and return how safe that is."""
        change = PreferencesChange(user_id, dict(values), tuple(removed))
        return await self._write("update_preferences", change)

    async def _write(self, hook: str, item: Any, later: Later | None = None) -> Durability:
        return (await self._backlog.write(hook, item, later)).durability

    def _forget_records(self, user_id: str) -> None:
        self._backlog.forget(user_id)
        self._silent.drop(user_id)
        for hook in ("load_statistics", "load_patterns", "load_preferences"):
            self._last.drop((hook, user_id))

    def _known_preferences(self, user_id: str) -> Preferences | None:
        found: Preferences | None = self._last.get(("load_preferences", user_id))
        for change in self._backlog.waiting(user_id, "update_preferences"):
            found = change.apply_to(found)
        return found

    def _follow(self, item: Any, receipt: Receipt) -> None:
        """Keep the preferences last known up to date with what the store took; what is unknown stays unknown."""
        del receipt
        key = ("load_preferences", item.user_id)
        if isinstance(item, Preferences):
            self._last.put(key, item)
        elif isinstance(item, PreferencesChange) and key in self._last:
            self._last.put(key, item.apply_to(self._last.get(key)))

    async def _ask_statistics(self, user_id: str) -> Statistics | None:
        found: Statistics | None = await self._ask("load_statistics", user_id)
        return found

    async def _load(self, hook: str, user_id: str) -> Any:
        try:
            return await self._ask(hook, user_id)
        except StorageUnavailableError:
            return self._last.get((hook, user_id))

    async def _ask(self, hook: str, user_id: str) -> Any:
        known = self._last.get((hook, user_id))
        try:
            found = (await self._backlog.ask(hook, user_id)).get(user_id)
        except StorageUnavailableError:
            self._silent.put(user_id, True)
            raise
        if self._last.get((hook, user_id)) is known:  # else nobody can tell whether it holds what was taken meanwhile
            self._last.put((hook, user_id), found)
        self._silent.drop(user_id)
        return found
