"""The errors that leave this package: one shallow tree.

Every message says what was asked, what there was and what to do, in lower case and without a full stop. None of them
ever carries a password, a token, a connection string or the text of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PersistenceError(Exception):
    """Something went wrong in whisper-persistence."""


class ConfigurationError(PersistenceError):
    """The settings name something that cannot be used."""


class DriverNotFoundError(ConfigurationError):
    """No installed distribution offers a driver of this name."""


class DriverConflictError(ConfigurationError):
    """Two installed distributions offer a driver of the same name."""


class MissingLibraryError(ConfigurationError):
    """A driver needs a library that is not installed."""


class ContractVersionError(ConfigurationError):
    """A driver was written for another version of the hook contract."""


class ValidationError(PersistenceError, ValueError):
    """A value is not one that every driver can keep.

    Attributes:
        field: the record and field that were refused, such as ``Message.content``.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field} {self.problem}"


class StorageUnavailableError(PersistenceError):
    """The storage did not answer, so what it holds is unknown."""


class StorageBusyError(StorageUnavailableError):
    """The storage is there, but others kept it busy for too long."""


class PartlyUnavailableError(StorageUnavailableError):
    """Some keys of a load could not be asked.

    Attributes:
        found: what exists under the other keys.
        unknown: the keys that could not be asked.
    """

    def __init__(self, message: str, found: Mapping[Any, Any], unknown: frozenset[Any]) -> None:
        super().__init__(message)
        self.found = found
        self.unknown = unknown


class StorageRefusedError(PersistenceError):
    """The storage permanently refused the content of this batch."""


class StorageDamagedError(PersistenceError):
    """The storage is there, but its content cannot be read."""


class PartlyDamagedError(StorageDamagedError):
    """The records under some keys of a load cannot be read.

    Attributes:
        found: what exists under the other keys.
        unknown: the keys whose records cannot be read; they exist, so do not take them for absent.
    """

    def __init__(self, message: str, found: Mapping[Any, Any], unknown: frozenset[Any]) -> None:
        super().__init__(message)
        self.found = found
        self.unknown = unknown


class IncompatibleSchemaError(PersistenceError):
    """The storage has a schema that this version does not know."""


class ConflictError(PersistenceError):
    """Another writer was faster, so its newer record was kept."""


class ErasedMeanwhileError(PersistenceError):
    """A user concerned by a write was erased in the meantime, so nothing of that write was stored.

    Attributes:
        erasures: the number of the newest erase; a caller who has been told it may write again, as after that erase.
    """

    def __init__(self, erasures: int) -> None:
        super().__init__("a user was erased meanwhile by another process: ask again to write after the erase")
        self.erasures = erasures


class NotSupportedError(PersistenceError):
    """No driver in the chain supports this call."""


class BrokenDriverError(PersistenceError):
    """A driver violated the contract, so what it did is unknown."""


class ClockMovedError(PersistenceError):
    """The clock was moved, so ages cannot be trusted, and nothing was removed because of its age."""


class StoreClosedError(PersistenceError):
    """The store was used after it was closed."""
