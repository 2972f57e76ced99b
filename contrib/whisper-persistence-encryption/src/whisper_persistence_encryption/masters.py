"""Master keys: what the users' data keys are wrapped with."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whisper_persistence.errors import ConfigurationError, PersistenceError, StorageUnavailableError

_SIZE: Final = 32
_NONCE: Final = 12


class KeyService(Protocol):
    """Who holds the master key: this program, or a key management service. Thread-safe."""

    @property
    def key_id(self) -> str:
        """The name of the master key that wraps now; what another one wrapped is wrapped again in the background."""
        ...

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Return data keys (a few hundred bytes) wrapped; ``context`` is to be authenticated with them.

        Raises:
            StorageUnavailableError: the service did not answer in time.
        """
        ...

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Return what `wrap` was given when ``key_id`` was the master key.

        Raises:
            ValueError: this is not what that key wrapped, or the key is not known.
            StorageUnavailableError: the service did not answer in time.
        """
        ...


def new_master_key() -> str:
    """Return a new random master key as it stands in the environment or in a file."""
    return base64.urlsafe_b64encode(os.urandom(_SIZE)).decode()


@attrs.define(eq=False)
class LocalKeys:
    """Master keys that this program holds; the first wraps, the others only unwrap."""

    key_id: str
    _ciphers: dict[str, AESGCM] = attrs.field(repr=False)

    @classmethod
    def of(cls, texts: tuple[str, ...]) -> LocalKeys:
        """Return the keys that these texts write in base64.

        Raises:
            ConfigurationError: one of them is not a key.
        """
        keys = [_read(text) for text in texts]
        named = {hashlib.sha256(b"whisper-persistence master key" + key).hexdigest()[:16]: key for key in keys}
        return cls(next(iter(named)), {name: AESGCM(key) for name, key in named.items()})

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Wrap with the first key."""
        nonce = os.urandom(_NONCE)
        return nonce + self._ciphers[self.key_id].encrypt(nonce, plain, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap with the key of this id.

        Raises:
            ValueError: there is no such key, or it is not the one that wrapped this.
        """
        if key_id not in self._ciphers:
            raise ValueError("unknown master key")
        try:
            return self._ciphers[key_id].decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except InvalidTag:
            raise ValueError("wrapped with another key, or altered") from None


@attrs.define(eq=False)
class Guarded:
    """A stranger's service, whose own errors become ours."""

    service: KeyService

    @property
    def key_id(self) -> str:
        """The master key that wraps now."""
        return self.service.key_id

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Ask the service to wrap."""
        try:
            return self.service.wrap(plain, context)
        except PersistenceError:
            raise
        except Exception as error:
            raise _failed(error) from None

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Ask the service to unwrap."""
        try:
            return self.service.unwrap(key_id, wrapped, context)
        except (PersistenceError, ValueError):
            raise
        except Exception as error:
            raise _failed(error) from None


def open_masters(texts: tuple[str, ...], file: Path | None, service: str | None) -> LocalKeys | Guarded:
    """Return who holds the master key, by the one option that says so.

    Args:
        texts: the keys themselves, the one that wraps first.
        file: a file with one key a line, the one that wraps first.
        service: ``package.module:callable``, which returns a `KeyService`.

    Raises:
        ConfigurationError: none or several are given, or the one cannot be used.
    """
    if sum(map(bool, (texts, file, service))) != 1:
        raise ConfigurationError(
            "driver 'encryption' needs a master key: give one of master_keys, master_key_file and key_service "
            "(python -m whisper_persistence_encryption makes a key)"
        )
    if service:
        return Guarded(_service(service))
    return LocalKeys.of(_read_file(file) if file else texts)


def _read_file(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="ascii").split()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"driver 'encryption': master_key_file cannot be read ({type(error).__name__}): name one with a key a line"
        ) from None
    if not lines:
        raise ConfigurationError("driver 'encryption': master_key_file is empty: write one key a line into it")
    return tuple(lines)


def _read(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip().translate(str.maketrans("-_", "+/")), validate=True)
    except ValueError:
        key = b""
    if len(key) != _SIZE:
        raise ConfigurationError(
            f"driver 'encryption': a master key must be {_SIZE} bytes in base64: "
            "python -m whisper_persistence_encryption makes one"
        )
    return key


def _service(path: str) -> KeyService:
    module, _, name = path.partition(":")
    try:
        made = getattr(import_module(module), name)()
    except Exception as error:
        raise ConfigurationError(
            f"driver 'encryption': key_service {path!r} cannot be used ({type(error).__name__}): "
            "name a callable as package.module:callable"
        ) from None
    return cast("KeyService", made)


def _failed(error: Exception) -> StorageUnavailableError:
    return StorageUnavailableError(f"the key service failed ({type(error).__name__}): see that it answers, then retry")
