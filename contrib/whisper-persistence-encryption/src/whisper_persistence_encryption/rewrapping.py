"""Wrapping data keys with a new master key in the background, while the store is used."""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

import attrs

from whisper_persistence.errors import PersistenceError
from whisper_persistence_encryption.keychain import Keychain

_log = logging.getLogger(__name__)

#: How long to wait before another try, in seconds.
_PAUSE: Final = 30.0
#: How long closing waits for the page at hand, in seconds.
_PATIENCE: Final = 5.0


@attrs.define(eq=False)
class Rewrapping:
    """A thread that lives until nothing is left to wrap; another process may do the same at the same time."""

    keys: Keychain
    _stop: threading.Event = attrs.field(init=False, factory=threading.Event)
    _thread: threading.Thread | None = attrs.field(init=False, default=None)

    def start(self) -> None:
        """Begin, if there is anything to wrap."""
        if self.keys.store.wrapped_by_others(self.keys.masters.key_id, 1):
            self._thread = threading.Thread(target=self._run, name="whisper-persistence-rewrapping", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, at the latest after the page at hand."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def describe(self) -> dict[str, Any]:
        """Return which master key wraps now, and whether any data key still needs an older one."""
        masters = self.keys.masters
        return {"master_key": masters.key_id, "rewrapped": not self.keys.store.wrapped_by_others(masters.key_id, 1)}

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.keys.rewrap(self._stop)
            except PersistenceError as error:
                _log.warning("data keys could not be wrapped anew", extra={"error": str(error)})
                self._stop.wait(_PAUSE)
            else:
                return
