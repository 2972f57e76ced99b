"""Closing the loop: the message that follows an offer of support is the reply to it."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import attrs

from whisper_persistence.companion.importance_cache import Bounded
from whisper_persistence_whisperengine.emotional import user_of

#: The same words of the same user within this time are one message that several parts of the bot hand on, in seconds.
SAME_MESSAGE_SECONDS: Final = 60.0
_REMEMBERED_USERS: Final = 10_000

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Replies:
    """Hands users' messages to the bot's own learning.

    Attributes:
        integration: the bot's ``phase2_integration``.
        emotional: its emotional intelligence, whose ``active_interventions`` are read.
        max_age: a message is a reply to an offer that is younger than this.
        now: the present moment, aware.
        clock: seconds that never go back.
    """

    integration: Any
    emotional: Any
    max_age: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    active: bool = True
    _heard: Bounded[str, tuple[int, float]] = attrs.field(
        factory=lambda: Bounded[str, tuple[int, float]](_REMEMBERED_USERS)
    )
    _answered: set[str] = attrs.field(factory=set[str])

    async def hear(self, user_id: str, text: str) -> Any:
        """Let the bot learn from a message, if it follows an offer; never raises.

        Returns:
            What the bot made of it, or ``None`` where the message was no reply, or was handed on before.
        """
        if not self.active or self._is_repeated(user_id, text):
            return None
        intervention_id = self._awaiting(user_id)
        if intervention_id is None:
            return None
        self._answered.add(intervention_id)
        try:
            return await self._hand_on(user_id, intervention_id, text)
        except Exception as error:
            _log.warning("a reply was not learned from", extra={"user_id": user_id, "error": type(error).__name__})
            return None
        finally:
            self._answered.discard(intervention_id)

    def hearing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the bot's entry for messages, which hears each message before it is processed."""

        @functools.wraps(method)
        async def hear_first(*args: Any, **kwargs: Any) -> Any:
            user_id = kwargs.get("user_id", args[0] if args else None)
            rest = args[1:] if "user_id" not in kwargs else args
            text = kwargs.get("message", kwargs.get("current_message", rest[0] if rest else None))
            if isinstance(user_id, str) and isinstance(text, str):
                await self.hear(user_id, text)
            return await method(*args, **kwargs)

        return hear_first

    def _is_repeated(self, user_id: str, text: str) -> bool:
        now, said = self.clock(), hash(text)
        before = self._heard.get(user_id)
        if before is not None and before[0] == said and now - before[1] < SAME_MESSAGE_SECONDS:
            return True
        self._heard.put(user_id, (said, now))
        return False

    def _awaiting(self, user_id: str) -> str | None:
        """Return the user's newest delivered offer, unless it is old or has its reply."""
        active = getattr(self.emotional, "active_interventions", None)
        if not isinstance(active, Mapping):
            return None
        entries = cast("Mapping[str, Any]", active).items()
        own = [(begun, key, entry) for key, entry in entries if user_of(key) == user_id and (begun := _begun(entry))]
        if not own:
            return None
        begun, key, entry = max(own, key=lambda offer: offer[0])
        is_waiting = entry.get("outcome") is None and key not in self._answered
        return key if is_waiting and self.now() - begun < self.max_age else None

    async def _hand_on(self, user_id: str, intervention_id: str, text: str) -> Any:
        handle = getattr(self.integration, "handle_intervention_response", None)
        if callable(handle):
            return await cast("Any", handle)(user_id, intervention_id, text, {})
        return await self.emotional.track_intervention_response(intervention_id, text, {})


def _begun(entry: Any) -> datetime | None:
    """Return when an offer was delivered, or ``None`` where it was not, or does not say."""
    if not isinstance(entry, Mapping):
        return None
    found = cast("Mapping[str, Any]", entry)
    delivered = found.get("delivery_result")
    if isinstance(delivered, Mapping) and not cast("Mapping[str, Any]", delivered).get("delivered", True):
        return None
    begun = found.get("start_time")
    try:
        if isinstance(begun, (int, float)):
            return datetime.fromtimestamp(begun, UTC)
        if isinstance(begun, str):
            begun = datetime.fromisoformat(begun)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(begun, datetime):
        return None
    return begun if begun.tzinfo else begun.replace(tzinfo=UTC)
