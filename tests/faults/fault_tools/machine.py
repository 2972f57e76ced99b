"""How late the machine itself is, so that what takes long because of others is not held against us."""

from __future__ import annotations

import threading
import time
from typing import Final

_SLEEP: Final = 0.02


class Machine:
    """Watches, on a thread that only sleeps, how much longer than it asked it was left asleep, all in all."""

    def __init__(self) -> None:
        self._late, self._since, self._over = 0.0, time.monotonic(), False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def clock(self) -> float:
        """Return a time in seconds that stands still while the machine leaves us asleep."""
        return time.monotonic() - self._late - self._now()

    def close(self) -> None:
        """End."""
        self._over = True
        self._thread.join()

    def _watch(self) -> None:
        while not self._over:
            time.sleep(_SLEEP)
            self._late += self._now()
            self._since = time.monotonic()

    def _now(self) -> float:
        return max(0.0, time.monotonic() - self._since - _SLEEP)
