"""A connection whose patience ends: the server ends slow statements, but one that fell silent ends nothing."""

from __future__ import annotations

import select
import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from psycopg.errors import ConnectionTimeout, InvalidSqlStatementName, error_from_result
from psycopg.generators import execute
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

T = TypeVar("T")

#: How much longer than the server's own limit for a statement its answer may take, in seconds.
GRACE: Final = 1.0


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes too long.

    Attributes:
        patience: how long an answer may take, in seconds.
    """

    patience: float

    def __init__(self, pgconn: PGconn, *arguments: Any) -> None:
        """Take a connection of libpq, on which nothing is prepared yet."""
        super().__init__(pgconn, *arguments)
        self._names: dict[bytes, bytes] = {}
        self._named = 0
        self._readable = select.poll() if hasattr(select, "poll") else None  # there is none on Windows
        if self._readable is not None:
            self._readable.register(pgconn.socket, select.POLLIN)

    def fetch_plainly(self, statement: bytes, value: str) -> PGresult:
        """Return what a SELECT with one parameter finds, by libpq's own calls: a third of what a cursor takes.

        Args:
            statement: with ``$1`` for the parameter.
            value: the parameter, as the server writes it.
        """
        given: list[Any] = [value.encode()]
        if self.prepare_threshold is None:
            self.pgconn.send_query_params(statement, given)
            return self._result()
        self.pgconn.send_query_prepared(self._prepared_here(statement), given)
        try:
            return self._result()
        except InvalidSqlStatementName:  # with a rollback, psycopg drops every statement that a connection prepared
            self._names.clear()
        self.pgconn.send_query_prepared(self._prepared_here(statement), given)
        return self._result()

    def _prepared_here(self, statement: bytes) -> bytes:
        """Return the name of a statement that this connection keeps prepared."""
        name = self._names.get(statement)
        if name is None:
            self._named += 1
            name = b"whisper_%d" % self._named
            self.pgconn.send_prepare(name, statement)
            self._result()
            self._names[statement] = name
        return name

    def _result(self) -> PGresult:
        found = self._results()[-1]
        if found.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise error_from_result(found)
        return found

    def _results(self) -> list[PGresult]:
        """Return what a question was answered with, as `wait` would: at two thirds of its cost, where that is a lot."""
        if self._readable is None or self.pgconn.flush():
            answers: list[PGresult] = self.wait(execute(self.pgconn))
            return answers
        found: list[PGresult] = []
        until = time.monotonic() + self.patience
        while self._readable.poll(max(0.0, until - time.monotonic()) * 1000):
            self.pgconn.consume_input()
            while not self.pgconn.is_busy():
                result = self.pgconn.get_result()
                if result is None:
                    return found
                found.append(result)
        raise self._impatient()

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **options: Any) -> T:
        """Wait for an answer.

        Raises:
            ConnectionTimeout: it took too long; the connection is closed, since what it waits for may still come.
        """
        return super().wait(self._bounded(gen), *arguments, **options)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        until = time.monotonic() + self.patience
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > until:
                    raise self._impatient()
                wanted = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result

    def _impatient(self) -> ConnectionTimeout:
        """Close the connection, since what it waits for may still come, and return what to raise."""
        self.pgconn.finish()
        return ConnectionTimeout("the server did not answer in time")
