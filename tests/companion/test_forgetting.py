"""Who is erased from the store is forgotten by everything in this process that holds something of them."""

from __future__ import annotations

import pytest

from whisper_persistence import Message, Outcome, StorageUnavailableError, StrategyChange
from whisper_persistence.companion import (
    EmotionalIntelligence,
    HybridConversationCache,
    HybridConversationStorage,
    ImportanceOptions,
    MemoryImportanceEngine,
    PersistentStrategies,
    SupportStrategy,
)


def learned(user_id: str) -> StrategyChange:
    return StrategyChange(user_id, [Outcome(f"{user_id}_intervention_1", "direct_support", 0.9)])


async def test_whoever_is_erased_through_the_store_is_forgotten_by_all_that_hold_them(store, switch):
    mind, strategies = EmotionalIntelligence(store), PersistentStrategies(store)
    engine = MemoryImportanceEngine(store, ImportanceOptions(retry_seconds=0.0))
    storage = HybridConversationStorage(store, retry_seconds=0.0)
    cache = HybridConversationCache(storage=storage)
    for user in ("u", "u_1"):
        await mind.update_user_strategy(learned(user))
        await mind.execute_intervention(await mind.create_support_intervention(user), {"is_interaction": True})
        await engine.calculate_memory_importance("m", user, {"content": "I love the sea"}, [])
        await engine.save_user_preferences(user, {"advice": "none"})
        await strategies.ensure(user)
        await cache.add_message(f"talk of {user}", {"id": "1", "author_id": user, "content": "sea", "bot": False})
        await cache.flush()
        switch.down = True
        await mind.update_user_strategy(learned(user))
        await engine.update_user_preferences(user, {"advice": "much"})
        await storage.append(Message(f"talk of {user}", user, user, "more"))
        switch.down = False

    await store.erase_users(["u"])
    switch.down = True

    assert await mind.load_user_strategy("u") is None
    assert [*mind.active_interventions] == ["u_1_intervention_2"]
    assert (len(engine.importance_cache), len(engine.importance_cache.of_user("u_1"))) == (1, 1)
    assert await engine.load_user_preferences("u") == {}
    assert list(strategies) == ["u_1"]
    assert await storage.recent("talk of u") == ()
    assert await cache.get_conversation("u", "talk of u") is None
    assert await mind.load_user_strategy("u_1") is not None
    assert await engine.load_user_preferences("u_1") == {"advice": "much"}
    switch.down = False
    assert await mind.flush() == await engine.flush() == await storage.flush() == 0
    assert await store.load_strategies(["u"]) == await store.load_preferences(["u"]) == {}
    assert (await store.load_strategies(["u_1"]))["u_1"].interventions == 2


async def test_who_is_gone_is_not_told_and_an_erase_that_fails_still_raises(store, switch):
    strategies, gone = PersistentStrategies(store, adopt={"u": SupportStrategy("s")}), EmotionalIntelligence(store)
    del gone
    switch.down = True

    with pytest.raises(StorageUnavailableError):
        await store.erase_users(["u"])
    assert list(strategies) == []
