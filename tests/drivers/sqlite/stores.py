"""Stores on a file, what is in it, and other processes that use it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from whisper_persistence_drivers.sqlite import SqliteDriver

from whisper_persistence import Store, Window
from whisper_persistence.plugins import Chain

TALK = Window("talk", 1_000)
PREAMBLE = """
import sys
from pathlib import Path
from whisper_persistence import Store, Window
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.testing import samples

def opened(path=sys.argv[1]):
    return Store(Chain.build([DriverSpec("sqlite", {"path": path})]))
"""


def opened(path: Path, namespace: str = "default", **options: Any) -> Store:
    return Store(Chain.of({"sqlite": SqliteDriver(path, **options)}), namespace)


def database(store: Store) -> Any:
    return store.chain.drivers["sqlite"]._database


def files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def ids(store: Store) -> list[str]:
    return [message.message_id for message in store.load_messages([TALK]).get(TALK, ())]


def python(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PREAMBLE) + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)  # noqa: S603


def whole(error: BaseException | None) -> str:
    """Return all that an error and those behind it say, also those that a traceback would not show."""
    return "" if error is None else f"{error!r} {error} {whole(error.__context__)} {whole(error.__cause__)}"


def told(code: str, *arguments: object) -> str:
    """Return what a process of its own prints."""
    process = python(code, *arguments)
    answer, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    return answer.strip()


def ids_of_all(store: Store) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = store.scan("messages", cursor, 500)
        found += [message.message_id for message in page.records]
        if page.cursor is None:
            assert len(found) == len(set(found))
            return found
        cursor = page.cursor
