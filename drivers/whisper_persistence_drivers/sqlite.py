"""The default: one SQLite file beside the user's data."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import attrs

from whisper_persistence.errors import ConfigurationError
from whisper_persistence_drivers.sql.driver import SqlDriver
from whisper_persistence_drivers.sqlite_database import SqliteDatabase


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


@attrs.define(eq=False)
class SqliteDriver(SqlDriver):
    """A complete store in one file, for one or several processes of one machine.

    Options:
        path: the file; it and its folder are made if they are missing.
        synchronous: ``full`` keeps every acknowledged write through a power cut; ``normal`` is faster and may lose the
            last writes then, never consistency.
        busy_timeout: how long to wait for another process's write, in seconds.
        readers: how many connections read at the same time.
        cache_mb: memory for pages, per connection, in MiB.
    """

    tier: ClassVar[str] = "sqlite"
    max_writers: ClassVar[int] = 1
    max_readers: ClassVar[int] = 2

    path: Path = attrs.field(converter=_absolute)
    synchronous: Literal["full", "normal"] = attrs.field(
        default="full", validator=attrs.validators.in_(("full", "normal"))
    )
    busy_timeout: float = attrs.field(default=30.0, converter=float, validator=attrs.validators.gt(0))
    readers: int = attrs.field(default=4, converter=int, validator=attrs.validators.ge(1))
    cache_mb: int = attrs.field(default=8, converter=int, validator=attrs.validators.ge(1))

    def connect(self) -> SqliteDatabase:
        """Return the file's database; the folder is made, and both must be ours to write."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
            with self.path.open("r+b"):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"driver 'sqlite' cannot write {self.path} ({error.strerror}): name a path that can be written"
            ) from None
        return SqliteDatabase(self.path, self.synchronous, self.busy_timeout, self.readers, self.cache_mb)
