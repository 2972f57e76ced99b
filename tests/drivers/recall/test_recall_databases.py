"""Several databases on one path: each has a folder of its own, whatever its bots call themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from whisper_persistence_drivers.recall.folder import Folder, digest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message, State

from .conftest import PATIENT, Memories, Memory, wait


def database(path: Path) -> DriverSpec:
    return DriverSpec("sqlite", {"path": path, "search": False})


def former_folder(parent: Path) -> Folder:
    """Return the folder that all databases shared, with an index in it."""
    found = Folder(parent / f"recall-{digest('default')}")
    build = found.path / "index-0123456789ab"
    build.mkdir(parents=True)
    (build / "chroma.sqlite3").write_bytes(b"vectors of somebody who was erased since")
    return found


def test_a_second_database_on_the_same_path_has_an_index_of_its_own(memories: Memories, tmp_path: Path) -> None:
    first, second = (memories.open(database=database(tmp_path / name)) for name in ("a.db", "b.db"))
    first.say(10)
    second.store.save_messages([Message("talk", "alice", "alice", "a violin plays a sonata", message_id="v")])
    seen = [first.settle(), second.settle()]

    assert [(each.state, each.details["owned_here"], each.details["vectors"]) for each in seen] == [
        (State.UP, True, 10),
        (State.UP, True, 1),
    ]
    assert first.folder != second.folder
    assert second.find("music for a violin").answered == ("meaning",)
    assert second.found("music for a violin") == ["v"]
    assert first.store.erase_users(["alice"])[0].rewritten == ("index",)
    assert second.found("music for a violin") == ["v"]


def test_the_folder_that_all_databases_shared_is_removed_once_nobody_has_it(memories: Memories) -> None:
    former = former_folder(memories.path / "recall")
    assert former.claim()
    memory = memories.open()
    memory.say(3)
    memory.settle()

    assert former.has_builds()  # its owner answers by it

    former.release()
    memories.close()
    memory = memories.open()
    memory.settle()

    assert not former.path.exists()
    assert memory.health().details["vectors"] == 3


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let nobody else open a database file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        yield


def test_a_database_that_cannot_be_opened_at_first_gets_the_index_that_it_had(memories: Memories) -> None:
    memory = memories.open()
    memory.say(3)
    memory.settle()
    folder, build, file = memory.folder, memory.state.index.build, memories.path / "memory.db"
    memories.close()
    recall = DriverSpec("chroma-recall", {"path": memories.path / "recall", "index_from": 0, "few": 0, **PATIENT})
    net = DriverSpec("memory-fallback", {"journal_directory": memories.path / "journal"})
    sqlite = DriverSpec("sqlite", {"path": file, "busy_timeout": 0.1})
    with locked(file):
        memory = Memory(Store(Chain.build([recall, net, sqlite])), memories.path)
        memories.opened.append(memory)
        memory.say(1, start=3)

        assert memory.health().state is State.DEGRADED
        assert not memory.by_index()
        assert list(folder.parent.iterdir()) == [folder]
    wait(memory.by_index, "the database to be opened, and the index with it")
    wait(lambda: "m3" in memory.found(memory.saying(3)), "what was said meanwhile")

    assert (memory.folder, memory.state.index.build) == (folder, build)
