"""The files that contestants work on: made once, copied for each that opens them, and thrown away."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import data
from contestants import AsyncMemory, Contestant, Memory
from data import BATCH, Scale


def _talk(memory: Memory, scale: Scale) -> None:
    _fill(memory, data.talk(scale, scale.users))


def _little_talk(memory: Memory, scale: Scale) -> None:
    _fill(memory, data.talk(scale, data.few(scale)))


def _strategies(memory: Memory, scale: Scale) -> None:
    memory.fill_strategies([data.profile(number) for number in range(scale.strategies)])


#: What the files hold.
CONTENTS: Final[dict[str, Callable[[Memory, Scale], None]]] = {
    "talk": _talk,
    "little-talk": _little_talk,
    "strategies": _strategies,
}


@attrs.define
class Arena:
    """Where contestants are opened, over copies of the same files.

    Attributes:
        folder: where the files are.
        scale: how much they hold.
        challenger: who is measured against the floor.
        runner: the event loop of every asynchronous contestant.
        say: reports what is being prepared.
    """

    folder: Path
    scale: Scale
    challenger: Contestant
    runner: asyncio.Runner
    say: Callable[[str], None]
    _paths: dict[tuple[str, str, bool], Path] = attrs.field(factory=dict[tuple[str, str, bool], Path])
    _open: dict[tuple[str, str], Memory] = attrs.field(factory=dict[tuple[str, str], Memory])
    _open_async: dict[tuple[str, str], AsyncMemory] = attrs.field(factory=dict[tuple[str, str], AsyncMemory])

    def memory(self, contestant: Contestant, contents: str) -> Memory:
        """Return a contestant, open over its own copy of these contents."""
        key = contestant.name, contents
        path = self._warm_path(contestant, contents, asynchronous=False)
        if key not in self._open:
            self._open[key] = contestant.open(path)
        return self._open[key]

    def async_memory(self, contestant: Contestant, contents: str) -> AsyncMemory:
        """Return a contestant, open in the event loop over its own copy of these contents."""
        key = contestant.name, contents
        path = self._warm_path(contestant, contents, asynchronous=True)
        if key not in self._open_async:
            self._open_async[key] = self.runner.run(contestant.open_async(path))
        return self._open_async[key]

    def fresh(self, name: str) -> Path:
        """Return the path of a file that is not there."""
        paths = (self.folder / f"{name}-{number}.db" for number in itertools.count())
        return next(path for path in paths if not path.exists())

    def copy(self, contestant: Contestant, contents: str) -> Path:
        """Return the path of a new copy of these contents in the contestant's layout."""
        made = self.folder / f"{contestant.layout}-{contents}.db"
        if not made.exists():
            self._make(contestant, contents, made)
        path = self.fresh(f"{contestant.layout}-{contents}-copy")
        shutil.copyfile(made, path)
        os.sync()
        return path

    def close(self) -> None:
        """Close every contestant."""
        for memory in self._open.values():
            memory.close()
        for opened in self._open_async.values():
            self.runner.run(opened.close())

    def _warm_path(self, contestant: Contestant, contents: str, *, asynchronous: bool) -> Path:
        """Return the path of the contestant's copy, read once so that all begin with it in the system's cache."""
        key = contestant.name, contents, asynchronous
        if key not in self._paths:
            self._paths[key] = self.copy(contestant, contents)
        self._paths[key].read_bytes()
        return self._paths[key]

    def _make(self, contestant: Contestant, contents: str, made: Path) -> None:
        self.say(f"preparing {contents} for {contestant.layout}")
        path = made.with_suffix(".new")
        memory = contestant.open(path)
        CONTENTS[contents](memory, self.scale)
        memory.close()
        path.rename(made)


def batches(memory: Memory, source: Iterator[data.Turn]) -> Iterator[Any]:
    """Return turns in batches, packed as the contestant likes them."""
    lines = data.lines(source)
    while batch := list(itertools.islice(lines, BATCH)):
        yield memory.pack(batch)


def _fill(memory: Memory, source: Iterator[data.Turn]) -> None:
    for batch in batches(memory, source):
        memory.fill([batch])
