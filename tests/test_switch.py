"""The driver that fails on command fails whatever it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from whisper_persistence_drivers.memory_fallback import MemoryFallbackDriver

from whisper_persistence import StorageUnavailableError, Store
from whisper_persistence.hookspecs import PROJECT, Below
from whisper_persistence.plugins import Chain
from whisper_persistence.records import State
from whisper_persistence.testing import Switch

#: What is no question about what is stored.
OTHERS = {"open", "close", "check_health", "inspect_schema", "restore"}
HOOKS = [name for name in dir(Below) if hasattr(getattr(Below, name), f"{PROJECT}_spec")]


@pytest.mark.parametrize("hook", [name for name in HOOKS if name not in OTHERS])
def test_while_it_is_down_nothing_is_answered(hook: str) -> None:
    switch = Switch()
    with Store(Chain.of({"switch": switch, "memory-fallback": MemoryFallbackDriver()})) as store:
        switch.down = True
        caller: Any = getattr(store.chain.hook, hook)
        with pytest.raises(StorageUnavailableError):
            caller(**dict.fromkeys(caller.spec.argnames))
        assert [tier.state for tier in store.check_health()] == [State.DOWN]
        switch.down = False
        assert [tier.tier for tier in store.check_health()] == ["memory-fallback"]
