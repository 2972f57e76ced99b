"""Questions over millions of rows in milliseconds: a columnar replica in DuckDB of what the database below keeps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import attrs
import duckdb

from whisper_persistence import records as rec
from whisper_persistence.errors import ConfigurationError, PersistenceError, StorageUnavailableError
from whisper_persistence.hookspecs import AnalyticsSpecs, Below, LifecycleSpecs, MaintenanceSpecs, hookimpl
from whisper_persistence.paths import absolute_path, data_path
from whisper_persistence_drivers.installations import installation_of
from whisper_persistence_drivers.replica import answering
from whisper_persistence_drivers.replica.engine import Limits
from whisper_persistence_drivers.replica.folder import Folder
from whisper_persistence_drivers.replica.pacing import Pacer
from whisper_persistence_drivers.replica.parquet import Export
from whisper_persistence_drivers.replica.replica import Replica

TIER: Final = "duckdb-analytics"
#: Up to how many pending changes health counts.
_COUNTED: Final = 10_000
_EXPORTED: Final = "the Parquet in {}, which could not be written: until the first refresh that can"

T = TypeVar("T")


@attrs.define(eq=False)
class DuckdbAnalyticsDriver(LifecycleSpecs, AnalyticsSpecs, MaintenanceSpecs):
    """Answers `aggregate` from a replica that follows the database below; every other hook goes below.

    Options:
        path: the folder of the replicas, one for each namespace of each database; made if it is missing.
        interval: refresh in the background every so many seconds, and answer as of the last time, or as of now where
            somebody was erased since; with 0, a question first waits until the replica has all that was written before
            it.
        memory: what DuckDB may use at most, such as ``1GiB``; what does not fit goes to disk beside the replica.
        threads: how many threads DuckDB may use.
        parquet: also export each snapshot into this folder, divided by namespace and month.
        follower: the name under which the database keeps what the replica has not seen; two replicas of one namespace
            in different folders need two names.
    """

    contract_version: ClassVar[int] = 1
    skippable: ClassVar[bool] = True
    local: ClassVar[bool] = True

    path: Path = attrs.field(factory=partial(data_path, "analytics"), converter=absolute_path)
    interval: float = attrs.field(default=0.0, converter=float, validator=attrs.validators.ge(0))
    memory: str = attrs.field(default="1GiB", validator=attrs.validators.matches_re(r"\d+(\.\d+)? ?[KMGT]i?B"))
    threads: int = attrs.field(
        factory=lambda: min(4, os.cpu_count() or 1), converter=int, validator=attrs.validators.ge(1)
    )
    parquet: Path | None = attrs.field(default=None, converter=attrs.converters.optional(absolute_path))
    follower: str = attrs.field(default=TIER, validator=attrs.validators.min_len(1))
    _below: Below = attrs.field(init=False, repr=False)
    _replica: Replica = attrs.field(init=False, repr=False)
    _pacer: Pacer = attrs.field(init=False, repr=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """See whether there is a database to follow, make its folder, and begin to refresh if told to."""
        if below.load_pending(follower=self.follower, limit=1) is None:
            raise ConfigurationError(
                f"driver {TIER!r} is listed above no database that can be followed: list it above sqlite or postgres"
            )
        folder = Folder.of(self.path, namespace, installation_of(below) or "")
        try:
            folder.make()
            if self.parquet:
                self.parquet.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"driver {TIER!r} cannot write {self.parquet if folder.path.is_dir() else self.path} "
                f"({error.strerror}): name a folder that can be written"
            ) from None
        self._below, self._pacer = below, Pacer(self.interval)
        limits = Limits(self.memory, self.threads, folder.spill)
        export = Export(self.parquet, limits, namespace) if self.parquet else None
        self._replica = Replica(folder, limits, below, namespace, self.follower, export, self._pacer.pause)
        self._pacer.start(self._refresh)

    @hookimpl
    def close(self) -> None:
        """Stop refreshing; what is not in the replica stays pending. A replica of what is in memory goes."""
        if hasattr(self, "_replica"):
            self._pacer.close()
            self._replica.folder.close()

    @hookimpl
    def aggregate(self, question: rec.Question[Any]) -> Any:
        """Answer one question; ask below one that the replica cannot answer, and one that compares namespaces."""
        if not answering.knows(question):
            return self._below.aggregate(question=question)
        self._pacer.start(self._refresh)
        erased = bool(self.interval and self._below.misses_erasure(follower=self.follower))
        if erased or self._replica.folder.newest() is None:
            self._pacer.hurry()
        return _translated(lambda: self._replica.ask(question, fresh=erased or not self.interval))

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[rec.TierReport, ...] | None:
        """Forget users below, then in the replica: a new file without them takes its place before this returns."""
        reports = self._below.erase_users(user_ids=user_ids)
        if reports is None:
            return None
        self._pacer.hurry()
        counts = self._replica.forget(user_ids) if user_ids else {}
        rewritten = (str(self._replica.folder.path),) if user_ids else ()
        export = self._replica.export
        remaining = (_EXPORTED.format(export.folder),) if export and export.holds_erased else ()
        return (rec.TierReport(TIER, counts, rewritten, remaining), *reports)

    @hookimpl
    def expire(self, policies: Sequence[rec.Retention], dry_run: bool) -> tuple[rec.TierReport, ...] | None:
        """Expire below; the replica hears of it as of every change."""
        return self._below.expire(policies=policies, dry_run=dry_run)

    @hookimpl
    def check_health(self) -> tuple[rec.TierHealth, ...]:
        """Open the newest snapshot, say of when it is and how much is pending, and add the reports from below."""
        return (self._health(), *(self._below.check_health() or ()))

    def _refresh(self) -> None:
        _translated(self._replica.refresh)

    def _health(self) -> rec.TierHealth:
        began = time.perf_counter()
        details: dict[str, Any] = {"duckdb_version": duckdb.__version__, "interval": self.interval}
        try:
            as_of, counts = _translated(lambda: (self._replica.as_of(), self._replica.counts()))
            details |= {"as_of": as_of and as_of.isoformat(), **counts, "pending": self._replica.pending(_COUNTED)}
        except PersistenceError as error:
            return rec.TierHealth(TIER, rec.State.DOWN, None, {**details, "error": str(error)})
        export = self._replica.export
        failed = self._pacer.error or (f"the Parquet export: {export.problem}" if export and export.problem else "")
        state = rec.State.DEGRADED if failed else rec.State.UP
        return rec.TierHealth(
            TIER, state, time.perf_counter() - began, {**details, **({"error": failed} if failed else {})}
        )


def _translated(act: Callable[[], T]) -> T:
    try:
        return act()
    except duckdb.OutOfMemoryException:
        raise StorageUnavailableError(
            f"the analytics replica needs more memory than driver {TIER!r} may use: raise its option memory"
        ) from None
    except (duckdb.Error, OSError) as error:
        raise StorageUnavailableError(
            f"the analytics replica cannot be read or written ({type(error).__name__}): see whether its disk is full"
        ) from None
