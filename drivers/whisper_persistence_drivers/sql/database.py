"""What a driver needs of its database: connections, and our errors in place of the library's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from sqlalchemy import Engine

from whisper_persistence import records as rec
from whisper_persistence_drivers.sql.damage import Damage
from whisper_persistence_drivers.sql.flavour import Flavour


class ConstraintError(Exception):
    """The database refused rows because of what it holds; the attempt was rolled back, and looking first may help."""


class TransactionLostError(Exception):
    """The database gave the transaction up because of another one."""


class Scrubbed(NamedTuple):
    """What became of deleted bytes.

    Attributes:
        rewritten: what was rewritten, so that it holds none.
        remaining: where some may be left, in words.
    """

    rewritten: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()


class Database(ABC):
    """Connections to one database, shared by the threads of a process.

    Attributes:
        flavour: the kind of database, and where in it our tables are; known once it is open.
        hash_key: the installation's key for hashes of ids; known once it is open.
        damage: what could not be read of it.
        errors: what the database's library raises.
        history_partitions: into how many hash partitions a new installation divides the history; 0 for none.
    """

    flavour: Flavour
    hash_key: bytes
    damage: Damage
    errors: type[Exception] | tuple[type[Exception], ...]
    history_partitions: int = 0

    @abstractmethod
    def engine(self) -> Engine:
        """Return SQLAlchemy's engine, for migrations; the caller disposes of it."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Any]:
        """Lend a connection outside a transaction: each statement, most of which read, is one of its own."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Any]:
        """Lend a connection inside a transaction that commits when the block ends well, and else rolls back."""

    @abstractmethod
    def translate(self, error: Exception) -> Exception:
        """Return our error for one of the library's, which names its class and code only.

        It is a `ConstraintError` or `TransactionLostError` where trying again may help.
        """

    @abstractmethod
    def before_migration(self, version: str | None) -> None:
        """Get ready for a change of the schema: ``version`` is the present one, ``None`` for a new installation."""

    @abstractmethod
    def ready(self) -> None:
        """Check, once the installation is open, that what the options promise holds."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Ask the database how it is, and return what is worth knowing."""

    @abstractmethod
    def remember(self, tombstones: Sequence[rec.Tombstone]) -> None:
        """Write down whom an erase removed where no backup of the database overwrites it, if there is such a place."""

    @abstractmethod
    def scrub(self) -> Scrubbed:
        """Remove deleted bytes from where the database still keeps them."""

    @abstractmethod
    def close(self) -> None:
        """Give every connection back."""
