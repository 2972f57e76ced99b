"""Which server has a key: the one there is, or in a Redis Cluster the one that its map of slots names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from whisper_persistence_drivers.breaker import Breaker, Outcome


@attrs.define(eq=False)
class Server:
    """One Redis server, or the one that Sentinel names at the time.

    Attributes:
        pool: connections to it.
        breaker: whether it may be asked.
        problem: the class of the error that it failed with last.
    """

    pool: Any
    breaker: Breaker = attrs.field(factory=lambda: Breaker("redis"))
    problem: str = ""


class Servers(Protocol):
    """Every server of an installation of Redis."""

    def of(self, key: str) -> Server | None:
        """Return the server that has a key; ``None`` where nobody knows."""
        ...

    def all(self) -> Sequence[Server]:
        """Return every server that has keys; none where nobody knows."""
        ...

    def moved(self) -> None:
        """Note that a key was not where it was looked for."""

    def close(self) -> None:
        """Close every connection."""


@attrs.define(eq=False)
class Single(Servers):
    """One server has every key."""

    _server: Server

    def of(self, key: str) -> Server | None:
        """Return the server."""
        del key
        return self._server

    def all(self) -> Sequence[Server]:
        """Return the server."""
        return [self._server]

    def moved(self) -> None:
        """Nothing: there is no other server."""
        return

    def close(self) -> None:
        """Close every connection."""
        self._server.pool.disconnect()


@attrs.define(eq=False)
class Cluster(Servers):
    """A Redis Cluster, whose map is read when it is first needed, and again once a key was found to have moved.

    A server that was seen once is kept with its breaker, so that a new map does not forget who was silent.
    """

    _pool: Callable[[str, int], Any]
    _known: Sequence[tuple[str, int]]
    _servers: dict[tuple[str, int], Server] = attrs.field(factory=dict[tuple[str, int], Server], init=False)
    _map: list[tuple[int, int, Server]] = attrs.field(factory=list[tuple[int, int, Server]], init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def of(self, key: str) -> Server | None:
        """Return the server whose slots hold a key."""
        from redis.crc import key_slot

        slot = key_slot(key.encode())
        return next((server for first, last, server in self._mapped(waits=False) if first <= slot <= last), None)

    def all(self) -> Sequence[Server]:
        """Return every server that has slots; somebody else who reads the map just now is waited for."""
        return list(dict.fromkeys(server for _, _, server in self._mapped(waits=True)))

    def moved(self) -> None:
        """Read the map again when it is needed next."""
        self._map = []

    def close(self) -> None:
        """Close every connection."""
        for server in list(self._servers.values()):
            server.pool.disconnect()

    def _mapped(self, *, waits: bool) -> list[tuple[int, int, Server]]:
        """Return the map, which is empty where somebody else reads it just now, unless this waits for them."""
        found = self._map
        if found or not self._lock.acquire(blocking=waits):
            return found
        try:
            self._map = self._map or self._read_map()
            return self._map
        finally:
            self._lock.release()

    def _read_map(self) -> list[tuple[int, int, Server]]:
        places = dict.fromkeys([*self._servers, *self._known])
        nothing: list[tuple[int, int, Server]] = []
        return next((found for place in places if (found := self._ask(*place))), nothing)

    def _ask(self, host: str, port: int) -> list[tuple[int, int, Server]]:
        server = self._at(host, port)
        slots = ask(server, "CLUSTER", "SLOTS") or ()
        return [(first, last, self._at(at[0].decode() or host, at[1])) for first, last, at, *_ in slots]

    def _at(self, host: str, port: int) -> Server:
        found = self._servers.get((host, port))
        return found or self._servers.setdefault((host, port), Server(self._pool(host, port)))


def ask(server: Server, *command: Any) -> Any:
    """Return a server's answer to one command, outside a bot's path; ``None`` where it has none to give."""
    return (ask_all(server, [command]) or [None])[0]


def ask_all(server: Server, commands: Sequence[Sequence[Any]]) -> list[Any]:
    """Return a server's answers to some commands, outside a bot's path; none where it does not answer them all."""
    from redis.exceptions import RedisError, ResponseError

    ticket = server.breaker.enter()
    if ticket is None:
        return []
    outcome = Outcome.UNKNOWN
    connection: Any = None
    answers: list[Any] = []
    try:
        connection = server.pool.get_connection()
        connection.send_packed_command(connection.pack_commands(commands))
        answers = [connection.read_response(disconnect_on_error=True) for _ in commands]
        outcome = Outcome.OK
    except (RedisError, OSError) as error:
        outcome, answers = Outcome.OK if isinstance(error, ResponseError) else judged(server, error), []
    finally:
        give_back(server, ticket, connection, outcome, spent=outcome is Outcome.OK and bool(answers))
    return answers


def judged(server: Server, error: Exception) -> Outcome:
    """Return what an error of redis-py means for the breaker, and note it."""
    from redis.exceptions import TimeoutError as PassedDeadlineError

    server.problem = type(error).__name__
    return Outcome.LATE if isinstance(error, PassedDeadlineError) else Outcome.FAILED


def give_back(server: Server, ticket: int, connection: Any, outcome: Outcome, *, spent: bool) -> None:
    """Give a connection back, closed unless every answer was fetched, and tell the breaker how it went."""
    if connection is not None:
        if not spent:
            connection.disconnect()
        server.pool.release(connection)
    server.breaker.leave(ticket, outcome)
