"""A Chroma server of the operator's in the place of a child's folder: the same answers, also while it is away."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whisper_persistence_drivers.recall import state

from whisper_persistence import Store
from whisper_persistence.records import Message, State
from whisper_persistence.testing.edits import EditConformance
from whisper_persistence.testing.erasing import EraseConformance
from whisper_persistence.testing.searching import SearchConformance
from whisper_persistence.testing.vectors import VectorConformance

from .chroma_server import ChromaServer
from .conftest import Memory, wait
from .test_recall_conformance import CLAIMS, open_over_sqlite


@pytest.fixture(scope="module")
def server() -> Iterator[ChromaServer]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ChromaServer.running(Path(folder)) as found:
        yield found


@pytest.mark.long
class TestRecallByServer(EditConformance, EraseConformance, SearchConformance, VectorConformance):
    """Whatever is stored is indexed at a server, however little it is."""

    capabilities = CLAIMS

    @pytest.fixture(autouse=True)
    def _connect(self, server: ChromaServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_CHROMA_URL", server.url)  # new processes find it there

    def open_store(self, path: Path, namespace: str = "default") -> Store:
        return open_over_sqlite(path, namespace, url=os.environ["CONFORMANCE_CHROMA_URL"], index_from=0, few=0)


def by_scan(memory: Memory) -> bool:
    return memory.find("otter").answered == ("meaning by scan",)


def by_index(memory: Memory) -> bool:
    return memory.find("otter").answered == ("meaning",)


@pytest.mark.long
@pytest.mark.parametrize(("blow", "heal"), [("kill", "start"), ("freeze", "thaw")])
def test_a_server_that_is_killed_or_frozen_is_missed_by_nobody_and_taken_back_as_it_was(
    memories: Any, server: ChromaServer, monkeypatch: pytest.MonkeyPatch, blow: str, heal: str
) -> None:
    monkeypatch.setattr(state, "_AWAITED", 3_600.0)  # however slow the machine, it is not given up
    memory = memories.open(url=server.url)
    memory.say(30)
    memory.settle()
    expected, build = memory.meanings("a lynx in the attic"), memory.state.index.build
    assert by_index(memory)
    getattr(server, blow)()
    began = time.monotonic()
    result = memory.find("otter")

    assert (result.answered, result.silent) == (("meaning by scan",), ("meaning by index",))
    assert time.monotonic() - began < 60.0  # a deadline of 10 s, on a machine that does much else
    memory.store.save_messages([Message("late", "alice", "alice", "a violin plays a sonata", message_id="late")])
    wait(lambda: "late" in memory.found("music for a violin"), "the scan to find what came meanwhile")
    assert memory.health().state is State.DEGRADED

    getattr(server, heal)()
    wait(lambda: by_index(memory), "the server to be used again")
    memory.settle()

    assert memory.meanings("a lynx in the attic").items() >= expected.items()
    assert "late" in memory.found("music for a violin")
    assert (memory.state.index.build, memory.health().details["rebuilds"]) == (build, 1)
