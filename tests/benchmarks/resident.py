"""The memory of a process that has read many conversations. Imports little, since its own imports count."""

from __future__ import annotations

import pkgutil
import random
from pathlib import Path
from typing import Final

import data

#: How many windows are read before memory is measured.
WINDOWS: Final = 2_000


def read_windows(opener: str, path: str, users: str) -> None:
    """Read the newest messages of random users, then print how many kilobytes are resident."""
    memory = pkgutil.resolve_name(opener)(Path(path))
    chosen = random.Random(1)
    for _ in range(WINDOWS):
        memory.last(data.user_name(chosen.randrange(int(users))))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))  # noqa: T201
    memory.close()
