"""How the index is, in numbers."""

from __future__ import annotations

import time
from typing import Any, Final

from whisper_persistence.errors import PersistenceError
from whisper_persistence.records import State as TierState
from whisper_persistence.records import TierHealth
from whisper_persistence_drivers.recall.state import State
from whisper_persistence_drivers.recall.worker import Worker

#: More pending rows than this are not counted.
_COUNTED: Final = 1_000


def probe(tier: str, state: State, worker: Worker) -> TierHealth:
    """Ask the index how it is, with a deadline, and return what is worth knowing."""
    began = time.perf_counter()
    details = _known(state)
    degraded = bool(worker.problem) or details["set_aside"] > 0 or state.serving is None
    try:
        details["pending"] = len(state.below.load_pending(follower=state.outbox.follower, limit=_COUNTED) or ())
        index = state.index
        if index is not None:
            details["vectors"] = index.child.call("count", state.options.search_timeout)
            details["pid"] = index.child.pid
    except PersistenceError as error:
        details["error"] = str(error)
        degraded = True
    if worker.problem:
        details["error"] = worker.problem
    if state.index is None and state.needs_index():
        degraded = True
    latency = time.perf_counter() - began
    return TierHealth(tier, TierState.DEGRADED if degraded else TierState.UP, latency, details)


def _known(state: State) -> dict[str, Any]:
    since = state.outbox.behind_since
    answers = "index" if state.index else ("scan, because the index is away" if state.needs_index() else "scan")
    return {
        "answers_by": answers,
        "away": state.away,
        "embedder": state.current.identity if state.current else None,
        "searched_embedder": state.serving.identity if state.serving else None,
        "all_embedded": state.filled or not state.owned,
        "owner": state.folder.owner(),
        "owned_here": state.owned,
        "followed": "here" if state.owned else "by another process",
        "lag": time.monotonic() - since if since else 0.0,
        "set_aside": state.outbox.set_aside(),
        "restarts": state.restarts,
        "rebuilds": state.rebuilds,
        "building": state.coming is not None,
    }
