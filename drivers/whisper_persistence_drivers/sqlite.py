"""The default: one SQLite file beside the user's data."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal, cast

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.hookspecs import BackupSpecs, hookimpl
from whisper_persistence.paths import absolute_path
from whisper_persistence_drivers.sql import on_use
from whisper_persistence_drivers.sql.driver import SqlDriver
from whisper_persistence_drivers.sql.schema import describe_schema
from whisper_persistence_drivers.sqlite_database import SqliteDatabase

#: Held while a file is made, so that nobody in this process has it open when its first descriptor is closed.
_making = threading.Lock()
os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)


def _make(path: Path) -> None:
    """Make the file and its folder if they are missing, and see whether both can be written.

    A file that is there is never opened here: closing any descriptor of it would drop the locks that SQLite holds for
    the other stores of this process, and with them the write-ahead log under their feet.
    """
    with _making:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            path.touch(mode=0o600, exist_ok=False)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not all(os.access(place, os.R_OK | os.W_OK) for place in (path, path.parent)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _to_path(given: str | Path) -> Path:
    path = absolute_path(given)
    if path.name == ":memory:":
        raise ConfigurationError("path names no file (':memory:'): name one, or list memory-fallback instead of sqlite")
    return path


@attrs.define(eq=False)
class SqliteDriver(SqlDriver, BackupSpecs):
    """A complete store in one file, for one or several processes of one machine.

    Options:
        path: the file; it and its folder are made if they are missing.
        synchronous: ``full`` keeps every acknowledged write through a power cut; ``normal`` is faster and may lose the
            last writes then, never consistency.
        busy_timeout: how long to wait for another process's write, in seconds.
        readers: how many connections read at the same time.
        cache_mb: memory for pages, per connection, in MiB.
        search: ``true`` has messages indexed by their words, and found; ``false`` has this driver find none; where it
            is not set, the newest messages of a user or conversation are looked at one by one, without an index.
        weights: how the scores of a search are put together, as `whisper_persistence.fusing.Weights` names them.
        tamper_evidence: whether each conversation has a hash chain, for `whisper-persistence verify`.
        tamper_key: the key of those hashes, of 16 characters or more; it belongs into the environment.
    """

    tier: ClassVar[str] = "sqlite"
    local: ClassVar[bool] = True
    max_writers: ClassVar[int] = 1
    max_readers: ClassVar[int] = 2

    path: Path = attrs.field(converter=_to_path)
    synchronous: Literal["full", "normal"] = attrs.field(
        default="full", validator=attrs.validators.in_(("full", "normal"))
    )
    busy_timeout: float = attrs.field(default=30.0, converter=float, validator=attrs.validators.gt(0))
    readers: int = attrs.field(default=4, converter=int, validator=attrs.validators.ge(1))
    cache_mb: int = attrs.field(default=4, converter=int, validator=attrs.validators.ge(1))

    @hookimpl
    def inspect_schema(self) -> rec.SchemaReport:
        """Read the file's version, if there is a file."""
        return super().inspect_schema() if self.path.exists() else describe_schema(self.tier, None)

    @hookimpl
    def back_up(self, path: str) -> rec.BackupReport:
        """Copy the file while others write to it."""
        from whisper_persistence_drivers.sqlite_backup import back_up

        return back_up(cast("SqliteDatabase", self._database), absolute_path(path), self.tier)

    @hookimpl
    def restore(self, path: str, overwrite: bool) -> rec.BackupReport:
        """Put a backup in the place of the file."""
        from whisper_persistence_drivers.sqlite_backup import restore

        return restore(self._file(), absolute_path(path), self.tier, self.sealer(), overwrite=overwrite)

    def connect(self) -> SqliteDatabase:
        """Return the file's database; the folder is made.

        Raises:
            ConfigurationError: the file or its folder cannot be written.
        """
        try:
            _make(self.path)
        except OSError as error:
            raise ConfigurationError(
                f"driver 'sqlite' cannot write {self.path} ({error.strerror}): name a path that can be written"
            ) from None
        return self._file()

    def _file(self) -> SqliteDatabase:
        return SqliteDatabase(self.path, self.synchronous, self.busy_timeout, self.readers, self.cache_mb)

    def text_index(self) -> on_use.text_index.TextIndex:
        """Return how words are found here: by FTS5."""
        from whisper_persistence_drivers.sqlite_text_index import SqliteTextIndex

        return SqliteTextIndex()
