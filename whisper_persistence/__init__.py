"""A memory for AI companions: how to support each user, which memories matter, and the talk itself."""

from whisper_persistence.errors import (
    ConfigurationError,
    ConflictError,
    ContractVersionError,
    DriverConflictError,
    DriverNotFoundError,
    IncompatibleSchemaError,
    MissingLibraryError,
    NotSupportedError,
    PersistenceError,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
    StoreClosedError,
    ValidationError,
)
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.store import Store

__all__ = [
    "ConfigurationError",
    "ConflictError",
    "ContractVersionError",
    "DriverConflictError",
    "DriverNotFoundError",
    "IncompatibleSchemaError",
    "MissingLibraryError",
    "NotSupportedError",
    "PersistenceError",
    "StorageDamagedError",
    "StorageRefusedError",
    "StorageUnavailableError",
    "Store",
    "StoreClosedError",
    "ValidationError",
    "hookimpl",
]
