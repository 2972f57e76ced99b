"""What only a fresh process shows of whoever keeps talk in SQLite: importing, opening, and memory by user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import attrs
from timing import Spent

from peers import talk
from peers.contests import FEWER
from peers.entries import TALK, Entry
from peers.first_reads import FIRST
from peers.places import Places

_HERE: Final = Path(__file__).parents[1]
#: So many users the memory is given for.
USERS: Final = 10_000
IMPORT, OPEN, ONCE_OPEN, SERVE = (
    "import the package",
    "import, open and read once",
    "resident once it has read",
    f"memory that {USERS:,} users add",
)


@attrs.frozen
class Filled:
    """A file that an entry has filled.

    Attributes:
        name: the entry's.
        path: of the file.
        users: how many it knows.
    """

    name: str
    path: str
    users: int


async def measure(places: Places, users: int, processes: int, left_out: list[str]) -> dict[str, dict[str, Spent]]:
    """Fill a file by every entry that is installed, then measure fresh processes that open it, in turns.

    Args:
        places: makes the files.
        users: ten times as many talks are stored, each a tenth as long as where sides are raced.
        processes: how many processes each entry is given for every figure.
        left_out: where those are named that fail to serve so many, such as one that keeps files open for each talk.

    Returns:
        Nanoseconds and bytes, by what they are of and by entry.
    """
    files = [
        filled for entry in TALK["sqlite"] if entry.name in FIRST and (filled := await _fill(entry, places, users))
    ]
    spent = {title: {file.name: Spent() for file in files} for title in (IMPORT, OPEN, ONCE_OPEN, SERVE)}
    for number in range(processes + 1):
        for file in files[number % len(files) :] + files[: number % len(files)]:
            imported, (opened, resident) = _run("import", file.name), _run("open", file.name, file.path)
            if number:  # the first ones compile
                spent[IMPORT][file.name] += Spent([imported[0]])
                spent[OPEN][file.name] += Spent([opened])
                spent[ONCE_OPEN][file.name] += Spent([resident])
    for file in files:
        try:
            grown = _run("serve", file.name, file.path, str(file.users))[0]
        except subprocess.CalledProcessError:
            left_out.append(f"{file.name}, from {SERVE!r} on: it fails")
            del spent[SERVE][file.name]
            continue
        spent[SERVE][file.name] += Spent([max(grown, 1) * USERS / file.users])
    return spent


async def _fill(entry: Entry, places: Places, users: int) -> Filled | None:
    given, place = 10 * users // (FEWER if entry.slow else 1), places(entry)
    try:
        side: Any = await entry.open(place)
    except ImportError:
        return None
    await talk.fill(side, given, 2)
    await side.close()
    return Filled(entry.name, place["sqlite"]["path"] if entry.ours else str(place), given)


def _run(*arguments: str) -> list[float]:
    """Return what a fresh process prints; its bytecode is kept, whatever the environment of this one says."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-W", "ignore", "-m", "peers.first_reads", *arguments]
    done = subprocess.run(command, cwd=_HERE, env=environment, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return [float(figure) for figure in done.stdout.split()]
