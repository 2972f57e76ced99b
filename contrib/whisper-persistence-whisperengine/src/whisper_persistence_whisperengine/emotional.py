"""Strategies of a running bot: its plain dict becomes one that remembers, and three methods fetch and flush."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import attrs

from whisper_persistence import AsyncStore
from whisper_persistence.companion import PersistentStrategies, SupportStrategy
from whisper_persistence_whisperengine.errands import Errands
from whisper_persistence_whisperengine.patches import Patches

#: The methods that read or change strategies, and the argument that says whose.
METHODS: Final = {
    "comprehensive_emotional_assessment": "user_id",
    "get_user_emotional_dashboard": "user_id",
    "track_intervention_response": "intervention_id",
}


def user_of(intervention_id: str) -> str:
    """Return whom an intervention is for, by the bot's own rule: what precedes the first mark."""
    return intervention_id.partition("_intervention_")[0]


@attrs.define(eq=False)
class EmotionalMemory:
    """The strategies of one emotional intelligence.

    Attributes:
        target: the bot's object.
        strategies: what stands in for its dict.
        errands: what is on its way to the storage.
        before: the dict that was there.
        active: whether the wrapped methods do more than the bot's own.
    """

    target: Any
    strategies: PersistentStrategies[Any]
    errands: Errands
    before: Any
    active: bool = True

    @classmethod
    def adopt(cls, target: Any, store: AsyncStore, errands: Errands, patches: Patches) -> EmotionalMemory | None:
        """Let a bot's object remember; ``None`` where it holds no plain mapping of strategies."""
        held = getattr(target, "user_strategies", None)
        if not isinstance(held, Mapping) or isinstance(held, PersistentStrategies):
            return None
        given = cast("Mapping[str, Any]", held)
        strategies = PersistentStrategies[Any](store, strategy_class(target, given), given)
        memory = cls(target, strategies, errands, given)
        if not patches.put(target, "user_strategies", strategies):
            return None
        for name, argument in METHODS.items():
            method: Any = getattr(target, name, None)
            if callable(method):
                patches.put(target, name, memory.remembering(method, argument))
        return memory

    def remembering(self, method: Callable[..., Any], argument: str) -> Callable[..., Any]:
        """Return a method that knows what is stored before it runs, and keeps what it changed after."""

        @functools.wraps(method)
        async def remember(*args: Any, **kwargs: Any) -> Any:
            named = kwargs.get(argument, args[0] if args else None)
            if not self.active or not isinstance(named, str):
                return await method(*args, **kwargs)
            user_id = user_of(named) if argument == "intervention_id" else named
            await self.errands.run(self.strategies.ensure(user_id))
            try:
                return await method(*args, **kwargs)
            finally:
                await self.errands.run(self.strategies.flush(user_id))

        return remember

    def forget_user(self, user_id: str) -> None:
        """Drop everything that the bot's object holds of a user, its own dict too, and what waits to be stored."""
        self.strategies.forget_user(user_id)
        if isinstance(self.before, dict):  # it is put back, and adopted another time
            cast("dict[str, Any]", self.before).pop(user_id, None)
        assessments, active = (
            getattr(self.target, name, None) for name in ("user_assessments", "active_interventions")
        )
        if isinstance(assessments, dict):
            cast("dict[Any, Any]", assessments).pop(user_id, None)
        if isinstance(active, dict):
            found = cast("dict[Any, Any]", active)
            for key in [key for key in found if user_of(str(key)) == user_id]:
                del found[key]

    def hand_back(self) -> None:
        """Give the bot's own dict what is known by now; the object itself is put back by its patch."""
        self.active = False
        held = self.before
        if isinstance(held, dict):
            cast("dict[str, Any]", held).update(self.strategies)


def strategy_class(target: Any, held: Mapping[str, Any]) -> Any:
    """Return the bot's class of strategies: that of one it holds, or the one beside its own class, or ours."""
    for value in held.values():
        return cast("Any", type(value))
    for kind in type(target).__mro__:
        found = getattr(sys.modules.get(kind.__module__), "SupportStrategy", None)
        if isinstance(found, type):
            return cast("Any", found)
    return SupportStrategy
