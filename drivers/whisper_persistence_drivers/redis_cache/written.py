"""What this process wrote lately: where recents may be shown unasked, they must not lack that."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Final

import attrs

#: A write is remembered for so many seconds longer than it can matter: as long as a call may take.
_SPARE: Final = 60.0
#: So many conversations are remembered; of those forgotten before their time, recents of that time are not shown.
_MANY: Final = 20_000


@attrs.define(eq=False)
class Written:
    """The revisions that this process's own changes gave to conversations. Thread-safe.

    Attributes:
        staleness: seconds that recents may be shown for unasked; 0 where they never are, so that nothing matters here.
        many: how many conversations are remembered.
    """

    staleness: float
    many: int = _MANY
    _revisions: OrderedDict[str, tuple[int, float]] = attrs.field(
        factory=OrderedDict[str, tuple[int, float]], init=False
    )
    _forgotten: float = attrs.field(default=0.0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def note(self, name: str, revision: int) -> None:
        """Remember a change that the database took just now."""
        if not self.staleness:
            return
        now = time.monotonic()
        with self._lock:
            known, _ = self._revisions.pop(name, (0, 0.0))
            self._revisions[name] = max(known, revision), now
            while len(self._revisions) > self.many:
                self._forgotten = self._revisions.popitem(last=False)[1][1]
            while next(iter(self._revisions.values()))[1] < now - self.staleness - _SPARE:
                self._revisions.popitem(last=False)

    def are_in(self, name: str, revision: int, confirmed: float) -> bool:
        """Say whether recents certainly have all that this process wrote.

        Args:
            name: whose recents.
            revision: their label.
            confirmed: when, by this process's clock, they were last found to be the database's.
        """
        if not self.staleness:
            return True
        with self._lock:
            return confirmed > self._forgotten and revision >= self._revisions.get(name, (0, 0.0))[0]
