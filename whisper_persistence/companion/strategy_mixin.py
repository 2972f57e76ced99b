"""Persistence for code that subclasses the bot's own class: ``class EI(StrategyPersistenceMixin, TheBotsClass)``."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from whisper_persistence.aio import AsyncStore
from whisper_persistence.companion.persistent_strategies import PersistentStrategies
from whisper_persistence.companion.support import SupportStrategy
from whisper_persistence.errors import PersistenceError

_log = logging.getLogger(__name__)


class StrategyPersistenceMixin:
    """Makes the strategies of a class like WhisperEngine's ``PredictiveEmotionalIntelligence`` outlive the process.

    It stands before the bot's class, takes the keyword arguments ``strategy_store`` and ``strategy_class`` and hands on
    all others. A user is fetched before, and what changed is written after, the three methods that read or change
    strategies; whatever the storage does, these return and raise what they would without it.

    Attributes:
        user_strategies: the strategies, in place of the dict of the bot's class.
    """

    user_strategies: PersistentStrategies[Any]

    def __init__(
        self, *args: Any, strategy_store: AsyncStore, strategy_class: type = SupportStrategy, **kwargs: Any
    ) -> None:
        """Build the bot's class, then adopt the strategies that it holds.

        Args:
            *args: as the bot's class takes them.
            strategy_store: an open store.
            strategy_class: the bot's class of strategies.
            **kwargs: as the bot's class takes them.
        """
        super().__init__(*args, **kwargs)
        held: dict[str, Any] = getattr(self, "user_strategies", {})
        self.user_strategies = PersistentStrategies(strategy_store, strategy_class, held)

    async def comprehensive_emotional_assessment(self, user_id: str, *args: Any, **kwargs: Any) -> Any:
        """Assess as the bot's class does, knowing what is stored."""
        method: Any = super()
        return await self._remembering(user_id, method.comprehensive_emotional_assessment, user_id, *args, **kwargs)

    async def get_user_emotional_dashboard(self, user_id: str, *args: Any, **kwargs: Any) -> Any:
        """Return the dashboard of the bot's class, knowing what is stored."""
        method: Any = super()
        return await self._remembering(user_id, method.get_user_emotional_dashboard, user_id, *args, **kwargs)

    async def track_intervention_response(self, intervention_id: str, *args: Any, **kwargs: Any) -> Any:
        """Track and learn as the bot's class does, and keep what was learned."""
        method: Any = super()
        user_id = intervention_id.partition("_intervention_")[0]
        return await self._remembering(user_id, method.track_intervention_response, intervention_id, *args, **kwargs)

    async def _remembering(self, user_id: str, method: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        await _quietly(self.user_strategies.ensure, user_id)
        try:
            return await method(*args, **kwargs)
        finally:
            await _quietly(self.user_strategies.flush, user_id)


async def _quietly(method: Callable[[str], Awaitable[object]], user_id: str) -> None:
    try:
        await method(user_id)
    except PersistenceError as error:
        _log.warning("strategy not kept: %s", type(error).__name__, extra={"user_id": user_id})
