"""What happens when Chroma is sick: search goes on by a scan and says so, and the index comes back by itself."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from whisper_persistence_drivers.recall import process

from whisper_persistence.records import State

from .conftest import wait

ASKED = ("a lynx in the attic", "badgers at the bakery", "station castle", "number 77")
BY_INDEX, BY_SCAN = ("meaning",), ("meaning by scan",)


@pytest.fixture
def memory(copied: Any) -> Iterator[Any]:
    """An open store with an index."""
    memory = copied.open(few=0)
    memory.settle()
    yield memory
    copied.close()


def answers(memory: Any) -> list[list[float]]:
    """Return how well the ten best fit each question; an index may choose among equals."""
    hits = [memory.find(text).hits for text in ASKED]
    assert all(hit.message.content == memory.saying(int(hit.message.message_id[1:])) for found in hits for hit in found)
    return [sorted(round(hit.parts["meaning"], 2) for hit in found) for found in hits]


def way(memory: Any) -> tuple[str, ...]:
    return tuple(name for name in memory.find("otter").answered if name.startswith("meaning"))


def wait_for(memory: Any, way_wanted: tuple[str, ...], expected: list[list[float]]) -> None:
    """Wait until search goes another way; meanwhile nothing else than what is right is found."""
    deadline = time.monotonic() + 120
    while True:
        seen = way(memory)
        assert answers(memory) == expected
        if seen == way_wanted:
            return
        assert time.monotonic() < deadline, memory.health()
        time.sleep(0.1)


@pytest.mark.parametrize(
    "blows", [[signal.SIGSTOP], pytest.param([signal.SIGKILL, signal.SIGSTOP], marks=pytest.mark.long)]
)
def test_a_frozen_and_a_killed_index_are_replaced_while_the_scan_answers(
    copied: Any, blows: list[signal.Signals]
) -> None:
    memory = copied.open(search_timeout=2.0, patience=2.0)
    began, expected = memory.settle(), answers(memory)
    for restarts, blow in enumerate(blows, start=1):
        pid = wait(lambda: memory.health().details.get("pid"), "an index")
        os.kill(pid, blow)
        result = memory.find("otter")

        assert (result.answered[-1:], result.silent) == (BY_SCAN, ("meaning by index",))
        assert answers(memory) == expected

        wait_for(memory, BY_INDEX, expected)
        back = memory.settle()

        assert not Path(f"/proc/{pid}").exists()
        assert back.state is State.UP
        assert back.details["restarts"] - began.details["restarts"] >= restarts  # a busy machine may have it wait too
    copied.close()


@pytest.mark.long
@pytest.mark.parametrize("what", ["folder", "chroma.sqlite3"])
def test_files_removed_under_a_running_index_are_missed_and_made_again(memory: Any, what: str) -> None:
    expected = answers(memory)
    if what == "folder":
        shutil.rmtree(memory.folder)
    else:
        next(memory.folder.glob(f"index-*/{what}")).unlink()
    wait_for(memory, BY_SCAN, expected)
    wait_for(memory, BY_INDEX, expected)

    assert memory.settle().details["rebuilds"] == 1
    assert memory.state.folder.manifest().build == memory.state.index.build
    assert sorted(path.name for path in memory.folder.glob("index-*")) == [memory.state.index.build]


def _segment(folder: Path) -> Path:
    return next(path for path in next(folder.glob("index-*")).iterdir() if path.is_dir())


def _remove_segment(folder: Path) -> None:
    shutil.rmtree(_segment(folder))


def _cut_vectors(folder: Path) -> None:
    os.truncate(_segment(folder) / "data_level0.bin", 500)


def _remove_database(folder: Path) -> None:
    next(folder.glob("index-*/chroma.sqlite3")).unlink()


def _spoil_database(folder: Path) -> None:
    next(folder.glob("index-*/chroma.sqlite3")).write_bytes(b"no database" * 999)


def _forget_some(folder: Path) -> None:
    """Take ten vectors out as another program would, so that the count is short."""
    with closing(sqlite3.connect(next(folder.glob("index-*/chroma.sqlite3")))) as database, database:
        database.execute("DELETE FROM embeddings WHERE id IN (SELECT id FROM embeddings ORDER BY id LIMIT 10)")


def _spoil_manifest(folder: Path) -> None:
    (folder / "current.json").write_text("{", encoding="utf-8")


def _remove_everything(folder: Path) -> None:
    shutil.rmtree(folder)


DAMAGES: list[Callable[[Path], None]] = [_remove_segment]
OTHERS: list[Callable[[Path], None]] = [
    _forget_some,
    _cut_vectors,
    _remove_database,
    _spoil_database,
    _spoil_manifest,
    _remove_everything,
]


@pytest.mark.parametrize("damage", [*DAMAGES, *[pytest.param(each, marks=pytest.mark.long) for each in OTHERS]])
def test_a_damaged_index_is_found_and_built_anew_before_it_answers(
    copied: Any, indexed: Path, damage: Callable[[Path], None]
) -> None:
    folder = next((copied.path / "recall").iterdir())
    before = (folder / "current.json").read_bytes()
    damage(folder)
    memory = copied.open()
    expected = answers(memory)
    wait_for(memory, BY_INDEX, expected)
    seen = memory.settle()

    assert expected == answers(memory)
    assert all(map(len, expected))
    assert seen.details["vectors"] == 1_200
    assert seen.details["rebuilds"] == 1
    assert (folder / "current.json").read_bytes() != before
    copied.close()


@pytest.mark.long
def test_a_full_disk_stops_nobody(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process of the index may write files of 64 KB only, which SQLite takes for a full disk."""
    began = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        child = began(*arguments, **options)
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (65_536, 65_536))
        return child

    monkeypatch.setattr(process.subprocess, "Popen", start)
    resource.prlimit(memory.health().details["pid"], resource.RLIMIT_FSIZE, (65_536, 65_536))
    memory.say(30, start=2_000)

    def followed() -> bool:
        details = memory.health().details
        return bool(details["pending"] == 0 and details["away"] and memory.state.outbox.behind_since is None)

    deadline = time.monotonic() + 120
    while not followed():
        assert time.monotonic() < deadline, memory.health()
        time.sleep(0.05)

    assert "m2007" in memory.found(memory.saying(2007))
    assert way(memory) == BY_SCAN
    assert memory.health().state is State.DEGRADED

    monkeypatch.setattr(process.subprocess, "Popen", began)
    memory.settle()

    assert way(memory) == BY_INDEX
    assert "m2007" in memory.found(memory.saying(2007))
    assert len(list(memory.folder.glob("index-*"))) == 1
