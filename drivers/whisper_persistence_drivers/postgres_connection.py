"""A connection whose patience ends: the server ends slow statements, but one that fell silent ends nothing."""

from __future__ import annotations

import select
import time
from collections.abc import Generator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import attrs
import psycopg
from psycopg import abc, adapt
from psycopg.adapt import PyFormat
from psycopg.errors import ConnectionTimeout, InvalidSqlStatementName, error_from_result
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from whisper_persistence_drivers.postgres_looking import Lookout

T = TypeVar("T")
#: A statement's text, and the types of what it is given.
_Statement: TypeAlias = tuple[bytes, tuple[int, ...]]

#: How much longer than the server's own limit for a statement its answer may take, in seconds.
GRACE: Final = 1.0


#: So many prepared statements a connection keeps: more than there are, even where a value may be missing.
_KEPT: Final = 512


@attrs.frozen
class Answer:
    """What a statement answered, read as a cursor is.

    Attributes:
        rows: the rows, if it returns any.
        rowcount: how many rows it returned or touched.
    """

    rows: list[tuple[Any, ...]]
    rowcount: int

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows."""
        return self.rows


@attrs.define(eq=False)
class _Known:
    """A statement that ran before: its name once it is kept prepared, and whether to look out for its answers."""

    name: bytes = b""
    lookout: Lookout = attrs.field(factory=Lookout)


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes too long, and that runs statements without a cursor.

    Attributes:
        patience: how long an answer may take, in seconds.
        prepares: whether the server keeps statements prepared for `run`.
    """

    patience: float
    prepares: bool

    def __init__(self, pgconn: PGconn, *arguments: Any) -> None:
        """Take a connection of libpq, on which nothing is prepared yet."""
        super().__init__(pgconn, *arguments)
        self._known: dict[_Statement, _Known] = {}
        self._named = 0
        self._adapted: abc.Transformer | None = None
        self._readable = select.poll() if hasattr(select, "poll") else None  # there is none on Windows
        if self._readable is not None:
            self._readable.register(pgconn.socket, select.POLLIN)

    def run(self, text: str, values: Sequence[Any]) -> Answer:
        """Run a statement whose parameters are numbered, with psycopg's adapters and libpq's calls.

        psycopg's cursor takes twice the time: it looks for the parameters in the text each time.

        Raises:
            psycopg.Error: as a cursor does.
        """
        adapted = self._adapted = self._adapted or adapt.Transformer(self)  # once it is told of adapters
        given = adapted.dump_sequence(values, [PyFormat.BINARY] * len(values))
        # psycopg before 3.3 takes formats as a list alone, also where there are none.
        statement, formats = (text.encode(), adapted.types or ()), adapted.formats or []
        if self.prepares and statement in self._known:
            found = self._run_prepared(statement, given, formats)
        else:
            self.pgconn.send_query_params(statement[0], given, statement[1], formats)
            found = self._result()
            if self.prepares:
                self._known[statement] = _Known()
        adapted.set_pgresult(found)
        return Answer(adapted.load_rows(0, found.ntuples, tuple), found.command_tuples or 0)

    def _run_prepared(
        self, statement: _Statement, given: Sequence[abc.Buffer | None], formats: Sequence[Format]
    ) -> PGresult:
        known = self._kept_statement(statement)
        self.pgconn.send_query_prepared(known.name, given, formats)
        try:
            return self._result(known.lookout)
        except InvalidSqlStatementName:  # somebody reset what the server keeps for this connection
            self._known.clear()
            if self.info.transaction_status:
                raise
        self.pgconn.send_query_prepared(self._kept_statement(statement).name, given, formats)
        return self._result()

    def _kept_statement(self, statement: _Statement) -> _Known:
        """Return a statement that this connection keeps prepared, as it does from the second time on."""
        known = self._known.get(statement) or self._known.setdefault(statement, _Known())
        if not known.name:
            if len(self._known) > _KEPT:
                self._known = {statement: known}
                self.execute("DEALLOCATE ALL")
            self._named += 1
            name = b"whisper_%d" % self._named
            self.pgconn.send_prepare(name, *statement)
            self._result()
            known.name = name
        return known

    def _result(self, lookout: Lookout | None = None) -> PGresult:
        found = self._results(lookout)[-1]
        if found.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise error_from_result(found)
        return found

    def _results(self, lookout: Lookout | None) -> list[PGresult]:
        """Return what a question was answered with, as `wait` would: at two thirds of its cost, where that is a lot."""
        if self._readable is None or self.pgconn.flush():
            answers: list[PGresult] = self.wait(execute(self.pgconn))
            return answers
        found: list[PGresult] = []
        until = time.monotonic() + self.patience
        try:
            if lookout is not None:
                lookout.look(self.pgconn, self._readable)
            while (result := self._next_result(self._readable, until)) is not None:
                found.append(result)
        except psycopg.DatabaseError:
            # Done is not committed yet: such an answer is not whole, unless it says what the connection was ended for.
            if all(result.status != ExecStatus.FATAL_ERROR for result in found):
                raise
        return found

    def _next_result(self, readable: select.poll, until: float) -> PGresult | None:
        while self.pgconn.is_busy():
            if not readable.poll(max(0.0, until - time.monotonic()) * 1000):
                raise self._impatient()
            self.pgconn.consume_input()
        return self.pgconn.get_result()

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
