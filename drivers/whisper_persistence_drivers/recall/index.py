"""One build of the index: a collection of Chroma's in a folder or at a server, reached through a child process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import attrs

from whisper_persistence_drivers.recall.folder import Folder
from whisper_persistence_drivers.recall.labels import Entry
from whisper_persistence_drivers.recall.process import ChildProcess

#: Chroma's own file, whose absence means that the index is not what it was.
_DATABASE: Final = "chroma.sqlite3"


@attrs.frozen
class Limits:
    """How long the index may take.

    Attributes:
        search: seconds for a query, on the way of whoever searches.
        write: seconds for a batch of writes, in the background.
        start: seconds for a child process to import Chroma and open.
        patience: seconds after which a process that owes an answer is ended.
    """

    search: float = 1.0
    write: float = 30.0
    start: float = 60.0
    patience: float = 10.0


@attrs.frozen
class Server:
    """A Chroma server of the operator's.

    Attributes:
        url: where it is.
        headers: what it wants to be told with every request, such as a token.
    """

    url: str = attrs.field(repr=False)
    headers: dict[str, str] = attrs.field(repr=False)

    def target(self) -> dict[str, Any]:
        """Return what Chroma's client wants to know."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 8000)
        return {"host": parts.hostname or "", "port": port, "ssl": secure, "headers": self.headers}


@attrs.frozen
class Nearest:
    """A vector near to a query's.

    Attributes:
        item: its id in the index.
        similarity: the inner product with the query's vector, of unit length both, -1 to 1.
        conversation_id, message_id: which message it is of.
    """

    item: str
    similarity: float
    conversation_id: str
    message_id: str


@attrs.define(eq=False)
class Index:
    """One build, open.

    Attributes:
        build: its name.
        model: the identity of the embedder whose vectors it holds.
        child: the process that it is reached through.
        count: how many vectors were in it when it was opened.
    """

    build: str
    model: str
    child: ChildProcess
    count: int
    _limits: Limits
    _file: Path | None = None

    @classmethod
    def open(
        cls, folder: Folder, build: str, model: str, limits: Limits, server: Server | None, *, make: bool = True
    ) -> Index:
        """Open a build in a new child process.

        Args:
            folder: where it lies, and where the process is at home.
            build: its name.
            model: the identity of the embedder whose vectors it holds.
            limits: how long it may take.
            server: where it lies instead.
            make: whether it is made where it is not there.

        Raises:
            StorageUnavailableError: it did not answer in time, or the process ended.
            StorageDamagedError: it cannot be opened.
        """
        child = ChildProcess.start(folder.path, limits.patience, folder.kept())
        place = folder.place(build)
        target: dict[str, Any] = (
            {"path": None, "server": server.target()} if server else {"path": str(place), "server": None}
        )
        try:
            count: int = child.call("open", limits.start, name=_collection(build), make=make, **target)
        except BaseException:
            child.kill()
            raise
        return cls(build, model, child, count, limits, None if server else place / _DATABASE)

    def is_there(self) -> bool:
        """Say whether its process lives and its file is where it was."""
        return self.child.watch() and self.has_file()

    def has_file(self) -> bool:
        """Say whether its file is where it was; a server's is its own affair."""
        return self._file is None or self._file.exists()

    def at_server(self) -> bool:
        """Say whether it lies at a server, which outlives what is written to it."""
        return self._file is None

    def recount(self) -> int:
        """Return how many vectors there are."""
        self.count = cast("int", self.child.call("count", self._limits.write))
        return self.count

    def upsert(self, entries: Sequence[Entry]) -> None:
        """Put vectors."""
        if entries:
            self.child.call(
                "upsert",
                self._limits.write,
                writes=not self.at_server(),
                ids=[entry.item for entry in entries],
                vectors=b"".join(entry.values for entry in entries),
                labels=[entry.labels for entry in entries],
            )

    def delete(self, items: Sequence[str]) -> None:
        """Remove vectors by id; unknown ids are nothing."""
        if items:
            self.child.call("delete", self._limits.write, writes=not self.at_server(), ids=list(items), where=None)

    def delete_before(self, conversation_id: str, sequence: int) -> None:
        """Remove what comes before a position of a conversation."""
        where = {"$and": [{"c": conversation_id}, {"s": {"$lt": sequence}}]}
        self.child.call("delete", self._limits.write, writes=not self.at_server(), ids=None, where=where)

    def first_from(self, conversation_id: str, sequence: int, count: int) -> list[str]:
        """Return the message ids of the first few from a position on, of each user who has something before it."""
        after = self._labels({"$and": [{"c": conversation_id}, {"s": {"$gte": sequence}}]})
        before = self._labels({"$and": [{"c": conversation_id}, {"s": {"$lt": sequence}}]}) if after else []
        found: dict[str, list[str]] = {labels["u"]: [] for labels in before}
        for labels in sorted(after, key=lambda labels: cast("int", labels["s"])):
            found.get(labels["u"], []).append(labels["m"])
        return [message_id for first in found.values() for message_id in first[:count]]

    def _labels(self, where: dict[str, Any]) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self.child.call("labels", self._limits.write, where=where))

    def load(self, items: Sequence[str], timeout: float | None = None) -> dict[str, bytes]:
        """Return the vectors of those ids that are there; whoever searches gives the seconds that are left."""
        seconds = self._limits.write if timeout is None else timeout
        return cast("dict[str, bytes]", self.child.call("load", seconds, ids=list(items)))

    def query(self, values: bytes, limit: int, where: dict[str, Any] | None, timeout: float) -> list[Nearest]:
        """Return the nearest, the best first."""
        found = self.child.call("query", timeout, vector=values, limit=limit, where=where)
        return [Nearest(item, similarity, labels["c"], labels["m"]) for item, similarity, labels in found]

    def close(self) -> None:
        """Let its process end."""
        self.child.close(2.0)


def drop_builds(folder: Path, limits: Limits, server: Server, builds: Sequence[str]) -> None:
    """Remove builds from a server, by a child process of its own.

    Raises:
        StorageUnavailableError, StorageDamagedError: it did not remove them all.
    """
    child = ChildProcess.start(folder, limits.patience)
    try:
        child.call("reach", limits.write, path=None, server=server.target())
        for build in builds:
            child.call("drop", limits.write, name=_collection(build))
    finally:
        child.close(2.0)


def _collection(build: str) -> str:
    return f"whisper-{build}"
