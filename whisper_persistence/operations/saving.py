"""Threads that save batches to a store: a few, where its drivers take as many writers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final, Self, cast
from zlib import crc32

from whisper_persistence.operations.transfer import SAVERS, Batch
from whisper_persistence.records import Message
from whisper_persistence.records.kinds import RecordKind
from whisper_persistence.store import Store
from whisper_persistence.validation import Validated

#: So many threads save at most: more gain little where the server is near.
_WRITERS: Final = 3


class SavingThreads:
    """Threads that save, each what it was given in its order; end them by leaving a ``with`` statement.

    After one of them failed none goes on: what one conversation holds then is a first part of what it would hold.
    """

    def __init__(self, store: Store) -> None:
        """Be ready to start threads.

        Args:
            store: where to save; open until the threads have ended.
        """
        self._store = store
        writers = min(store.chain.limit("max_writers") or _WRITERS, _WRITERS)
        self._threads = [ThreadPoolExecutor(1, f"whisper-persistence-import-{n}") for n in range(writers)]
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        """Return the threads."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give up what was not begun, and wait for what is being saved."""
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)
        for thread in self._threads:
            thread.shutdown()

    def save(self, batch: Batch) -> list[Future[None]]:
        """Save a batch whose records are legal, and return what tells when all its parts are saved.

        Messages go to several threads, those of one conversation always to the same; other kinds all to the first.
        """
        parts = self._parts(batch.records) if batch.kind == "messages" else {0: batch.records}
        return [
            self._threads[number].submit(copy_context().run, self._save, batch.kind, part)
            for number, part in parts.items()
        ]

    def _parts(self, messages: Sequence[Message]) -> dict[int, list[Message]]:
        parts: dict[int, list[Message]] = {}
        for message in messages:
            parts.setdefault(crc32(message.conversation_id.encode()) % len(self._threads), []).append(message)
        return parts

    def _save(self, kind: RecordKind, records: Sequence[Any]) -> None:
        if self._error is not None:
            raise self._error
        try:
            SAVERS[kind](self._store, cast("Sequence[Any]", Validated(records)))
        except BaseException as error:
            self._error = error
            raise
