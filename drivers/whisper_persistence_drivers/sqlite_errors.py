"""Our errors for SQLite's, which name its error code and the file, never what was written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from whisper_persistence.errors import (
    PersistenceError,
    StorageBusyError,
    StorageDamagedError,
    StorageRefusedError,
    StorageUnavailableError,
)
from whisper_persistence_drivers.sql.database import ConstraintError

_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
_REFUSED: Final = ("SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE")


def name_of(error: Exception) -> str:
    """Return SQLite's name for an error, such as ``SQLITE_BUSY``, or nothing where there is none."""
    return getattr(error, "sqlite_errorname", "")


def as_ours(error: Exception, path: Path) -> PersistenceError | ConstraintError:
    """Return our error for one of SQLite's that happened to this file."""
    name = name_of(error)
    if isinstance(error, sqlite3.IntegrityError):
        return ConstraintError(name)
    if name.startswith(_DAMAGED) or (name == "" and _tells_of_damage(error)):
        return StorageDamagedError(
            f"the file {path} is damaged, or is not a SQLite file ({name}): restore a backup, or name another path"
        )
    if name.startswith(_REFUSED) or isinstance(error, (sqlite3.DataError, sqlite3.ProgrammingError, OverflowError)):
        return StorageRefusedError(f"the SQLite file {path} refuses what is written ({name or type(error).__name__})")
    if name.startswith(_BUSY):
        return StorageBusyError(f"the SQLite file {path} did not answer ({name}), busy with other writers: try again")
    return StorageUnavailableError(f"the SQLite file {path} did not answer ({name or type(error).__name__}): try again")


def _tells_of_damage(error: Exception) -> bool:
    """Say whether an error of Python's own is about damage: a text in the file, or in its schema, is no UTF-8."""
    return type(error) in (sqlite3.DatabaseError, UnicodeDecodeError) or "decode to UTF-8" in str(error)
