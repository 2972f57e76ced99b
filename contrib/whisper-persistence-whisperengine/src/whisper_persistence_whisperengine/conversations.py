"""Conversations of a running bot: its cache becomes one that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import attrs

from whisper_persistence import AsyncStore
from whisper_persistence.companion import HybridConversationCache, HybridConversationStorage
from whisper_persistence.companion.conversation_adoption import forget_messages
from whisper_persistence.settings import StoragePolicies
from whisper_persistence_whisperengine.patches import Patches

#: The attribute that parts of the bot keep their cache in.
ATTRIBUTE: Final = "conversation_cache"
_METHODS: Final = ("add_message", "get_user_conversation_context")
_SIZES: Final = {"cache_timeout_minutes": 15, "bootstrap_limit": 20, "max_local_messages": 50}


@attrs.frozen(eq=False)
class Conversations:
    """The conversations of one bot.

    Attributes:
        cache: what stands in for its cache.
        before: the cache that was there.
    """

    cache: HybridConversationCache
    before: Any

    def forget_user(self, user_id: str) -> None:
        """Drop everything that either cache holds of a user; the old one is put back and adopted another time."""
        self.cache.forget_user(user_id)
        forget_messages(self.before, user_id)


def adopt_conversations(
    core: Any, store: AsyncStore, policies: StoragePolicies, patches: Patches
) -> Conversations | None:
    """Let a bot's conversations be kept; ``None`` where it holds no cache of them.

    Every part of the core that holds the cache is given the new one, which begins with the messages of the old one.
    """
    replaced = getattr(core, ATTRIBUTE, None)
    if isinstance(replaced, HybridConversationCache) or not all(callable(getattr(replaced, m, None)) for m in _METHODS):
        return None
    timeout, bootstrap, most = (_size(replaced, name, usual) for name, usual in _SIZES.items())
    cache = HybridConversationCache(timeout, bootstrap, most, HybridConversationStorage(store, policies))
    if not patches.put(core, ATTRIBUTE, cache):
        return None
    for part in _holders(core, replaced):
        patches.put(part, ATTRIBUTE, cache)
    cache.adopt(replaced)
    return Conversations(cache, replaced)


def _size(replaced: Any, name: str, usual: int) -> int:
    found = getattr(replaced, name, usual)
    return found if isinstance(found, int) and found > 0 else usual


def _holders(core: Any, replaced: Any) -> Iterator[Any]:
    """Iterate over the parts of the core, and their parts, that hold the old cache."""
    met: set[int] = {id(core)}
    for part in _parts(core):
        for one in (part, *_parts(part)):
            if id(one) not in met and getattr(one, "__dict__", {}).get(ATTRIBUTE) is replaced:
                met.add(id(one))
                yield one


def _parts(thing: Any) -> list[Any]:
    return [
        part for part in cast("dict[str, Any]", getattr(thing, "__dict__", {})).values() if hasattr(part, "__dict__")
    ]
