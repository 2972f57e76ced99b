"""Backups of a SQLite file while others write to it, through SQLite's backup API, and putting one in its place."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from whisper_persistence.errors import ConfigurationError, StorageDamagedError
from whisper_persistence.records import BackupReport
from whisper_persistence_drivers.sql.chaining import Sealer
from whisper_persistence_drivers.sqlite_contents import (
    Mark,
    check_backup,
    looking_at,
    read_contents,
    write_mark,
    writing_to,
)
from whisper_persistence_drivers.sqlite_database import SqliteDatabase
from whisper_persistence_drivers.sqlite_errors import as_ours
from whisper_persistence_drivers.sqlite_mending import mend
from whisper_persistence_drivers.sqlite_scrubbing import remove_with_logs

_log: Final = logging.getLogger(__name__)


def back_up(database: SqliteDatabase, path: Path, tier: str) -> BackupReport:
    """Copy a file to a new one, and check that the copy holds the same.

    Raises:
        ConfigurationError: there is a file of that name, or it cannot be written.
        StorageDamagedError: the copy does not hold what the file does.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    _prepare(path, unfinished)
    try:
        made_at = _copy(database, unfinished)
        _, found = check_backup(unfinished)
        unfinished.rename(path)
    except sqlite3.Error as error:
        raise as_ours(error, path) from None
    finally:
        remove_with_logs(unfinished)
    _log.info("backup written", extra={"tier": tier, "rows": sum(found.counts.values())})
    return BackupReport(tier, str(path), path.stat().st_size, made_at, found.counts)


def _prepare(path: Path, unfinished: Path) -> None:
    if path.exists():
        raise ConfigurationError(f"there is a file {path} already: name another for the backup")
    try:
        remove_with_logs(unfinished)
        unfinished.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise ConfigurationError(f"the backup {path} cannot be written ({error.strerror}): name another file") from None


def _copy(database: SqliteDatabase, unfinished: Path) -> datetime:
    """Copy one state of a file, which others may change meanwhile, and mark the copy with what that state holds."""
    with database.reading() as source, closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
        source.execute("BEGIN")
        try:
            contents, made_at = read_contents(source), datetime.now(UTC)
            source.backup(copy)
        finally:
            source.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE")
        write_mark(copy, Mark(made_at, contents))
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    return made_at


def restore(
    database: SqliteDatabase, backup: Path, tier: str, sealer: Sealer | None, *, overwrite: bool
) -> BackupReport:
    """Put a backup in the place of a file.

    What is put there is made ready beside it first: users who were erased since are erased again. Then it takes the
    file's place in one transaction, or, where the file cannot be read, by a new name for the old one.

    Args:
        database: the file's database, which is not open.
        backup: what `back_up` wrote, or another copy of such a file.
        tier: the driver's name.
        sealer: how hash chains are made, where the settings have them.
        overwrite: whether to replace a memory that is there.

    Raises:
        ConfigurationError: there is a memory and it is not to be replaced, the backup is not there, or its
            conversations have hash chains and the settings have none or another key.
        StorageDamagedError: the backup is damaged.
    """
    path = database.path
    if not backup.is_file():
        raise ConfigurationError(f"there is no backup {backup}: name another file")
    if path.exists() and path.stat().st_size and not overwrite:
        raise ConfigurationError(f"there is a memory at {path} already: overwrite it (--overwrite), or move it")
    made_at, found = check_backup(backup)
    ready = path.with_name(f"{path.name}.restoring")
    remove_with_logs(ready)
    try:
        _copy_backup(backup, ready)
        erased = mend(database, ready, tier, sealer)
        kept = _put_in_place(ready, path)
    finally:
        remove_with_logs(ready)
    _log.info("backup restored", extra={"tier": tier, "rows": sum(found.counts.values()), "erased_again": erased})
    return BackupReport(tier, str(backup), backup.stat().st_size, made_at, found.counts, erased, kept)


def _copy_backup(backup: Path, ready: Path) -> None:
    ready.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    ready.touch(mode=0o600)
    with looking_at(backup) as source, closing(sqlite3.connect(ready)) as copy:
        source.backup(copy)


def _put_in_place(ready: Path, path: Path) -> str | None:
    """Let a file take the place of another; return where the other lies, if it could not be read."""
    if not path.exists():
        remove_with_logs(path)
        ready.rename(path)
        return None
    try:
        with looking_at(ready) as source, writing_to(path) as present:
            source.backup(present)
            present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except StorageDamagedError:
        kept = _set_aside(path)
        ready.rename(path)
        return str(kept)
    return None


def _set_aside(path: Path) -> Path:
    """Give a file that cannot be read, and its logs, another name."""
    kept = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z")
    for end in ("-wal", "-shm", ""):
        place = path.with_name(f"{path.name}{end}")
        if place.exists():
            place.rename(kept.with_name(f"{kept.name}{end}"))
    return kept
