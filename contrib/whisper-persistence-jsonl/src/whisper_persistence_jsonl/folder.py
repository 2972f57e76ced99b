"""The files of one namespace: their names, the lock around them, and writing several of them all or not at all."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs
from filelock import FileLock, Timeout

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import StorageDamagedError, StorageUnavailableError

_log = logging.getLogger(__name__)

#: What one file is to hold from an offset on, by the file's name.
Writes = Mapping[str, tuple[int, str]]

_read_writes: Callable[[str | bytes], Writes] = decoder(dict[str, tuple[int, str]])


@attrs.define(eq=False)
class Folder:
    """A directory of conversation files that several threads and processes share.

    Attributes:
        path: where the files are.
        timeout: how many seconds to wait for another writer.
    """

    path: Path
    timeout: float
    _threads: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _process: int = attrs.field(init=False, factory=os.getpid)
    _key: bytes = attrs.field(init=False, default=b"")

    def prepare(self) -> None:
        """Make the directory, and the key that turns conversation ids into file names.

        Raises:
            StorageDamagedError: there are files, and the key that names them is gone.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.locked():
            key = self.path / "key"
            if not key.exists():
                if self.names():
                    raise StorageDamagedError("the key of the conversation files is gone: restore it from a backup")
                _replace(key, 0, os.urandom(32))
            self._key = key.read_bytes()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other threads and processes out, and finish first what a writer that died had begun.

        Raises:
            StorageUnavailableError: another writer held the files too long, or the disk refuses.
        """
        if self._process != os.getpid():
            self._threads, self._process = threading.Lock(), os.getpid()
        if not self._threads.acquire(timeout=self.timeout):
            raise self._busy()
        try:
            with FileLock(self.path / "lock", timeout=self.timeout, poll_interval=0.002):
                self._recover()
                yield
        except Timeout:
            raise self._busy() from None
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
            raise StorageUnavailableError(f"the conversation files cannot be used ({reason}): see the disk") from None
        finally:
            self._threads.release()

    def name_of(self, conversation_id: str) -> str:
        """Return the file name of a conversation: safe for every id, and telling nothing about it."""
        return f"{self.keyed(conversation_id)}.jsonl"

    def keyed(self, text: str) -> str:
        """Return the keyed hash of an id, which tells nothing about it."""
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=16).hexdigest()

    def names(self) -> list[str]:
        """Return the names of all conversation files, in a stable order."""
        return sorted(path.name for path in self.path.glob("*.jsonl"))

    def open(self, name: str) -> BinaryIO:
        """Open a conversation file for reading."""
        return (self.path / name).open("rb")

    def cut(self, name: str, size: int) -> None:
        """Drop what follows ``size``: a line that was never finished."""
        _log.warning("dropped a torn line", extra={"file": name, "size": size})
        _replace(self.path / name, size, b"")

    def commit(self, writes: Writes) -> None:
        """Write all of it or, if this process dies half way, none or all of it; it is on disk when this returns."""
        if writes:
            _replace(self.path / "journal", 0, f"{encode(writes)}\n".encode())
            self._apply(writes)

    def _apply(self, writes: Writes) -> None:
        for name, (offset, text) in writes.items():
            _replace(self.path / name, offset, text.encode())
        _sync(self.path)
        os.truncate(self.path / "journal", 0)

    def _recover(self) -> None:
        try:
            journal = (self.path / "journal").read_bytes()
        except FileNotFoundError:
            return
        if journal.endswith(b"\n"):
            self._apply(_read_writes(journal))
        elif journal:
            os.truncate(self.path / "journal", 0)

    def _busy(self) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"the conversation files were locked for more than {self.timeout:g} s: try again"
        )


def _replace(path: Path, offset: int, content: bytes) -> None:
    """Let a file hold ``content`` from ``offset`` on, and wait until the disk has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        if file.seek(0, os.SEEK_END) < offset:
            raise StorageDamagedError("a conversation file is shorter than it was: restore it from a backup")
        file.truncate(offset)
        file.seek(offset)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
