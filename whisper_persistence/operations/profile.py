"""Everything that is kept about one user, in one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

from whisper_persistence.errors import NotSupportedError
from whisper_persistence.operations.reading import conversations_of
from whisper_persistence.records import (
    MemoryScore,
    Message,
    Outcome,
    OutcomeQuery,
    Pattern,
    Preferences,
    ScoreQuery,
    Statistics,
    Strategy,
    Window,
    checks,
)
from whisper_persistence.store import Store

K = TypeVar("K")
V = TypeVar("V")


@attrs.frozen
class Profile:
    """What is kept about one user.

    Attributes:
        user_id: whom it is about.
        strategy: how to support them, or ``None``.
        outcomes: the newest outcomes, newest first.
        statistics: what is known of their memories' scores, or ``None``.
        scores: the memories that matter most, highest first.
        patterns: the kinds of memory that matter.
        preferences: what they wish, or ``None``.
        messages: the newest messages that concern them, in all their conversations, oldest first.
    """

    user_id: str
    strategy: Strategy | None
    outcomes: tuple[Outcome, ...]
    statistics: Statistics | None
    scores: tuple[MemoryScore, ...]
    patterns: tuple[Pattern, ...]
    preferences: Preferences | None
    messages: tuple[Message, ...] = attrs.field(repr=False)

    def is_empty(self) -> bool:
        """Return whether nothing is kept about this user."""
        return not any((self.strategy, self.outcomes, self.statistics, self.patterns, self.preferences, self.messages))


def load_profile(store: Store, user_id: str, limit: int = 20, conversations: Sequence[str] = ()) -> Profile:
    """Return what is kept about one user.

    Args:
        store: where to look.
        user_id: whom it is about.
        limit: at most this many messages, outcomes and scores.
        conversations: which conversations to look into; without any, all of the user's.
    """
    outcomes, scores = OutcomeQuery(user_id, limit), ScoreQuery(user_id, limit=limit)
    return Profile(
        user_id,
        _ask(store.load_strategies, user_id),
        _ask(store.load_outcomes, outcomes) or (),
        _ask(store.load_statistics, user_id),
        _ask(store.load_scores, scores) or (),
        _ask(store.load_patterns, user_id) or (),
        _ask(store.load_preferences, user_id),
        _newest(store, user_id, limit, conversations or conversations_of(store, [user_id])),
    )


def _ask(load: Callable[[Sequence[K]], Mapping[K, V]], key: K) -> V | None:
    """Return what one key has; a chain that does not offer the hook keeps nothing of that kind."""
    try:
        return load([key]).get(key)
    except NotSupportedError:
        return None


def _newest(store: Store, user_id: str, limit: int, conversations: Iterable[str]) -> tuple[Message, ...]:
    windows = [Window(conversation, limit, user_id=user_id) for conversation in dict.fromkeys(conversations)]
    found = [
        message
        for start in range(0, len(windows), checks.MAX_BATCH)
        for messages in store.load_messages(windows[start : start + checks.MAX_BATCH]).values()
        for message in messages
    ]
    return tuple(sorted(found, key=lambda message: message.timestamp)[-limit:])
