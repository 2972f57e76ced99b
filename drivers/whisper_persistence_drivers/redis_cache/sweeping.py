"""Removing from Redis what is worth nothing: strings of a server's former life, and the idle ones where it is full."""

from __future__ import annotations

from typing import Any, Final

import attrs

from whisper_persistence_drivers.redis_cache import scripts
from whisper_persistence_drivers.redis_cache.exchange import Call, Exchange
from whisper_persistence_drivers.redis_cache.servers import Server, ask, ask_all

#: So many keys a server is asked for at a time.
_STEP: Final = 500
#: Of the strings looked at, one in so many goes where room is needed: the idlest.
_SHARE: Final = 4
#: Room is made until so much of the bound is used.
_ENOUGH: Final = 0.9


@attrs.define(eq=False)
class Sweeper:
    """Looks after the strings that no read comes across. A thread calls it every now and then.

    Attributes:
        exchange: how servers are asked.
        prefix: what our keys begin with.
        max_memory: bytes that a server may use before idle conversations are removed; 0 for no bound.
    """

    exchange: Exchange
    prefix: str
    max_memory: int
    _runs: dict[Server, str] = attrs.field(factory=dict[Server, str], init=False)

    def sweep(self) -> None:
        """Empty servers that were restarted, and make room on those that are full."""
        for server in self.exchange.servers.all():
            run = told(server, "server").get("run_id", "")
            if run and self._runs.get(server) != run and self._empty(server, run):
                self._runs[server] = run
            if run and self.max_memory:
                self._make_room(server)

    def _empty(self, server: Server, run: str) -> bool:
        """Remove the strings of other lives, unless that was done in this one; say whether it is done."""
        mark = f"{self.prefix}swept"
        if ask(server, "GET", mark) == run.encode():
            return True
        cursor = b""
        while cursor != b"0":
            answer = self._scan(server, cursor or b"0")
            if answer is None:
                return False
            cursor, keys = answer
            # Every script removes a string of another life; this one does nothing else.
            self.exchange.run([Call(scripts.DROP, key.decode(), (0, "-", 0)) for key in keys])
        ask(server, "SET", mark, run)
        return True

    def _make_room(self, server: Server) -> None:
        """Remove the idle, those whose life is nearest its end."""
        cursor = b""
        while cursor != b"0" and self._is_full(server):
            answer = self._scan(server, cursor or b"0")
            if answer is None:
                return
            cursor, keys = answer
            left = sorted(zip(ask_all(server, [("PTTL", key) for key in keys]) if keys else (), keys, strict=False))
            gone = ask_all(server, [("UNLINK", key) for _, key in left[: -(-len(left) // _SHARE)]]) if left else []
            self.exchange.counters.add(evictions=sum(gone))

    def _is_full(self, server: Server) -> bool:
        return int(told(server, "memory").get("used_memory", 0)) > self.max_memory * _ENOUGH

    def _scan(self, server: Server, cursor: bytes) -> Any:
        return ask(server, "SCAN", cursor, "MATCH", f"{self.prefix}{{*", "COUNT", _STEP)


def told(server: Server, section: str) -> dict[str, str]:
    """Return what a server says of itself; nothing where it does not answer."""
    lines = (ask(server, "INFO", section) or b"").decode().splitlines()
    return {name: value for name, found, value in (line.partition(":") for line in lines) if found}
