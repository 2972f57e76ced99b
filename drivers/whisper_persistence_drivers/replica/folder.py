"""The replica's files: snapshots that never change once they have their name, and one lock for whoever makes the next.

DuckDB lets one process write a file or many read it, and keeps deleted bytes in it. So a new state is a new file, which
takes its place by a rename; a reader opens the newest, and an old one is removed under those who still read it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

import attrs

from whisper_persistence.errors import StorageUnavailableError

_SNAPSHOT: Final = "replica-"
_SUFFIX: Final = ".duckdb"


@attrs.frozen
class Folder:
    """Where the snapshots of one namespace of one database are.

    Attributes:
        path: the folder; readable by its owner alone.
        passing: the process that removes it again, or ``None`` where it stays.
    """

    path: Path
    passing: int | None = None

    @classmethod
    def of(cls, parent: Path, namespace: str, installation: str) -> Folder:
        """Return the folder of a namespace of a database; a passing one where that cannot be told from others.

        Args:
            parent: the folder of all replicas.
            namespace: whose records they are.
            installation: the id of the database; empty where it has none.
        """
        # What replicas were called before their name told one database from another: nobody knows whose it is.
        shutil.rmtree(parent / _digest(namespace), ignore_errors=True)
        known = installation or secrets.token_hex()
        return cls(parent / _digest(f"{known}\0{namespace}"), None if installation else os.getpid())

    @property
    def loading(self) -> Path:
        """The file that a first load fills, kept over interruptions."""
        return self.path / "loading.duckdb"

    @property
    def building(self) -> Path:
        """The file that becomes the next snapshot."""
        return self.path / "building.duckdb"

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what does not fit into memory."""
        return self.path / "spill"

    def make(self) -> None:
        """Make the folder."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.path / "lock").touch(mode=0o600)

    def newest(self) -> Path | None:
        """Return the newest snapshot, or ``None`` where there is none."""
        return max(self._snapshots(), default=None)

    def publish(self) -> Path:
        """Make the file that was built the newest snapshot, and remove the others."""
        before = self._snapshots()
        newest = max((int(path.name[len(_SNAPSHOT) : -len(_SUFFIX)]) for path in before), default=0)
        snapshot = self.path / f"{_SNAPSHOT}{max(newest + 1, time.time_ns()):020d}{_SUFFIX}"
        self.building.chmod(0o600)
        self.building.replace(snapshot)
        self._sync()
        for path in before:
            remove(path)
        return snapshot

    def discard(self) -> None:
        """Remove every snapshot and all that was to become one."""
        for path in (*self._snapshots(), self.loading, self.building):
            remove(path)
        shutil.rmtree(self.spill, ignore_errors=True)
        self._sync()

    def close(self) -> None:
        """Remove a folder that does not stay; not in a forked child, whose parent goes on with it."""
        if self.passing == os.getpid():
            shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def locked(self, patience: float) -> Generator[None]:
        """Keep every other process and thread from making snapshots.

        Args:
            patience: how long to wait for them, in seconds.

        Raises:
            StorageUnavailableError: another one went on for longer.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(descriptor, time.monotonic() + patience)
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # also where a forked child has the descriptor, too
            os.close(descriptor)

    def _snapshots(self) -> list[Path]:
        return list(self.path.glob(f"{_SNAPSHOT}*{_SUFFIX}"))

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _digest(name: str) -> str:
    return blake2b(name.encode(), digest_size=12).hexdigest()


def remove(path: Path) -> None:
    """Remove a file of DuckDB and the log beside it, as far as they are there."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)


def _take(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StorageUnavailableError(
                    "the analytics replica is being refreshed by another process for too long: try again later"
                ) from None
            time.sleep(0.02)
        else:
            return
