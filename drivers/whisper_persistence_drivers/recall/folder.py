"""The folder of an index: who owns it, which build of the index is current, and what is known about that build."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from whisper_persistence.codec import decoder, encode
from whisper_persistence.errors import StorageDamagedError, StorageUnavailableError
from whisper_persistence_drivers import forks

_MANIFEST: Final = "current.json"
_LOCK: Final = "lock"
_BUILD: Final = "index-"


@attrs.frozen
class Manifest:
    """What is known about the current build.

    Attributes:
        build: its name.
        model: the identity of the embedder whose vectors it holds.
        embedder: the name that settings gave that embedder.
        count: how many vectors it held when it was closed in order.
        clean: whether it was.
        filled: whether every message of that time had its vector.
    """

    build: str
    model: str
    embedder: str
    count: int = 0
    clean: bool = False
    filled: bool = False


_read = decoder(Manifest)


def digest(*parts: str) -> str:
    """Return a short name for some texts, that does not show them: 128 bits of BLAKE2."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def build_name() -> str:
    """Return a name for a new build, which no other one has."""
    return f"{_BUILD}{secrets.token_hex(6)}"


@attrs.define(eq=False)
class Folder:
    """One namespace's folder; at most one process owns it, and the children of that process.

    Attributes:
        path: where it is.
        former: where it was when all databases shared one; ``None`` until it is known whose this is.
    """

    path: Path
    former: Path | None = None
    _lock: int | None = None

    @classmethod
    def of(cls, parent: Path, namespace: str) -> Folder:
        """Return the folder of a namespace; it is made when it is claimed, which is after `belong_to`."""
        return cls(parent / f"recall-{digest(namespace)}")

    def belong_to(self, database: str, namespace: str) -> None:
        """Lie where no other database's folder does."""
        self.former, self.path = self.path, self.path.with_name(f"recall-{digest(database, namespace)}")

    def claim(self) -> bool:
        """Own the folder from now on, unless another process does.

        Raises:
            StorageUnavailableError: it cannot be written.
        """
        if self.owned():
            return True
        self.release()
        self.make()
        try:
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        forks.watch(self)
        with suppress(OSError):
            os.truncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        return True

    def make(self) -> None:
        """Make the folder, if it is not there.

        Raises:
            StorageUnavailableError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.chmod(0o700)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def fence(self) -> int:
        """Return what tells this ownership from those before and after it; 0 where a lock does that."""
        return 0

    def owned(self) -> bool:
        """Say whether this process owns the folder that is there now; one that was removed is nobody's."""
        if self._lock is None:
            return False
        try:
            return os.path.samestat((self.path / _LOCK).stat(), os.fstat(self._lock))
        except OSError:
            return False

    def owner(self) -> int | str | None:
        """Return the process id of the owner, as far as it is known; its name where it may be on another machine."""
        try:
            return int((self.path / _LOCK).read_text(encoding="ascii") or 0) or None
        except (OSError, ValueError):
            return None

    def kept(self) -> tuple[int, ...]:
        """Return the file descriptors that keep the lock, for a child to keep it too."""
        return () if self._lock is None else (self._lock,)

    def release(self) -> None:
        """Own it no more."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def begin_anew(self) -> None:
        """In a forked child: the lock stays with the parent."""
        self.release()

    def manifest(self) -> Manifest | None:
        """Return what is known about the current build, if anything is and it can be read."""
        try:
            return _read((self.path / _MANIFEST).read_bytes())
        except (OSError, StorageDamagedError):
            return None

    def write(self, manifest: Manifest) -> None:
        """Make a build the current one, or note something about it; durable when it returns.

        Raises:
            StorageUnavailableError: the folder cannot be written.
        """
        new = self.path / f"{_MANIFEST}.new"
        try:
            with open(new, "wb", opener=_private) as file:  # pathlib's has no opener
                file.write(encode(manifest).encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path / _MANIFEST)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def forget(self) -> None:
        """Trust no build any more: the next one is made anew. This needs no space."""
        with suppress(OSError):
            (self.path / _MANIFEST).unlink(missing_ok=True)

    def new_build(self) -> str:
        """Return the name of a new build, and make its folder.

        Raises:
            StorageUnavailableError: the folder cannot be written.
        """
        name = build_name()
        try:
            (self.path / name).mkdir(mode=0o700)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        return name

    def place(self, build: str) -> Path:
        """Return where a build lies."""
        return self.path / build

    def has_builds(self) -> bool:
        """Say whether there is any build, whatever state it is in."""
        return any(self.path.glob(f"{_BUILD}*"))

    def sweep(self, *kept: str) -> int:
        """Delete every build but these, and return how many went."""
        self._remove_former()
        gone = [place.name for place in self.path.glob(f"{_BUILD}*") if place.name not in kept]
        for build in gone:
            self.remove(build)
        return len(gone)

    def remove(self, build: str) -> None:
        """Delete a build."""
        shutil.rmtree(self.place(build), ignore_errors=True)

    def _remove_former(self) -> None:
        """Delete the folder that all databases shared: nobody would ever erase anything there."""
        if self.former is None or not self.former.is_dir():
            return
        former = Folder(self.former)
        with suppress(StorageUnavailableError):
            if former.claim():
                shutil.rmtree(former.path, ignore_errors=True)
        former.release()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _unwritable(path: Path, error: OSError) -> StorageUnavailableError:
    return StorageUnavailableError(
        f"the index folder {path} cannot be written ({error.strerror}): search goes on by a scan"
    )
