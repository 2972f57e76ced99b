"""Noticing that a machine's clock was moved, for what must not be deleted because of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import msgspec

from whisper_persistence.records import fields

#: A clock that moved further than this is not believed.
TOLERANCE: Final = timedelta(days=1)

_log = logging.getLogger(__name__)


def seconds_since_boot() -> float:
    """Return seconds that never go back and go on while the machine sleeps, where it can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def boot_id() -> str:
    """Return what tells one start of the machine from another, or of the process where the machine does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"process {os.getpid()}"


@attrs.frozen
class _Noted:
    wall: datetime
    elapsed: float
    boot: str


@attrs.define(eq=False)
class ClockWatch:
    """Remembers when it was last asked, by the clock and by a count of seconds that nobody can set.

    Within one start of the machine every move is seen. Over a restart only a clock that went back is: one that went
    forward cannot be told from a machine that was off.

    Attributes:
        path: a file that remembers it for the next process; ``None`` for this process only.
        now: the machine's clock.
        elapsed: seconds that never go back.
        boot: what tells one start of the machine from another.
    """

    path: Path | None = None
    now: Callable[[], datetime] = fields.now
    elapsed: Callable[[], float] = seconds_since_boot
    boot: str = attrs.field(factory=boot_id)
    _last: _Noted | None = attrs.field(default=None, init=False)

    def moved(self) -> timedelta | None:
        """Return by how much the clock was moved since `note`, or ``None`` where that is within `TOLERANCE`."""
        last = self._last or self._read()
        if last is None:
            return None
        passed = self.now() - last.wall
        expected = timedelta(seconds=self.elapsed() - last.elapsed) if last.boot == self.boot else None
        moved = passed - expected if expected is not None else min(passed, timedelta(0))
        return moved if abs(moved) > TOLERANCE else None

    def note(self) -> None:
        """Believe the clock as it is now."""
        self._last = _Noted(self.now(), self.elapsed(), self.boot)
        if self.path is None:
            return
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.write_bytes(msgspec.json.encode(self._last))
            new.replace(self.path)
        except OSError as error:
            _log.warning("the clock is watched in this process only", extra={"reason": error.strerror})

    def _read(self) -> _Noted | None:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Noted) if self.path else None
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("what was noted of the clock cannot be read", extra={"reason": type(error).__name__})
            return None
