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
    """The storage is there, and others kept it busy for too long."""


class PartlyUnavailableError(StorageUnavailableError):
    """Of the keys of one load some could not be asked.

    Attributes:
        found: what there is under the others.
        unknown: the keys that could not be asked.
    """

    def __init__(self, message: str, found: Mapping[Any, Any], unknown: frozenset[Any]) -> None:
        super().__init__(message)
        self.found = found
        self.unknown = unknown


class StorageRefusedError(PersistenceError):
    """The storage answered and refused the content of this batch for good."""


class StorageDamagedError(PersistenceError):
    """The storage is there but what it holds cannot be read."""


class PartlyDamagedError(StorageDamagedError):
    """Of the keys of one load some name what cannot be read.

    Attributes:
        found: what there is under the others.
        unknown: the keys whose records cannot be read; they are there, so they are not to be taken for absent.
    """

    def __init__(self, message: str, found: Mapping[Any, Any], unknown: frozenset[Any]) -> None:
        super().__init__(message)
        self.found = found
        self.unknown = unknown


class IncompatibleSchemaError(PersistenceError):
    """The storage has a schema that this version does not know."""


class ConflictError(PersistenceError):
    """Another writer was faster, and its newer record was kept."""


class ErasedMeanwhileError(PersistenceError):
    """A user whom a call writes about was erased since its writer looked, and nothing of the call was stored.

    Attributes:
        erasures: the number of the newest erase; who is told this may ask again, as one that followed it.
    """

    def __init__(self, erasures: int) -> None:
        super().__init__("a user was erased meanwhile by another process: ask again to write after the erase")
        self.erasures = erasures


class NotSupportedError(PersistenceError):
    """No driver of the chain offers what was asked."""


class BrokenDriverError(PersistenceError):
    """A driver's answer breaks the contract, so what it did is unknown."""


class ClockMovedError(PersistenceError):
    """The clock was moved, so that ages cannot be believed and nothing was removed for its age."""


class StoreClosedError(PersistenceError):
    """The store was used after it was closed."""
