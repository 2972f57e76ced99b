"""A memory for AI companions: how to support each user, which memories matter, and the talk itself."""

from typing import TYPE_CHECKING, Any

from whisper_persistence import records
from whisper_persistence.aio import AsyncStore
from whisper_persistence.errors import (
    BrokenDriverError,
    ClockMovedError,
    ConfigurationError,
    ConflictError,
    ContractVersionError,
    DriverConflictError,
    DriverNotFoundError,
    ErasedMeanwhileError,
    IncompatibleSchemaError,
    MissingLibraryError,
    NotSupportedError,
    PartlyUnavailableError,
    PersistenceError,
    StorageBusyError,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    StoreClosedError,
    ValidationError,
)
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.records import (
    ClearMark,
    Durability,
    Message,
    MessageEdit,
    MessageRedaction,
    Receipt,
    Window,
)
from whisper_persistence.store import Store

if TYPE_CHECKING:
    from whisper_persistence.records import (
        MemoryScore,
        Outcome,
        OutcomeQuery,
        Pattern,
        PatternChange,
        Preferences,
        PreferencesChange,
        Retention,
        ScoreQuery,
        SearchQuery,
        SearchResult,
        Statistics,
        StatisticsChange,
        Strategy,
        StrategyChange,
    )

__all__ = [
    "AsyncStore",
    "BrokenDriverError",
    "ClearMark",
    "ClockMovedError",
    "ConfigurationError",
    "ConflictError",
    "ContractVersionError",
    "DriverConflictError",
    "DriverNotFoundError",
    "Durability",
    "ErasedMeanwhileError",
    "IncompatibleSchemaError",
    "MemoryScore",
    "Message",
    "MessageEdit",
    "MessageRedaction",
    "MissingLibraryError",
    "NotSupportedError",
    "Outcome",
    "OutcomeQuery",
    "PartlyUnavailableError",
    "Pattern",
    "PatternChange",
    "PersistenceError",
    "Preferences",
    "PreferencesChange",
    "Receipt",
    "Retention",
    "ScoreQuery",
    "SearchQuery",
    "SearchResult",
    "Statistics",
    "StatisticsChange",
    "StorageBusyError",
    "StorageDamagedError",
    "StorageRefusedError",
    "StorageUnavailableError",
    "Store",
    "StoreClosedError",
    "Strategy",
    "StrategyChange",
    "ValidationError",
    "Window",
    "hookimpl",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Return a record that is imported on use."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(records, name)
