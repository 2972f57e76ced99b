"""An open driver within one process: its connections, its counters, its thread, and its layer once there is one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

from whisper_persistence.errors import StorageUnavailableError
from whisper_persistence.records import State, TierHealth
from whisper_persistence_drivers.redis_cache.exchange import Exchange
from whisper_persistence_drivers.redis_cache.following import Rounds
from whisper_persistence_drivers.redis_cache.layer import Layer
from whisper_persistence_drivers.redis_cache.sweeping import told

_log = logging.getLogger(__name__)

#: How often the thread looks, in seconds, and for how long it works at a time.
_ROUND = 1.0


@attrs.define(eq=False)
class Life:
    """What is open; a forked child needs another one.

    Attributes:
        exchange: how servers are asked.
        build: makes the layer; raises `StorageUnavailableError` while the database below does not answer.
        layer: ``None`` until the database below has answered once.
    """

    exchange: Exchange
    build: Callable[[], Layer]
    layer: Layer | None = attrs.field(default=None, init=False)
    _rounds: Rounds | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def at_hand(self) -> Layer | None:
        """Return the layer if there is one; in a forked child, see to it that there will be."""
        if self._rounds is None:
            with self._lock:
                if self._rounds is None:
                    self._rounds = Rounds(self._round, _ROUND)
                    self._rounds.start()
                    self._rounds.wake()
        return self.layer

    def begin(self) -> None:
        """Make the layer, or leave it to the thread where the database below does not answer."""
        try:
            self.layer = self.build()
        except StorageUnavailableError as error:
            _log.warning("recents wait for the database", extra={"error": type(error).__name__})
        self.at_hand()

    def end(self) -> None:
        """Stop the thread and close every connection."""
        if self._rounds is not None:
            self._rounds.stop()
        if self.layer is not None:
            self.layer.end()
        self.exchange.servers.close()

    def wake(self) -> None:
        """Have the thread look now, since Redis was not told of something."""
        if self._rounds is not None:
            self._rounds.wake()

    def health(self, tier: str) -> TierHealth:
        """Ask every server how it is, once it was told everything."""
        shared = self.layer.flush() if self.layer is not None else {}
        began = time.perf_counter()
        servers = self.exchange.servers.all()
        answers = [told(server, "everything") for server in servers]
        latency = time.perf_counter() - began
        silent = sum(not answer for answer in answers)
        details: dict[str, Any] = {
            **self.exchange.counters.numbers(),
            "servers": len(servers),
            "silent_servers": silent,
            "breaker_openings": sum(server.breaker.opened for server in servers),
            **shared,
        }
        if silent:
            problems = {server.problem for server, answer in zip(servers, answers, strict=True) if not answer}
            details["error"] = f"does not answer ({', '.join(sorted(problems))})"
        if not servers or silent == len(servers):
            return TierHealth(tier, State.DOWN, None, details)
        details["used_memory"] = sum(int(answer.get("used_memory", 0)) for answer in answers)
        details["evicted_keys"] = sum(int(answer.get("evicted_keys", 0)) for answer in answers)
        details["server_version"] = _version(next(answer for answer in answers if answer))
        state = State.UP if self.layer is not None and not silent else State.DEGRADED
        return TierHealth(tier, state, latency, details)

    def _round(self) -> None:
        if self.layer is None:
            self.layer = self.build()
        self.layer.relay.settle(_ROUND)
        self.layer.sweeper.sweep()
        self.layer.reader.recents.near.forget()
        self.layer.tally.tell()


def _version(said: dict[str, str]) -> str:
    if "valkey_version" in said:
        return f"valkey {said['valkey_version']}"
    return f"redis {said.get('redis_version', 'of unknown version')}"
