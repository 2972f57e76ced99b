"""A bot's own memory manager, asked by duck typing: it may be absent, synchronous, or failing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from whisper_persistence.companion.importance_reading import Memory, id_of
from whisper_persistence.records import MemoryScore

_log = logging.getLogger(__name__)


async def memories_by_id(manager: Any, user_id: str, given: Iterable[Memory] | None) -> dict[str, Memory] | None:
    """Return a user's memories by their ids: those given, else those of the manager's ``get_memories_by_user``.

    ``None`` where nobody can tell, which is not the same as a user without memories.
    """
    if given is None and hasattr(manager, "get_memories_by_user"):
        given = await _asked(manager.get_memories_by_user, user_id)
    return None if given is None else {id_of(memory): memory for memory in given}


async def tell_scores(manager: Any, scores: Sequence[MemoryScore]) -> None:
    """Hand changed scores to the manager's ``update_memory_importance(memory_id, score)``, if it has one."""
    if hasattr(manager, "update_memory_importance"):
        for score in scores:
            await _asked(manager.update_memory_importance, score.memory_id, score.overall_score)


async def _asked(method: Any, *arguments: Any) -> Any:
    try:
        answer = method(*arguments)
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        _log.warning("the memory manager failed", extra={"error": type(error).__name__})
        return None
