"""What an operation costs on PostgreSQL, counted and never timed: how often an answer of the server is waited for.

Who makes an operation wait more often on purpose raises its number in the same commit, and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from whisper_persistence_drivers.postgres_connection import PatientConnection

from whisper_persistence import (
    MemoryScore,
    Message,
    Outcome,
    StatisticsChange,
    Store,
    Strategy,
    StrategyChange,
    Window,
)


def talk(turns: int) -> list[Message]:
    return [Message("talk", "alice", author, "How are you?") for _ in range(turns) for author in ("alice", "bot")]


#: Round trips of each operation, once its statements are prepared and its user is known.
TRIPS: Final[dict[str, tuple[Callable[[Store, int], Any], int]]] = {
    "append a turn": (lambda store, _: store.save_messages(talk(1)), 1),
    "import a batch": (lambda store, _: store.save_messages(talk(500)), 1),
    "last 20": (lambda store, _: store.load_messages([Window("talk")]), 1),
    "load a strategy": (lambda store, _: store.load_strategies(["alice"]), 1),
    "save a strategy": (lambda store, number: store.save_strategies([Strategy("alice", f"{number}")]), 1),
    "learn an outcome": (
        lambda store, number: store.update_strategies([StrategyChange("alice", (Outcome(f"i{number}", "calm", 0.8),))]),
        8,
    ),
    "score a memory": (
        lambda store, number: store.update_statistics(
            [StatisticsChange("alice", (MemoryScore("alice", f"m{number}", 0.6, {}),))]
        ),
        8,
    ),
}


@pytest.mark.parametrize("name", TRIPS)
def test_an_operation_waits_for_the_server_no_more_often_than_it_must(opened, monkeypatch, name) -> None:
    store, (operation, allowed) = opened(pool_size=1), TRIPS[name]
    store.save_messages(talk(10))
    for number in range(8):
        operation(store, number)
    trips, waiting = list[str](), list[str]()
    for method in ("wait", "_results"):
        _count(monkeypatch, method, trips, waiting)
    operation(store, 100)

    assert 0 < len(trips) <= allowed


def _count(monkeypatch: pytest.MonkeyPatch, name: str, trips: list[str], waiting: list[str]) -> None:
    """Count what a connection waits for, whichever method does; one that waits through another waits once."""
    method = getattr(PatientConnection, name)

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        if not waiting:
            trips.append(name)
        waiting.append(name)
        try:
            return method(self, *given, **named)
        finally:
            waiting.pop()

    monkeypatch.setattr(PatientConnection, name, counted)
