"""One exchange with Redis: scripts sent together, and their answers fetched later, while something else is asked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final

import attrs

from whisper_persistence_drivers.breaker import Outcome
from whisper_persistence_drivers.redis_cache.counters import Counters
from whisper_persistence_drivers.redis_cache.servers import Server, Servers, give_back, judged

#: So many scripts travel together; more would keep a server busy for longer than its deadline.
TOGETHER: Final = 50


@attrs.frozen(eq=False)
class Script:
    """A script that servers keep under its hash.

    Attributes:
        body: in Lua.
    """

    body: str
    sha: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Work out the hash by which Redis knows the script."""
        object.__setattr__(self, "sha", hashlib.sha1(self.body.encode(), usedforsecurity=False).hexdigest())


@attrs.frozen(eq=False)
class Call:
    """One script to run on one key."""

    script: Script
    key: str
    arguments: tuple[Any, ...]

    def command(self, run: bytes, *, whole: bool) -> tuple[Any, ...]:
        """Return the command for a server of this run id, with the script itself or with its hash."""
        name, text = ("EVAL", self.script.body) if whole else ("EVALSHA", self.script.sha)
        return name, text, 1, self.key, *self.arguments, run


@attrs.define(eq=False)
class _Talk:
    """What was sent to one server, whose answers are still to come."""

    server: Server
    ticket: int
    connection: Any = None
    positions: Sequence[int] = ()

    @classmethod
    def begin(cls, server: Server, positions: list[int], calls: Sequence[Call], *, whole: bool) -> _Talk | None:
        ticket = server.breaker.enter()
        if ticket is None:
            return None
        talk = cls(server, ticket, positions=positions)
        return talk if talk.say(calls, whole=whole) else None

    def say(self, calls: Sequence[Call], *, whole: bool) -> bool:
        """Send calls, and say whether that went well; where not, no answer comes, and the talk is over."""
        from redis.exceptions import ConnectionError as LostError
        from redis.exceptions import RedisError

        outcome, well = Outcome.UNKNOWN, False
        try:
            connection = self.connection = self.server.pool.get_connection()
            run = connection.run
            connection.send_packed_command(connection.pack_commands([call.command(run, whole=whole) for call in calls]))
            if connection.run is not run:
                raise LostError
            well = True
        except (RedisError, OSError) as error:
            outcome = judged(self.server, error)
        finally:
            if not well:
                give_back(self.server, self.ticket, self.connection, outcome, spent=False)
        return well

    def answers(self, patience: float) -> list[Any]:
        """Return an answer for each position; ``None`` from the first on that did not come."""
        from redis.exceptions import AskError, MovedError, NoScriptError, RedisError
        from redis.exceptions import TimeoutError as PassedDeadlineError

        found: list[Any] = []
        outcome, until = Outcome.UNKNOWN, time.monotonic() + patience
        try:
            for _ in self.positions:
                if found and time.monotonic() > until:
                    raise PassedDeadlineError
                try:
                    found.append(self.connection.read_response(disconnect_on_error=True))
                except (NoScriptError, MovedError, AskError) as error:
                    found.append(error)
            outcome = Outcome.OK
        except (RedisError, OSError) as error:
            outcome = judged(self.server, error)
        finally:
            give_back(self.server, self.ticket, self.connection, outcome, spent=outcome is Outcome.OK)
        return found + [None] * (len(self.positions) - len(found))


@attrs.define(eq=False)
class Sent:
    """Calls that were sent, and whose answers are still to come."""

    _exchange: Exchange
    _calls: list[Call]
    _talks: list[_Talk]
    _began: float

    def answers(self) -> list[Any]:
        """Return the answer to each call; ``None`` where Redis gave none. It must be called once, whatever happens."""
        found = self.answers_as_they_are()
        again = [position for position, answer in enumerate(found) if isinstance(answer, Exception)]
        if again:
            answers = self._exchange.repeat([self._calls[position] for position in again])
            for position, answer in zip(again, answers, strict=True):
                found[position] = None if isinstance(answer, Exception) else answer
        self._exchange.counters.took(time.perf_counter() - self._began)
        return found

    def answers_as_they_are(self) -> list[Any]:
        """Return the answer to each call, errors that ask for a repetition among them."""
        found: list[Any] = [None] * len(self._calls)
        while self._talks:
            talk = self._talks.pop()
            for position, answer in zip(talk.positions, talk.answers(self._exchange.patience), strict=True):
                found[position] = answer
        return found


@attrs.define(eq=False)
class Exchange:
    """Runs scripts on the servers that have their keys. Redis being away is no error here, only an answer missing.

    Attributes:
        servers: where keys are.
        counters: what is counted.
        patience: how long to wait for answers, in seconds.
    """

    servers: Servers
    counters: Counters
    patience: float

    def send(self, calls: Sequence[Call], *, whole: bool = False) -> Sent:
        """Send calls, `TOGETHER` at most; with ``whole`` the scripts themselves, for servers that do not know them."""
        began = time.perf_counter()
        talks = [
            _Talk.begin(server, positions, [calls[position] for position in positions], whole=whole)
            for server, positions in self.grouped(calls).items()
        ]
        return Sent(self, list(calls), [talk for talk in talks if talk is not None], began)

    def grouped(self, calls: Sequence[Call]) -> dict[Server, list[int]]:
        """Return the positions of calls by the server that has their keys, if one is known."""
        groups: dict[Server, list[int]] = {}
        for position, call in enumerate(calls):
            server = self.servers.of(call.key)
            if server is not None:
                groups.setdefault(server, []).append(position)
        return groups

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Send any number of calls and return the answer to each; ``None`` where Redis gave none."""
        found: list[Any] = []
        for first in range(0, len(calls), TOGETHER):
            found += self.send(calls[first : first + TOGETHER]).answers()
        return found

    def repeat(self, calls: Sequence[Call]) -> list[Any]:
        """Run calls again, once, after a server did not know their script or has their keys no more."""
        self.servers.moved()
        return self.send(calls, whole=True).answers_as_they_are()
