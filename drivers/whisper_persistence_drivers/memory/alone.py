"""The in-memory store that the memory-fallback driver is where nothing is listed below it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from whisper_persistence import records as rec
from whisper_persistence.hookspecs import Below
from whisper_persistence.origins import current_origin
from whisper_persistence_drivers.memory import (
    aggregating,
    expiring,
    following,
    learning,
    maintenance,
    replaying,
    searching,
    talk,
)
from whisper_persistence_drivers.memory.state import LOCK, State
from whisper_persistence_drivers.memory.tables import PATTERNS, PREFERENCES, STATISTICS, STRATEGIES, load_patterns

_WRITES: Final[dict[str, tuple[replaying.Act, str]]] = {
    "save_strategies": (STRATEGIES.save, "strategies"),
    "update_strategies": (learning.update_strategies, ""),
    "save_statistics": (STATISTICS.save, "statistics"),
    "update_statistics": (learning.update_statistics, ""),
    "save_patterns": (PATTERNS.save, "patterns"),
    "update_patterns": (PATTERNS.update, ""),
    "save_preferences": (PREFERENCES.save, "preferences"),
    "update_preferences": (PREFERENCES.update, ""),
    "save_messages": (talk.save_messages, ""),
    "update_messages": (talk.update_messages, ""),
}
_ANSWERS: Final[dict[str, Callable[..., Any]]] = {
    "load_strategies": STRATEGIES.load,
    "load_outcomes": learning.load_outcomes,
    "load_statistics": learning.load_statistics,
    "load_patterns": load_patterns,
    "load_preferences": PREFERENCES.load,
    "load_scores": learning.load_scores,
    "load_messages": talk.load_messages,
    "search_messages": searching.search_messages,
    "register_follower": following.register_follower,
    "load_pending": following.load_pending,
    "clear_pending": following.clear_pending,
    "lease_follower": following.lease_follower,
    "load_revisions": following.load_revisions,
}


@attrs.define(eq=False)
class Alone:
    """Keeps everything in this process, as strictly as a database would, and loses it when it is closed.

    Attributes:
        tier: the driver's name, for reports.
        below: the hooks of the drivers listed after it, which answer nothing.
        namespace: whose records they are.
    """

    tier: str
    below: Below
    namespace: str
    _state: State = attrs.field(factory=State, init=False, repr=False)

    def write(self, hook: str, items: Sequence[Any]) -> Sequence[rec.Receipt]:
        """Answer a hook that writes."""
        act, saves = _WRITES[hook]
        with LOCK:
            return replaying.write(self._state, act, items, saves)

    def load(self, hook: str, asked: Sequence[Any]) -> Mapping[Any, Any]:
        """Answer a hook that loads."""
        found: Mapping[Any, Any] = self.ask(hook, asked)
        return found

    def ask(self, hook: str, *arguments: Any) -> Any:
        """Answer any other hook of a subject or of followers."""
        with LOCK:
            return _ANSWERS[hook](self._state, *arguments)

    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Say that it is up, and how much it holds."""
        started = time.perf_counter()
        with LOCK:
            counts = self._state.counts()
        return (rec.TierHealth(self.tier, rec.State.UP, time.perf_counter() - started, dict(counts)),)

    def scan(self, kind: Any, cursor: str | None, limit: int) -> rec.Page | None:
        """Return one page of all records of a kind; ask below for a kind that is not kept here."""
        if kind not in rec.RECORD_KINDS:
            return self.below.scan(kind=kind, cursor=cursor, limit=limit)
        with LOCK:
            return maintenance.scan(self._state, kind, cursor, limit)

    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> rec.Page:
        """Return one page of the messages of a user."""
        with LOCK:
            return maintenance.scan_messages(self._state, user_id, cursor, limit)

    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Forget users."""
        origin = current_origin()
        with LOCK:
            fresh = origin is None or replaying.is_new(self._state, origin)
            counts = maintenance.erase_users(self._state, user_ids) if fresh else {}
        return (rec.TierReport(self.tier, counts),)

    def expire(self, policies: Sequence[rec.Retention], *, dry_run: bool) -> tuple[rec.TierReport, ...]:
        """Remove what the policies no longer keep."""
        with LOCK:
            return (rec.TierReport(self.tier, expiring.expire(self._state, policies, dry_run=dry_run)),)

    def aggregate(self, question: rec.Question[Any]) -> Any:
        """Answer one question over many users; ask below one that is not known."""
        with LOCK:
            answer = aggregating.aggregate(self._state, self.namespace, question)
        return self.below.aggregate(question=question) if answer is None else answer

    def close(self) -> None:
        """Forget everything."""
        self._state = State()
