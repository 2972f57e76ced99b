"""Stores with the chroma-recall driver, what is said in them, and waiting for their index."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from whisper_persistence import Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import Message, SearchQuery, SearchResult, TierHealth

#: Of these two, every message has words that no other one has together.
ANIMALS: Final = ["otter", "heron", "badger", "walrus", "lynx", "raven", "gecko", "bison", "ferret", "puffin"]
PLACES: Final = ["harbour", "attic", "meadow", "tunnel", "bakery", "glacier", "orchard", "library", "station", "castle"]
#: How many messages the store of `indexed` has.
SAID: Final = 1_200
#: A machine that does much else is given time.
PATIENT: Final = {"search_timeout": 10.0, "scan_timeout": 60.0}
#: Seconds after which a test gives up waiting.
DEADLINE: Final = 600.0


def wait(condition: Callable[[], Any], what: str) -> Any:
    """Return what a condition answers once it is true; fail loudly where it never is."""
    deadline = time.monotonic() + DEADLINE
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.05)
    return answer


@attrs.frozen(eq=False)
class Memory:
    """An open store, and how it is asked."""

    store: Store
    path: Path

    @property
    def driver(self) -> Any:
        return self.store.chain.drivers["chroma-recall"]

    @property
    def state(self) -> Any:
        return self.driver._opened.state

    @property
    def folder(self) -> Path:
        """Where the index of this namespace is."""
        return self.state.folder.path

    def say(self, count: int, talk: str = "talk", user: str = "alice", start: int = 0) -> list[Message]:
        """Append messages of one user, each with words of its own, in sessions of their own."""
        said = [Message(talk, user, user, self.saying(n), message_id=f"m{n}") for n in range(start, start + count)]
        for first in range(0, count, 500):
            self.store.save_messages(said[first : first + 500])
        return said

    def saying(self, n: int) -> str:
        """Return the n-th thing said."""
        return f"the {ANIMALS[n % 10]} near the {PLACES[n // 10 % 10]} number {n}"

    def find(self, text: str, **filters: Any) -> SearchResult:
        query = SearchQuery(text, **{"user_id": "alice", **filters})
        return self.store.search_messages([query])[query]

    def found(self, text: str, **filters: Any) -> list[str]:
        """Return the ids of the messages that are found, the best first."""
        return [hit.message.message_id for hit in self.find(text, **filters).hits]

    def meanings(self, text: str, **filters: Any) -> dict[str, float]:
        """Return how well each message that is found fits by meaning."""
        hits = self.find(text, **filters).hits
        return {hit.message.message_id: round(hit.parts.get("meaning", 0.0), 3) for hit in hits}

    def health(self) -> TierHealth:
        return self.store.check_health()[0]

    def by_index(self) -> bool:
        """Say whether the index answers."""
        index = self.state.index
        return index is not None and index.child.pid is not None

    def is_settled(self) -> bool:
        """Say whether all that was written was followed and nothing is being made."""
        known, seen = self.state, self.health().details
        worker = self.driver._opened.worker
        if not worker.begun.is_set() or worker.keeper.maker._job is not None:
            return False
        calm = seen.get("pending") == 0 and known.outbox.behind_since is None and (known.filled or not known.owned)
        return calm and known.coming is None and known.scrub_at is None and known.doubted is None

    def settle(self, *, index: bool = True) -> TierHealth:
        """Wait until all that was written was followed, and the index answers, unless there is to be none."""
        wait(lambda: self.is_settled() and (not index or self.by_index()), f"the index: {self.health()}")
        return self.health()

    def files(self) -> bytes:
        """Return the bytes of every file of the index."""
        return b"".join(file.read_bytes() for file in sorted(self.folder.rglob("*")) if file.is_file())


@attrs.frozen(eq=False)
class Memories:
    """Opens stores at one place, again and again."""

    path: Path
    opened: list[Memory] = attrs.field(factory=list[Memory])

    def open(
        self,
        namespace: str = "default",
        path: Path | None = None,
        database: DriverSpec | None = None,
        folder: str = "recall",
        **options: Any,
    ) -> Memory:
        """Open a store whose messages are all indexed, however few, unless options say otherwise."""
        place = path or self.path
        settings = {"path": place / folder, "index_from": 0, "few": 0, **PATIENT, **options}
        sqlite = DriverSpec("sqlite", {"path": place / "memory.db", "search": False})
        drivers = [DriverSpec("chroma-recall", settings), database or sqlite]
        self.opened.append(Memory(Store(Chain.build(drivers), namespace), place))
        return self.opened[-1]

    def close(self, *memories: Memory) -> None:
        for memory in memories or tuple(self.opened):
            memory.store.close()


@pytest.fixture
def memories(tmp_path: Path) -> Iterator[Memories]:
    """Return what opens stores in a folder; they are closed after the test."""
    found = Memories(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a closed store and its index, to be copied; Chroma moves vectors out of its log at 1,000."""
    place = tmp_path_factory.mktemp("indexed")
    found = Memories(place)
    memory = found.open()
    memory.say(SAID)
    memory.settle()
    found.close()
    return place


@pytest.fixture
def copied(indexed: Path, tmp_path: Path) -> Memories:
    """Return what opens a copy of the store of `indexed`."""
    shutil.copytree(indexed, tmp_path / "copy")
    return Memories(tmp_path / "copy")
