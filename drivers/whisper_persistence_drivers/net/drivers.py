"""Which drivers are below, and whether asking them may mean waiting for a network."""

from __future__ import annotations

from typing import Any, Final

from whisper_persistence.hookspecs import SPECS, Below

_HOOKS: Final = [name for spec in SPECS for name in vars(spec) if not name.startswith("_")]


def drivers_below(below: Below) -> dict[str, object]:
    """Return the drivers that have any hook below, by name."""
    impls: list[Any] = [impl for hook in _HOOKS for impl in getattr(below, hook).get_hookimpls()]
    return {impl.plugin_name: impl.plugin for impl in impls}


def are_local(drivers: dict[str, object]) -> bool:
    """Say whether every one of them declares that it is ``local``."""
    return all(getattr(driver, "local", False) for driver in drivers.values())
