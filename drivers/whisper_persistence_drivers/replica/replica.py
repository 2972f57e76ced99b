"""One replica of one namespace: asked, brought up to date, repaired, and made to forget."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import attrs
import duckdb

from whisper_persistence.errors import PersistenceError, StorageRefusedError
from whisper_persistence.hookspecs import Below
from whisper_persistence.records import CompareNamespaces, Follower, Question
from whisper_persistence_drivers.replica import answering
from whisper_persistence_drivers.replica.columns import TABLES
from whisper_persistence_drivers.replica.engine import Limits, is_sound, reading
from whisper_persistence_drivers.replica.folder import Folder, remove
from whisper_persistence_drivers.replica.loading import load
from whisper_persistence_drivers.replica.parquet import Export
from whisper_persistence_drivers.replica.refreshing import Builder

#: What the database is asked to tell of.
KINDS: Final[tuple[Any, ...]] = (*TABLES, "conversations")
#: How long a question waits for another process or thread that refreshes, in seconds.
PATIENCE: Final = 600.0
#: How long an erase waits for it; then the replica is removed instead of rebuilt.
_ERASE_PATIENCE: Final = 30.0
#: How often the database is asked whether it still tells us, and has as many records as we, in seconds.
_CHECKED_EVERY: Final = 3_600.0

_log = logging.getLogger(__name__)

T = TypeVar("T")


@attrs.define(eq=False)
class Replica:
    """The replica of one namespace.

    Attributes:
        folder: where its snapshots are.
        limits: what DuckDB may use.
        below: the database that is followed.
        namespace: whose records they are.
        follower: the name under which the database keeps what is pending.
        export: what is exported of it as Parquet, or ``None``.
        pause: called between the steps of a refresh; it may wait, or raise to give up until later.
    """

    folder: Folder
    limits: Limits
    below: Below
    namespace: str
    follower: str
    export: Export | None
    pause: Callable[[], None]
    _registered_at: float | None = attrs.field(init=False, default=None)
    _counted_at: float | None = attrs.field(init=False, default=None)
    _distrusted: bool = attrs.field(init=False, default=False)

    def ask(self, question: Question[Any], *, fresh: bool) -> Any:
        """Answer a question that `answering.knows`.

        Args:
            question: the question.
            fresh: whether all that was written before must be counted; else the newest snapshot answers.

        Raises:
            StorageRefusedError: the question needs more memory than the driver may use.
        """
        if fresh or self.folder.newest() is None:
            self.refresh()
        try:
            return self._read(lambda connection: answering.answer(connection, question))
        except duckdb.OutOfMemoryException:
            raise StorageRefusedError(
                f"the question needs more than the {self.limits.memory} that driver 'duckdb-analytics' may use: "
                "raise its option memory, or ask about fewer users"
            ) from None
        except duckdb.Error as error:
            with self.folder.locked(PATIENCE):
                if not self._is_sound():
                    self._distrust(type(error).__name__)
        self.refresh()
        return self._read(lambda connection: answering.answer(connection, question))

    def refresh(self, forgotten: Sequence[str] = (), patience: float = PATIENCE) -> None:
        """Bring the replica up to date; load it where there is none, and anew where it cannot be trusted.

        Args:
            forgotten: users of whom nothing may stay, also in no file.
            patience: how long to wait for others who refresh it, in seconds.

        Raises:
            duckdb.Error: it cannot be done, for want of room; a snapshot that can be read stays.
        """
        with self.folder.locked(patience):
            began, before = time.time(), self._registered()
            snapshot = self._caught_up(before, forgotten)
            if snapshot != before:
                snapshot = self._counted(snapshot)
            self._export(snapshot, erased=bool(forgotten))
            os.utime(snapshot, (began, began))

    def forget(self, user_ids: Sequence[str]) -> dict[str, int]:
        """Rebuild without these users, or remove everything where that fails; return how many rows went, by kind."""
        try:
            counts = self._rows_of(user_ids)
            if self.folder.newest() is not None:
                self.refresh(user_ids, _ERASE_PATIENCE)
                return counts
        except (PersistenceError, duckdb.Error, OSError) as error:
            _log.warning("analytics replica removed: it could not forget", extra={"error": type(error).__name__})
            counts = {}
        self._discard()
        return counts

    def counts(self) -> dict[str, int]:
        """Return how many rows of each kind the newest snapshot has; nothing where there is none."""
        return self._count("true", []) if self.folder.newest() else {}

    def as_of(self) -> datetime | None:
        """Return the moment up to which the newest snapshot has everything, or ``None`` where there is none."""
        snapshot = self.folder.newest()
        try:
            return datetime.fromtimestamp(snapshot.stat().st_mtime, UTC) if snapshot else None
        except FileNotFoundError:
            return self.as_of()

    def pending(self, limit: int) -> int:
        """Return how much is pending, at most ``limit``."""
        return len(self.below.load_pending(follower=self.follower, limit=limit) or ())

    def _registered(self) -> Path | None:
        """Have the database tell us of changes, and return the newest snapshot, unless it did not tell us before."""
        if _is_due(self._registered_at):
            if self.below.register_follower(follower=Follower(self.follower, KINDS)):
                self._discard()
            self._registered_at = time.monotonic()
        return self.folder.newest()

    def _caught_up(self, base: Path | None, forgotten: Sequence[str]) -> Path:
        builder = Builder(self.folder, self.limits, self.below, self.namespace, self.follower, self.pause)
        if base is not None:
            try:
                return builder.catch_up(base, forgotten)
            except duckdb.Error as error:
                remove(self.folder.building)
                # A full disk is no reason to lose what can be read, unless somebody who was erased is in it.
                if self._is_sound() and not self.below.misses_erasure(follower=self.follower):
                    raise
                self._distrust(type(error).__name__)
        elif not self._distrusted:
            _log.info("analytics replica is built", extra={"namespace": self.namespace})
        self._distrusted = False
        load(self.folder, self.limits, self.below, self.namespace, self.pause)
        return builder.catch_up(self.folder.loading, forgotten)

    def _counted(self, snapshot: Path) -> Path:
        """Return the snapshot, or a new one where the database, with nothing pending, has other numbers of records."""
        if not _is_due(self._counted_at):
            return snapshot
        self._counted_at = time.monotonic()
        answer = self.below.aggregate(question=CompareNamespaces())
        theirs = (
            [(row.memories, row.interventions) for row in answer.rows if row.namespace == self.namespace]
            if answer
            else []
        )
        ours = self.counts()
        if not theirs or theirs == [(ours["scores"], ours["outcomes"])] or self.pending(1):
            return snapshot
        self._distrust("other numbers of records")
        return self._caught_up(None, ())

    def _export(self, snapshot: Path, *, erased: bool) -> None:
        if self.export:
            self.export.follow(snapshot, erased=erased)
            if not snapshot.exists():
                self.export.remove()  # an erase that would not wait for us removed it

    def _is_sound(self) -> bool:
        snapshot = self.folder.newest()
        return snapshot is not None and is_sound(snapshot, self.limits, self.namespace)

    def _distrust(self, reason: str) -> None:
        """Remove everything and say why, once for the whole repair."""
        _log.warning("analytics replica is built anew: it cannot be trusted", extra={"reason": reason})
        self._distrusted = True
        self._discard()

    def _discard(self) -> None:
        self.folder.discard()
        if self.export:
            self.export.remove()

    def _rows_of(self, user_ids: Sequence[str]) -> dict[str, int]:
        return self._count("user_id IN (SELECT unnest(?))", [list(user_ids)]) if self.folder.newest() else {}

    def _count(self, where: str, values: list[Any]) -> dict[str, int]:
        counted = ", ".join(f"(SELECT count(*) FROM {name} WHERE {where})" for name in TABLES)
        (row,) = self._read(lambda connection: connection.execute(f"SELECT {counted}", values * len(TABLES)).fetchall())
        return dict(zip(TABLES, cast("tuple[int, ...]", row), strict=True))

    def _read(self, act: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do something with the newest snapshot, or the next where that one is removed before it is open."""
        while True:
            snapshot = self.folder.newest()
            if snapshot is None:
                self.refresh()
                continue
            try:
                with reading(snapshot, self.limits) as connection:
                    return act(connection)
            except duckdb.IOException:
                if snapshot.exists():
                    raise


def _is_due(done: float | None) -> bool:
    return done is None or time.monotonic() - done > _CHECKED_EVERY
