"""The options of the driver, opening and closing it, and what concerns keys rather than records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs

from whisper_persistence import records as rec
from whisper_persistence.errors import PersistenceError
from whisper_persistence.hookspecs import Below, LifecycleSpecs, MaintenanceSpecs, hookimpl
from whisper_persistence.paths import absolute_path, data_path
from whisper_persistence_encryption.keychain import Keychain
from whisper_persistence_encryption.masters import open_masters
from whisper_persistence_encryption.opening import open_key_store
from whisper_persistence_encryption.reading import Reader
from whisper_persistence_encryption.rewrapping import Rewrapping

_TIER = "encryption"
_REMAINING = (
    "backups of the key store: what they hold of these keys is wrapped by the master key",
    "messages that a user wrote about another, in backups of the data: sealed with the other's key",
)


@attrs.define(eq=False)
class EncryptionLifecycle(LifecycleSpecs, MaintenanceSpecs):
    """Seals what people said, and what describes them, before the drivers below see it.

    Attributes:
        master_keys: the master keys in base64: the one that wraps, then those that only unwrap.
        master_key_file: a file with such keys, one a line.
        key_service: ``package.module:callable``, which returns a `KeyService`.
        key_store: where the wrapped data keys live: a file, or the URL of a PostgreSQL database.
        renew_after_days: how old a data key grows before a new one seals in its place; 0 for any age.
        search_limit: how many messages a search may open; one that would need more is refused.
        timeout: how many seconds a call waits for the key store.
    """

    contract_version: ClassVar[int] = 1

    master_keys: tuple[str, ...] = attrs.field(default=(), repr=False)
    master_key_file: Path | None = attrs.field(default=None, converter=attrs.converters.optional(absolute_path))
    key_service: str | None = None
    key_store: str = attrs.field(factory=lambda: str(data_path("keys.db")), converter=str, repr=False)
    renew_after_days: int = attrs.field(default=0, converter=int, validator=attrs.validators.ge(0))
    search_limit: int = attrs.field(default=20_000, converter=int, validator=attrs.validators.ge(1))
    timeout: float = attrs.field(default=30.0, converter=float, validator=attrs.validators.gt(0))
    _below: Below = attrs.field(init=False, repr=False)
    _keys: Keychain = attrs.field(init=False, repr=False)
    _reader: Reader = attrs.field(init=False, repr=False)
    _rewrapping: Rewrapping = attrs.field(init=False, repr=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Open the key store, end the erasures that were cut short, and begin to wrap anew where that is due."""
        masters = open_masters(self.master_keys, self.master_key_file, self.key_service)
        store = open_key_store(self.key_store, self.timeout)
        self._below = below
        self._keys = Keychain(store, masters, namespace, self.renew_after_days)
        self._reader = Reader(self._keys)
        self._rewrapping = Rewrapping(self._keys)
        self._keys.check()
        cut_short = store.erasing(namespace)
        if cut_short:
            self.erase_users(sorted(cut_short))
        self._rewrapping.start()

    @hookimpl
    def close(self) -> None:
        """End the wrapping, and give the connections of the key store back."""
        if hasattr(self, "_rewrapping"):
            self._rewrapping.stop()
            self._keys.store.close()

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...]:
        """Destroy the users' keys, so that nothing of theirs can be read any more anywhere, then erase below.

        An erasure that is cut short in between is ended by the next `open`.
        """
        store, namespace = self._keys.store, self._keys.namespace
        report = rec.TierReport(_TIER, {"keys": store.destroy(namespace, user_ids)}, (store.place,), _REMAINING)
        self._keys.forget()
        below = self._below.erase_users(user_ids=user_ids)
        if below is not None:
            store.erased(namespace, user_ids)
        return (report, *(below or ()))

    @hookimpl
    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Ask the key store how it is, and add the reports from below."""
        return (self._health(), *(self._below.check_health() or ()))

    def _health(self) -> rec.TierHealth:
        began = time.perf_counter()
        try:
            details = {"owners": self._keys.store.count(), **self._rewrapping.describe()}
        except PersistenceError as error:
            return rec.TierHealth(_TIER, rec.State.DOWN, None, {"error": str(error)})
        altered = details["damaged"] = self._reader.altered()
        state = rec.State.DEGRADED if altered else rec.State.UP
        return rec.TierHealth(_TIER, state, time.perf_counter() - began, details)
