"""The data keys in use: unwrapped, remembered, made, renewed, wrapped again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Final

import attrs

from whisper_persistence.codec import encode
from whisper_persistence.errors import ConfigurationError
from whisper_persistence.records import Thing
from whisper_persistence_encryption.key_store import KeyStore, Wrapped
from whisper_persistence_encryption.masters import KeyService
from whisper_persistence_encryption.rings import Ring
from whisper_persistence_encryption.sealing import Sealer, UnreadableError

_log = logging.getLogger(__name__)

#: After this many owners the memory of unwrapped keys starts anew.
_REMEMBERED: Final = 10_000
_DAY: Final = 86_400
_PAGE: Final = 100


@attrs.define(eq=False)
class Keychain:
    """The keys of one namespace.

    Attributes:
        store: where they live.
        masters: who wraps and unwraps them.
        namespace: whose they are.
        renew_after_days: how old a data key grows before a new one seals in its place; 0 for any age.
    """

    store: KeyStore
    masters: KeyService
    namespace: str
    renew_after_days: int = 0
    _known: dict[Thing, tuple[bytes, Sealer]] = attrs.field(init=False, factory=dict[Thing, tuple[bytes, Sealer]])

    def check(self) -> None:
        """See that the master keys open what is stored.

        Raises:
            ConfigurationError: they do not.
        """
        for wrapped in self.store.one_of_each_master():
            try:
                self._unwrap(wrapped)
            except UnreadableError:
                raise ConfigurationError(
                    f"driver 'encryption': the key store holds keys that master key {wrapped.master} wrapped, which is "
                    "not at hand: give it as well, after the one that is to wrap"
                ) from None

    @contextmanager
    def writing(self, owners: Iterable[Thing]) -> Generator[Mapping[Thing, Sealer]]:
        """Give the keys to seal with, and see to it that nobody destroys them meanwhile; new owners get new keys."""
        wanted = list(dict.fromkeys(owners))
        if not wanted:
            yield {}
            return
        with self.store.lock.shared():
            found = self.store.find(self.namespace, wanted)
            if len(found) < len(wanted):
                now = time.time()
                self.store.add([self._wrap(owner, Ring.new(now)) for owner in wanted if owner not in found])
                found = self.store.find(self.namespace, wanted)
            yield {owner: self._current(wrapped) for owner, wrapped in found.items()}

    def reading(self, owners: Iterable[Thing]) -> dict[Thing, Sealer]:
        """Return the keys to open with, of those owners that have any."""
        wanted = set(owners)
        known = {owner: found[1] for owner in wanted if (found := self._known.get(owner))}
        missing = [owner for owner in wanted if owner not in known]
        return known | {owner: self._sealer(it) for owner, it in self.store.find(self.namespace, missing).items()}

    def find(self, owner: Thing) -> Sealer | None:
        """Return the keys to open with of one owner, if there are any."""
        return self.reading([owner]).get(owner)

    def forget(self) -> None:
        """Ask the store for every key again: another process may have made, renewed or destroyed some."""
        self._known = {}

    def rewrap(self, stop: threading.Event) -> int:
        """Wrap anew what another master key than the present one wrapped, and return how many owners' keys it was."""
        done, last = 0, None
        while not stop.is_set():
            page = self.store.wrapped_by_others(self.masters.key_id, _PAGE, last)
            if not page:
                break
            for wrapped in page:
                done += self.store.replace(wrapped, self._wrap(wrapped.owner, self._unwrap(wrapped), wrapped.namespace))
            last = page[-1]
        if done:
            _log.info("data keys are wrapped by a new master key", extra={"owners": done})
        return done

    def _current(self, wrapped: Wrapped) -> Sealer:
        """Return an owner's sealer, with a new key where the newest has grown old."""
        sealer = self._sealer(wrapped)
        now = time.time()
        if not self.renew_after_days or now - sealer.ring.keys[-1].made < self.renew_after_days * _DAY:
            return sealer
        renewed = self._wrap(wrapped.owner, sealer.ring.renewed(now))
        if self.store.replace(wrapped, renewed):
            return self._sealer(renewed)
        return self._sealer(self.store.find(self.namespace, [wrapped.owner])[wrapped.owner])

    def _sealer(self, wrapped: Wrapped) -> Sealer:
        known = self._known.get(wrapped.owner)
        if known and known[0] == wrapped.blob:
            return known[1]
        sealer = Sealer(self.namespace, wrapped.owner, self._unwrap(wrapped), self.find)
        if len(self._known) >= _REMEMBERED:
            self._known = {}
        self._known[wrapped.owner] = (wrapped.blob, sealer)
        return sealer

    def _wrap(self, owner: Thing, ring: Ring, namespace: str | None = None) -> Wrapped:
        namespace = self.namespace if namespace is None else namespace
        blob = self.masters.wrap(ring.to_bytes(), _context(namespace, owner))
        return Wrapped(namespace, owner, self.masters.key_id, blob)

    def _unwrap(self, wrapped: Wrapped) -> Ring:
        try:
            context = _context(wrapped.namespace, wrapped.owner)
            return Ring.from_bytes(self.masters.unwrap(wrapped.master, wrapped.blob, context))
        except ValueError:
            raise UnreadableError(
                f"a data key that master key {wrapped.master} wrapped does not open: give the master key it was "
                "wrapped with, or restore the key store from a backup"
            ) from None


def _context(namespace: str, owner: Thing) -> bytes:
    return encode((namespace, owner.kind, owner.thing_id)).encode()
