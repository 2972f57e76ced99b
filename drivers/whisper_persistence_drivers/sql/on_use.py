"""The parts of the SQL drivers that few programs need or none at first, imported when they are first asked for.

Reading a module and having attrs make its classes is most of what opening a store costs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whisper_persistence_drivers.sql import (
        chain_start,
        chain_walk,
        chaining,
        erasing,
        expiring,
        following,
        indexer,
        indexing,
        leasing,
        patterns,
        replaying,
        scanning,
        scores,
        searching,
        slack,
        statistics,
        strategies,
        text_index,
        unindexed,
        vectors,
    )

__all__ = [
    "chain_start",
    "chain_walk",
    "chaining",
    "erasing",
    "expiring",
    "following",
    "indexer",
    "indexing",
    "leasing",
    "patterns",
    "replaying",
    "scanning",
    "scores",
    "searching",
    "slack",
    "statistics",
    "strategies",
    "text_index",
    "unindexed",
    "vectors",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Return a module of this package."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = globals()[name] = import_module(f"{__package__}.{name}")
        return module
