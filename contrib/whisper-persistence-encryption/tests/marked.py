"""Every public write with a mark in every private field."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from whisper_persistence_encryption import new_master_key

from whisper_persistence import Store
from whisper_persistence.records import (
    MemoryScore,
    Message,
    MessageEdit,
    Outcome,
    Pattern,
    PatternChange,
    Preferences,
    PreferencesChange,
    Statistics,
    StatisticsChange,
    Strategy,
    StrategyChange,
)

#: The master key of this test run.
MASTER = new_master_key()


class Marks:
    """Words that occur nowhere else; every call gives a new one."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self._numbers = count()

    def __call__(self) -> str:
        self.given.append(f"unmistakable-{next(self._numbers):04}-word")
        return self.given[-1]

    def json(self) -> dict[str, Any]:
        return {self(): self(), self(): [self(), {self(): 1}]}


def writes(mark: Marks, user: str = "alice", talk: str = "talk") -> list[Callable[[Store], Any]]:
    """Return every write that a store offers, with marks in whatever a person could have written."""
    outcome = Outcome(
        "i1", mark(), 0.9, mark(), outcome_id=f"o-{user}", user_response=mark(), lessons_learned=(mark(), mark()),
        context=mark.json(), extra=mark.json(),
    )  # fmt: skip
    styles = {"effective_approaches": (mark(), mark()), "approaches_to_avoid": (mark(),)}
    wishes = {"optimal_timing": mark.json(), "user_preferences": mark.json(), "extra": mark.json()}
    history: Any = ({"intervention_style": mark(), mark(): mark()},)
    score = MemoryScore(user, "m1", 0.5, score_explanation=mark(), boost_events=(mark(),), extra=mark.json())
    removed = {"effective_approaches": (mark(),), "extra": (mark(),)}
    message = Message(talk, user, user, mark(), message_id=f"m-{user}", author_name=mark(), extra=mark.json())
    style, edit = mark(), MessageEdit(talk, f"m-{user}", mark())
    strategy = Strategy(user, "s", mark(), support_history=history, **styles, **wishes)
    change = StrategyChange(user, (outcome,), mark(), support_history=history, removed=removed, **styles, **wishes)
    return [
        lambda store: store.save_strategies([strategy]),
        lambda store: store.update_strategies([change, StrategyChange(user, (), style)]),
        lambda store: store.save_statistics([Statistics(user, extra=mark.json())]),
        lambda store: store.update_statistics([StatisticsChange(user, (score,), extra=mark.json())]),
        lambda store: store.save_patterns([Pattern(user, "p1", mark(), (mark(),), extra=mark.json())]),
        lambda store: store.update_patterns([PatternChange(user, "p1", 0.5, 0.5, mark(), (mark(),), mark.json())]),
        lambda store: store.save_preferences([Preferences(user, mark.json(), extra=mark.json())]),
        lambda store: store.update_preferences([PreferencesChange(user, mark.json(), (mark(),), mark.json())]),
        lambda store: store.save_messages([message]),
        lambda store: store.update_messages([edit]),
    ]
