"""Search by meaning above a database of record: vectors in SQL, an index of them in Chroma, a scan in its stead."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from whisper_persistence import fusing
from whisper_persistence import records as rec
from whisper_persistence.errors import ConfigurationError, StorageUnavailableError, StoreClosedError
from whisper_persistence.hookspecs import (
    Below,
    ConversationSpecs,
    LifecycleSpecs,
    MaintenanceSpecs,
    SearchSpecs,
    hookimpl,
)
from whisper_persistence.paths import absolute_path, data_path
from whisper_persistence_drivers.recall import health
from whisper_persistence_drivers.recall.following import Outbox
from whisper_persistence_drivers.recall.keeper import Keeper
from whisper_persistence_drivers.recall.making import Maker
from whisper_persistence_drivers.recall.options import Options
from whisper_persistence_drivers.recall.scanning import Scanner
from whisper_persistence_drivers.recall.searching import Searcher
from whisper_persistence_drivers.recall.state import State
from whisper_persistence_drivers.recall.worker import Worker

TIER: Final = "chroma-recall"

_positive: Any = {"converter": float, "validator": attrs.validators.gt(0)}
_count: Any = {"converter": int, "validator": attrs.validators.ge(0)}


@attrs.frozen(eq=False)
class _Opened:
    """What an open driver has in one process."""

    pid: int
    state: State
    worker: Worker
    searcher: Searcher


@attrs.define(eq=False)
class ChromaRecallDriver(LifecycleSpecs, ConversationSpecs, SearchSpecs, MaintenanceSpecs):
    """Finds messages by meaning. What it keeps in Chroma are ids and vectors, and all of it can be made anew from SQL.

    Options:
        path: the folder for indexes; each namespace of each database has one inside it.
        url: a Chroma server instead, ``http://host:port``.
        headers: what that server wants to be told with every request, such as a token.
        embedder: ``wordllama``; ``chroma:NAME`` for one of Chroma's embedding functions; ``package.module:callable``.
        embedder_options: arguments for the embedder.
        follower: under which name the database of record is followed; another one for each machine that has an index
            of its own.
        weights: how much each part of a score counts, by the names of `whisper_persistence.fusing.Weights`.
        index_from: with no more vectors than this there is no index, and everything is scanned.
        few: a user with no more vectors than this is always scanned.
        search_timeout: seconds that the index may take to answer a search.
        scan_timeout: seconds that a scan in its stead may take.
        write_timeout: seconds for a batch of writes, or of texts where the embedder is not in this process.
        patience: seconds after which a process that owes an answer is ended.
        erase_timeout: seconds that an erase waits for the index to be built anew.
        audit_every: seconds between comparisons of the index with SQL.
        lease: seconds after which another process keeps the index at a server, where the one that did was killed.
    """

    contract_version: ClassVar[int] = 1
    skippable: ClassVar[bool] = True
    local: ClassVar[bool] = True

    path: Path = attrs.field(factory=partial(data_path, "recall"), converter=absolute_path)
    url: str | None = attrs.field(default=None, repr=False)
    headers: dict[str, str] = attrs.field(factory=dict[str, str], repr=False)
    embedder: str = "wordllama"
    embedder_options: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    follower: str = TIER
    weights: fusing.Weights = attrs.field(factory=fusing.Weights, converter=fusing.to_weights)
    index_from: int = attrs.field(default=2_000, **_count)
    few: int = attrs.field(default=1_000, **_count)
    search_timeout: float = attrs.field(default=1.0, **_positive)
    scan_timeout: float = attrs.field(default=5.0, **_positive)
    write_timeout: float = attrs.field(default=30.0, **_positive)
    patience: float = attrs.field(default=10.0, **_positive)
    erase_timeout: float = attrs.field(default=120.0, **_positive)
    audit_every: float = attrs.field(default=3_600.0, **_positive)
    lease: float = attrs.field(default=60.0, **_positive)

    _below: Below | None = attrs.field(default=None, init=False, repr=False)
    _namespace: str = attrs.field(default="", init=False)
    _opened: _Opened | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse to be built where a library is missing, without importing any."""
        for library in ("chromadb", "numpy", *(["wordllama"] if self.embedder == "wordllama" else [])):
            if find_spec(library) is None:
                raise ModuleNotFoundError(f"No module named {library!r}", name=library)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Get the embedder ready, follow the database of record, and start the thread that keeps the index."""
        self._below, self._namespace = below, namespace
        self._opened = self._begin(below)

    @hookimpl
    def close(self) -> None:
        """End the thread and the child process."""
        opened, self._opened, self._below = self._opened, None, None
        if opened is not None and opened.pid == os.getpid():
            opened.worker.close()

    @hookimpl
    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Say how the index is, and add the reports from below."""
        opened = self._here()
        return health.probe(TIER, opened.state, opened.worker), *(opened.state.below.check_health() or ())

    @hookimpl
    def save_messages(self, messages: Sequence[rec.Message]) -> Sequence[rec.Receipt] | None:
        """Append messages below, and have the index follow."""
        opened = self._here()
        answer = opened.state.below.save_messages(messages=messages)
        opened.worker.wake()
        return answer

    @hookimpl
    def update_messages(self, changes: Sequence[rec.MessageChange]) -> Sequence[rec.Receipt] | None:
        """Change messages below, and have the index follow."""
        opened = self._here()
        answer = opened.state.below.update_messages(changes=changes)
        opened.worker.wake()
        return answer

    @hookimpl
    def search_messages(self, queries: Sequence[rec.SearchQuery]) -> Mapping[rec.SearchQuery, rec.SearchResult]:
        """Return what each query finds by meaning and below."""
        return self._here().searcher.search(queries)

    @hookimpl
    def embed(self, texts: Sequence[str]) -> Sequence[rec.Embedding]:
        """Return each text as a vector."""
        current = self._here().state.current
        if current is None:
            raise StorageUnavailableError(f"embedder {self.embedder} is not ready yet: try again")
        return [rec.Embedding(current.identity, values) for values in current.embed(texts)]

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...] | None:
        """Forget users below, and build the index anew without them."""
        opened = self._here()
        reports = opened.state.below.erase_users(user_ids=user_ids)
        return None if reports is None else (self._scrub(opened), *reports)

    @hookimpl
    def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> tuple[rec.TierReport, ...] | None:
        """Remove what is too old below, and have the index follow."""
        opened = self._here()
        reports = opened.state.below.expire(policies=policies, dry_run=dry_run)
        opened.worker.wake()
        return reports

    def _scrub(self, opened: _Opened) -> rec.TierReport:
        state = opened.state
        opened.searcher.scanner.forget()
        opened.worker.begun.wait(self.erase_timeout)
        ticket = state.ask_scrub()
        opened.worker.wake()
        left = ("the files of the Chroma server, which keep deleted vectors",) if self.url else ()
        if ticket is None:
            later = f"the index of process {state.folder.owner()}, which builds it anew within a minute"
            there = state.folder.has_builds() or not state.is_located()
            return rec.TierReport(TIER, remaining=(later, *left) if there else ())
        if not state.await_scrub(ticket, self.erase_timeout):
            return rec.TierReport(TIER, remaining=("the index, which is still being built anew", *left))
        return rec.TierReport(TIER, rewritten=("index",), remaining=left)

    def _here(self) -> _Opened:
        """Return what this process has; a forked one gets its own."""
        opened, below = self._opened, self._below
        if opened is None or below is None:
            raise StoreClosedError(f"{TIER} was asked while it is not open: open a store first")
        if opened.pid != os.getpid():
            opened = self._opened = self._begin(below)
        return opened

    def _begin(self, below: Below) -> _Opened:
        names = [field.name for field in attrs.fields(Options)]
        options = Options(**{name: getattr(self, name) for name in names})
        folder = options.folder(self.path, self._namespace, below, self.follower)
        state = State(below, self._namespace, options, folder, Outbox(below, self.follower))
        keeper = Keeper(state, Maker(state))
        try:
            keeper.prepare()
            if not state.outbox.register():
                raise ConfigurationError(
                    f"{TIER} finds no driver below that keeps messages for followers: list it before sqlite or postgres"
                )
        except StorageUnavailableError:
            pass  # the thread tries again
        worker = Worker(keeper)
        worker.start()
        return _Opened(os.getpid(), state, worker, Searcher(state, self.weights, Scanner(below), worker.wake))
