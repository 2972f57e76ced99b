"""A connection whose patience ends: the server ends slow statements, but one that fell silent ends nothing."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from psycopg.errors import ConnectionTimeout

T = TypeVar("T")

#: How much longer than the server's own limit for a statement its answer may take, in seconds.
GRACE: Final = 1.0


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes too long.

    Attributes:
        patience: how long an answer may take, in seconds.
    """

    patience: float

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
