"""What only a fresh process shows: imports, opening, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from arena import Arena
from contestants import FLOOR
from judging import Field
from timing import Lane, Spent

_HERE: Final = Path(__file__).parent
_TIMED: Final = "import sys, time; started = time.perf_counter_ns(); {}; print(time.perf_counter_ns() - started)"
_OPEN: Final = {
    "floor": "import sqlite3; memory = sqlite3.connect(sys.argv[1]); memory.execute('SELECT * FROM messages LIMIT 1')",
    "SQLAlchemy": "import sqlalchemy; memory = sqlalchemy.create_engine('sqlite:///' + sys.argv[1]).connect()",
    "ours": "from whisper_persistence.discovery import DriverSpec; from whisper_persistence import plugins, store; "
    "memory = store.Store(plugins.Chain.build([DriverSpec('sqlite', {'path': sys.argv[1]})]))",
}
_READ: Final = "import sys, resident; resident.read_windows(*sys.argv[1:])"


def importing(arena: Arena, run: int) -> Field:
    """Line up for importing the package."""
    libraries = "import asyncio, attrs, msgspec, pluggy"
    return Field({"its libraries": _timed(libraries), "ours": _timed("import whisper_persistence")})


def opening(arena: Arena, run: int) -> Field:
    """Line up for opening a store that is up to date, imports included, against SQLAlchemy opening the same file."""
    challenger = arena.challenger
    path = str(arena.copy(challenger, "talk"))
    return Field(
        {"SQLAlchemy": _timed(_OPEN["SQLAlchemy"], path), challenger.name: _timed(_OPEN[challenger.layout], path)}
    )


def remembering(arena: Arena, run: int) -> Field:
    """Line up for the memory of a process that has read many conversations."""

    def lane(contestant: Any, path: Path, number: int) -> Spent:
        return Spent([float(_output(_READ, contestant.opener, str(path), str(arena.scale.users))) * 1024])

    chosen = (FLOOR, arena.challenger)
    return Field({c.name: partial(lane, c, arena.copy(c, "talk")) for c in chosen})


def _timed(code: str, *arguments: str) -> Lane:
    _output(_TIMED.format(code), *arguments)
    return lambda number: Spent([float(_output(_TIMED.format(code), *arguments))])


def _output(code: str, *arguments: str) -> str:
    """Return what a fresh process prints; its bytecode is kept, whatever the environment of this one says."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=_HERE, env=environment, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return done.stdout
