"""This package, used as its documentation says: records are built, checked and returned within what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data import BATCH, LAST, Line, Turn

from whisper_persistence.discovery import DriverSpec
from whisper_persistence.plugins import Chain
from whisper_persistence.records import (
    MemoryScore,
    Message,
    Outcome,
    StatisticsChange,
    Strategy,
    StrategyChange,
    Window,
)
from whisper_persistence.store import Store


def chain(path: Path) -> Chain:
    """Return a chain of the sqlite driver alone."""
    return Chain.build([DriverSpec("sqlite", {"path": str(path)})])


def messages(turn: Turn) -> tuple[Message, Message]:
    """Return the question and the answer of a turn as an application hands them in."""
    question = Message(turn.conversation, turn.user, turn.user, turn.question)
    return question, Message(
        turn.conversation, turn.user, "bot", turn.answer, role="assistant", in_reply_to=question.message_id
    )


def imported(line: Line) -> Message:
    """Return a message of an import, with the ids and the time of its source."""
    conversation, user, author, role, content, _, moment, key, answers = line
    return Message(conversation, user, author, content, role, key, moment, answers)


def lesson(user: str, number: int) -> StrategyChange:
    """Return that something helped."""
    return StrategyChange(user, (Outcome(f"i{number}", "gentle_check_in", 0.8),))


def scored(user: str, number: int) -> StatisticsChange:
    """Return that a memory matters."""
    return StatisticsChange(user, (MemoryScore(user, f"memory-{number}", 0.6, {"recency": 0.5}),))


class Ours:
    """`Store` over SQLite."""

    def __init__(self, path: Path) -> None:
        self._store = Store(chain(path))

    def close(self) -> None:
        self._store.close()

    def append(self, turn: Turn) -> None:
        self._store.save_messages(messages(turn))

    def last(self, conversation: str) -> tuple[Message, ...]:
        window = Window(conversation, LAST)
        return self._store.load_messages([window])[window]

    def save(self, profile: dict[str, Any]) -> None:
        self._store.save_strategies([Strategy(**profile)])

    def load(self, user: str) -> Strategy:
        return self._store.load_strategies([user])[user]

    def learn(self, user: str, number: int) -> None:
        self._store.update_strategies([lesson(user, number)])

    def score(self, user: str, number: int) -> None:
        self._store.update_statistics([scored(user, number)])

    def pack(self, lines: Sequence[Line]) -> Any:
        return lines

    def fill(self, batches: Sequence[Any]) -> None:
        for batch in batches:
            self._store.save_messages([imported(line) for line in batch])

    def fill_strategies(self, profiles: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(profiles), BATCH):
            self._store.save_strategies([Strategy(**profile) for profile in profiles[start : start + BATCH]])

    def plain_messages(self, answer: Any) -> list[Any]:
        return [(message.author_id, message.role, message.content) for message in answer]

    def plain_strategy(self, answer: Any) -> list[Any]:
        return [answer.user_id, list(answer.effective_approaches), answer.optimal_timing]


class OursAtHand(Ours):
    """The same, where the records of an import are at hand."""

    def pack(self, lines: Sequence[Line]) -> Any:
        return [imported(line) for line in lines]

    def fill(self, batches: Sequence[Any]) -> None:
        for batch in batches:
            self._store.save_messages(batch)
