"""What every contestant stores: the same talk and the same strategies, made from numbers alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import attrs

#: How many messages "the last messages" are.
LAST: Final = 20
#: How many items a batch of an import holds.
BATCH: Final = 1_000
#: The long conversation, the one ten times as long, and the one that the growing appends go to.
LONG, LONGER, SHORT = "long", "longer", "short"

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS: Final = "was you the tea garden never again tomorrow mother slept badly über 漢字 laughed quiet promise rain"
_TALK: Final = " ".join(random.Random(1).choices(_WORDS.split(), k=40_000))


@attrs.frozen
class Scale:
    """How much is stored and how often it is measured.

    Attributes:
        users, turns: how many conversations of how many turns each lie in the file.
        long_turns: turns of the long conversation; the longer one has ten times as many.
        strategies: how many users have a strategy.
        imported: messages of the bulk import.
        rounds, calls: rounds in a run, and calls per contestant in a round.
        runs: runs; the median of their ratios is the verdict.
        task_calls: calls of each of the 32 tasks in a round, where there are as many users.
        processes: fresh processes per contestant in a run, for what only a fresh process shows.
    """

    users: int = 10_000
    turns: int = 20
    long_turns: int = 1_000
    strategies: int = 100_000
    imported: int = 100_000
    rounds: int = 20
    calls: int = 25
    runs: int = 3
    task_calls: int = 200
    processes: int = 5


SCALES: Final = {
    "full": Scale(),
    "quick": Scale(users=1_000, strategies=10_000, imported=20_000, rounds=10, runs=1, task_calls=30, processes=3),
    "micro": Scale(40, 12, 20, 50, 2_000, rounds=2, calls=3, runs=1, task_calls=2, processes=1),
}


class Turn(NamedTuple):
    """A question and its answer, as an application holds them before they are stored."""

    conversation: str
    user: str
    question: str
    answer: str
    created: int


class Line(NamedTuple):
    """One message of an import, as a source names it."""

    conversation: str
    user: str
    author: str
    role: Literal["user", "assistant"]
    content: str
    created: int
    moment: datetime
    key: str
    answers: str | None


def text(number: int) -> str:
    """Return the text of this number: 80 to 300 characters."""
    start = number * 7_919 % (len(_TALK) - 300)
    return _TALK[start : start + 80 + number * 31 % 221]


def turn(conversation: str, user: str, number: int) -> Turn:
    """Return the turn of this number."""
    return Turn(conversation, user, text(2 * number), text(2 * number + 1), 1_767_225_600 + number)


def lines(source: Iterator[Turn]) -> Iterator[Line]:
    """Return turns as the messages of an import."""
    for number, (conversation, user, question, answer, created) in enumerate(source):
        moment, key = _START + timedelta(seconds=number), f"m{number}"
        yield Line(conversation, user, user, "user", question, created, moment, key, None)
        yield Line(conversation, user, "bot", "assistant", answer, created, moment, f"{key}a", key)


def user_name(number: int) -> str:
    """Return a user's id; users talk in a conversation of the same name."""
    return f"user-{number:06d}"


def few(scale: Scale) -> int:
    """Return a hundredth of the users."""
    return max(scale.users // 100, 2)


def talk(scale: Scale, users: int) -> Iterator[Turn]:
    """Return everybody's turns, turn by turn across all users, as in life."""
    number = 0
    for position in range(scale.turns):
        long = [(LONG, "ann")] * _share(scale.long_turns, scale.turns, position)
        longer = [(LONGER, "bob")] * _share(10 * scale.long_turns, scale.turns, position)
        everybody = [(user_name(user), user_name(user)) for user in range(users)]
        for conversation, user in (*everybody, *long, *longer):
            yield turn(conversation, user, number)
            number += 1


def profile(number: int, version: int = 0) -> dict[str, Any]:
    """Return one user's strategy: about 1.5 KB of JSON. Versions differ: what did not change is not written."""
    return {
        "user_id": user_name(number),
        "strategy_id": f"strategy-{number}",
        "communication_style": "gentle",
        "effective_approaches": [f"approach_{number + step}" for step in range(6)],
        "approaches_to_avoid": [f"avoid_{number + step}" for step in range(4)],
        "optimal_timing": {"evening": 0.7, "after_work": text(number)[:60]},
        "user_preferences": {"tone": text(number + 1)[:80], "version": version, "pace": "slow"},
        "support_history": [_entry(number, step) for step in range(5)],
        "last_updated": _START,
    }


def _entry(number: int, step: int) -> dict[str, Any]:
    return {
        "intervention_id": f"intervention_{number}_{step}",
        "intervention_style": f"approach_{number + step}",
        "effectiveness_score": 0.5 + step / 10,
        "outcome_type": "successful",
        "timestamp": _START.isoformat(),
    }


def _share(total: int, parts: int, part: int) -> int:
    return total * (part + 1) // parts - total * part // parts
