"""The least that asyncio over sqlite3 has to do: a thread that writes and a thread that reads.

Each thread takes everything that waits, the writer in one transaction, and wakes the event loop once for all of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Self

from data import Turn
from floors import APPEND, PRAGMAS, READ, Floor, connect, parameters

_Job = tuple["asyncio.Future[Any]", Any]


class AsyncFloor:
    """Asynchronous sqlite3, as little as there can be."""

    plain_messages = Floor.plain_messages

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._writes, self._reads = SimpleQueue[_Job | None](), SimpleQueue[_Job | None]()
        writer, reader = connect(path, PRAGMAS), connect(path, PRAGMAS)
        self._threads = [
            Thread(target=self._work, args=(self._writes, partial(_write, writer))),
            Thread(target=self._work, args=(self._reads, partial(_read, reader))),
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    async def open(cls, path: Path) -> Self:
        return cls(path)

    async def append(self, turn: Turn) -> None:
        future = self._loop.create_future()
        self._writes.put((future, parameters(turn)))
        await future

    async def last(self, conversation: str) -> list[Any]:
        future = self._loop.create_future()
        self._reads.put((future, (conversation,)))
        rows: list[Any] = await future
        return rows

    async def close(self) -> None:
        self._writes.put(None)
        self._reads.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, queue: SimpleQueue[_Job | None], run: Callable[[list[_Job]], list[Any]]) -> None:
        while (job := queue.get()) is not None:
            jobs = [job]
            try:
                while (waiting := queue.get_nowait()) is not None:
                    jobs.append(waiting)
                queue.put(None)
            except Empty:
                pass
            self._loop.call_soon_threadsafe(_resolve, jobs, run(jobs))


def _write(connection: sqlite3.Connection, jobs: list[_Job]) -> list[Any]:
    if len(jobs) == 1:
        connection.execute(APPEND, jobs[0][1])
        return [None]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(APPEND, [bound for _, bound in jobs])
    connection.execute("COMMIT")
    return [None] * len(jobs)


def _read(connection: sqlite3.Connection, jobs: list[_Job]) -> list[Any]:
    return [connection.execute(READ, bound).fetchall()[::-1] for _, bound in jobs]


def _resolve(jobs: list[_Job], results: list[Any]) -> None:
    for (future, _), result in zip(jobs, results, strict=True):
        if not future.done():
            future.set_result(result)
