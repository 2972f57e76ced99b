"""The folder of journals: one file a process, locked while that process lives, adopted by another when it is dead."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import attrs
import uuid_utils

from whisper_persistence_drivers.net.entries import Entry
from whisper_persistence_drivers.net.journal import ERRORS, Journal
from whisper_persistence_drivers.net.salvage import salvage

_log = logging.getLogger(__name__)


@attrs.define(eq=False)
class Folder:
    """The journals of one namespace.

    Attributes:
        path: where they lie.
        namespace: of the store; not shown in the names of the files.
    """

    path: Path
    namespace: str = attrs.field(repr=False)
    _locks: dict[Path, int] = attrs.field(factory=dict[Path, int], init=False)

    @property
    def _stem(self) -> str:
        return blake2b(self.namespace.encode(), digest_size=8).hexdigest()

    def make(self) -> Journal:
        """Return a new journal, locked.

        Raises:
            OSError, sqlite3.Error: none can be written here.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path / f"{self._stem}-{uuid_utils.uuid7()}.journal"
        self._lock(path)
        try:
            return Journal.open(path)
        except BaseException:
            self.discard(path)
            raise

    def orphans(self) -> Iterator[Journal]:
        """Iterate over the journals of processes that are no more, each locked; a damaged one is mended first."""
        for path in self._files():
            if path not in self._locks and self._lock(path):
                journal = self._open(path)
                if journal is not None:
                    yield journal

    def discard(self, path: Path) -> None:
        """Remove a journal that holds nothing, and let go of its lock."""
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.lock"):
            path.with_name(name).unlink(missing_ok=True)
        self.release(path)

    def release(self, path: Path) -> None:
        """Let go of a journal, for others to adopt."""
        descriptor = self._locks.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def begin_anew(self) -> None:
        """After a fork, in the child: the parent's locks stay the parent's."""
        for descriptor in self._locks.values():
            os.close(descriptor)
        self._locks = {}

    def survey(self) -> list[dict[str, Any]]:
        """Return what every journal here holds, also those of other processes: how much, how old, what is set aside."""
        return [found for path in self._files() if (found := _look(path)) is not None]

    def problem(self) -> str | None:
        """Return why no journal can be written here, or ``None`` where one can; nothing is left behind."""
        try:
            place = next(place for place in (self.path, *self.path.parents) if place.exists())
            with TemporaryFile(dir=place):
                return None
        except OSError as error:
            return f"no journal can be written in {self.path} ({error.strerror}): name another folder"

    def seen(self) -> int | None:
        """Return the newest number of an erase that any process here has seen."""
        with suppress(OSError, ValueError):
            return int((self.path / f"{self._stem}.seen").read_text(encoding="ascii"))
        return None

    def forget_seen(self) -> None:
        """Forget the newest number of an erase."""
        with suppress(OSError):
            (self.path / f"{self._stem}.seen").unlink(missing_ok=True)

    def note_seen(self, erasures: int) -> None:
        """Write down, durably, the newest number of an erase."""
        target = self.path / f"{self._stem}.seen"
        fresh = self.path / f"{self._stem}.seen-{os.getpid()}"
        with suppress(OSError):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(str(max(erasures, self.seen() or 0)))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(target)

    def _files(self) -> list[Path]:
        try:
            return sorted(self.path.glob(f"{self._stem}-*.journal"))
        except OSError:
            return []

    def _lock(self, path: Path) -> bool:
        """Take the lock beside a file; SQLite's own would be lost with any other descriptor of the file itself."""
        try:
            descriptor = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._locks[path] = descriptor
        return path.parent.exists()

    def _open(self, path: Path) -> Journal | None:
        if not path.exists():
            self.discard(path)
            return None
        try:
            return Journal.open(path)
        except sqlite3.OperationalError:
            self.release(path)
        except ERRORS as error:
            aside = path.with_name(f"{path.name}.damaged")
            _log.error("a journal is damaged and set aside", extra={"error": type(error).__name__, "file": aside.name})
            return self._mend(path, aside)
        return None

    def _mend(self, path: Path, aside: Path) -> Journal | None:
        try:
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
            path.replace(aside)
            journal = Journal.open(path)
            found, lost = salvage(aside)
            journal.append(found)
        except ERRORS:
            self.release(path)
            return None
        _log.error("a damaged journal was read again", extra={"entries": len(found), "unreadable": lost})
        return journal


def _look(path: Path) -> dict[str, Any] | None:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.5)) as connection:
            count, oldest = connection.execute("SELECT count(*), min(written_at) FROM entries").fetchone()
            dead = connection.execute("SELECT count(*) FROM dead").fetchone()[0]
    except sqlite3.Error:
        return None
    return {"file": path.name, "entries": count, "oldest": oldest, "dead_letters": dead}


def order(entries: list[Entry]) -> list[Entry]:
    """Return the entries of several journals in one order: each journal's own, the older first."""
    return sorted(entries, key=lambda entry: entry.written_at)
