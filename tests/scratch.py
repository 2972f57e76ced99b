"""Where tests keep their files: in memory where there is plenty of it, so that none waits for a disk that is slow."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108
#: What must be free there, in bytes: many times what a run keeps at once.
PLENTY: Final = 8 << 30


def memory_with_room() -> Path | None:
    """Return a folder in memory that has plenty of room, also within the limits of a container, and runs programs."""
    if not os.access(MEMORY, os.R_OK | os.W_OK | os.X_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    available = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    free = min(shutil.disk_usage(MEMORY).free, int(available[1]) << 10 if available else 0, _within_limits())
    return MEMORY if free >= PLENTY else None


def _within_limits() -> float:
    """Return how much memory the control groups of version 2 and 1 still allow, in bytes."""
    room = float("inf")
    for folder, limit, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            allowed = Path(folder, limit).read_text(encoding="ascii").strip()
            room = min(room, float(allowed) - float(Path(folder, used).read_text(encoding="ascii")))
        except (OSError, ValueError):  # there is no such group, or it has no limit
            continue
    return room
