"""A connection whose patience ends: the server ends slow statements, but one that fell silent ends nothing."""

from __future__ import annotations

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

    def fetch_numbers(self, statement: str, value: str) -> list[tuple[int, ...]]:
        """Return the rows, of whole numbers alone, of a SELECT with one parameter, by libpq's own calls."""
        text, given = statement.encode(), [value.encode()]
        if self.prepare_threshold is None:
            self.pgconn.send_query_params(text, given)
            found = self._result()
        else:
            found = self._ask_prepared(text, given)
        columns = range(found.nfields)
        return [tuple(int(found.get_value(row, column) or 0) for column in columns) for row in range(found.ntuples)]

    def _ask_prepared(self, text: bytes, given: list[bytes]) -> PGresult:
        self.pgconn.send_query_prepared(self._prepared_here(text), given)
        try:
            return self._result()
        except InvalidSqlStatementName:  # with a rollback, psycopg drops every statement that a connection prepared
            self._names.clear()
        self.pgconn.send_query_prepared(self._prepared_here(text), given)
        return self._result()

    def _prepared_here(self, text: bytes) -> bytes:
        """Return the name of a statement that this connection keeps prepared."""
        name = self._names.get(text)
        if name is None:
            self._named += 1
            name = b"whisper_%d" % self._named
            self.pgconn.send_prepare(name, text)
            self._result()
            self._names[text] = name
        return name

    def _result(self) -> PGresult:
        found: PGresult = self.wait(execute(self.pgconn))[-1]
        if found.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise error_from_result(found)
        return found

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
                    self.pgconn.finish()
                    raise ConnectionTimeout("the server did not answer in time")
                wanted = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result
