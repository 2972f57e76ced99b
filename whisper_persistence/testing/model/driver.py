"""The reference as a driver, so that it is asked through the same face as every other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar, TypeVar

import attrs

from whisper_persistence.hookspecs import CONTRACT_VERSION, PROJECT, Below, hookimpl
from whisper_persistence.records import (
    Message,
    Page,
    Question,
    Revision,
    State,
    Thing,
    TierHealth,
    TierReport,
)
from whisper_persistence.testing.model import asking
from whisper_persistence.testing.model.space import Space
from whisper_persistence.testing.model.talk import TalkModel

T = TypeVar("T")


def _in_turn(driver_class: type[T]) -> type[T]:
    """Let every hook but `open` have the space for itself, whose parts it reads first and replaces then."""

    def alone(hook: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(hook)
        def asked(self: ModelDriver, *arguments: Any) -> Any:
            with self.space.turn:
                return hook(self, *arguments)

        return asked

    hooks = {name: getattr(driver_class, name) for name in dir(driver_class) if name != "open"}
    for name, hook in hooks.items():
        if hasattr(hook, f"{PROJECT}_impl"):
            setattr(driver_class, name, alone(hook))
    return driver_class


@_in_turn
@attrs.define(eq=False)
class ModelDriver(TalkModel):
    """The reference for every driver; it keeps no pending work for followers and never expires anything.

    Attributes:
        spaces: what each namespace holds; handed to another instance, it is a restart.
    """

    spaces: dict[str, Space] = attrs.field(factory=dict[str, Space])
    contract_version: ClassVar[int] = CONTRACT_VERSION
    namespace: str = attrs.field(default="", init=False)

    @hookimpl
    def open(self, below: Below, namespace: str) -> None:
        """Find the namespace's space."""
        self.namespace = namespace
        self.space = self.spaces.setdefault(namespace, Space())

    @hookimpl
    def check_health(self) -> tuple[TierHealth, ...]:
        """Say that it is up."""
        return (TierHealth("model", State.UP, 0.0),)

    @hookimpl
    def load_revisions(self, things: Sequence[Thing]) -> dict[Thing, Revision]:
        """Return the revisions of users and conversations."""
        return {thing: self.space.revisions[thing] for thing in things if thing in self.space.revisions}

    @hookimpl
    def scan(self, kind: str, cursor: str | None, limit: int) -> Page:
        """Walk through every record of one kind."""
        records = self._all(kind)
        end = int(cursor or 0) + limit
        return Page(tuple(records[end - limit : end]), str(end) if end < len(records) else None)

    @hookimpl
    def scan_messages(self, user_id: str, cursor: str | None, limit: int) -> Page:
        """Walk through the messages of one user."""
        wrote = [m for m in self._all("messages") if user_id in (m.user_id, m.role == "user" and m.author_id)]
        end = int(cursor or 0) + limit
        return Page(tuple(wrote[end - limit : end]), str(end) if end < len(wrote) else None)

    @hookimpl
    def erase_users(self, user_ids: Sequence[str]) -> tuple[TierReport, ...]:
        """Forget users."""
        for user in dict.fromkeys(user_ids):
            for table in self._tables():
                table.pop(user, None)
            self.space.raise_revision("user", user, epochs=1)
        gone = [self._erase_from(talk, frozenset(user_ids)) for talk in self.space.messages]
        return (TierReport("model", {"messages": sum(gone)}),)

    @hookimpl
    def aggregate(self, question: Question[Any]) -> Any:
        """Answer one question."""
        return asking.answer(self.space, self.namespace, question)

    def _erase_from(self, talk: str, users: frozenset[str]) -> int:
        def concerns(message: Message) -> bool:
            return message.user_id in users or (message.role == "user" and message.author_id in users)

        before = self.space.messages[talk]
        self.space.messages[talk] = [message for message in before if not concerns(message)]
        gone = len(before) - len(self.space.messages[talk])
        if gone:
            self.space.raise_revision("conversation", talk)
        return gone

    def _tables(self) -> tuple[dict[str, Any], ...]:
        space = self.space
        return space.strategies, space.outcomes, space.statistics, space.scores, space.patterns, space.preferences

    def _all(self, kind: str) -> list[Any]:
        walks: Mapping[str, Callable[[], list[Any]]] = {
            "strategies": lambda: list(self.space.strategies.values()),
            "outcomes": lambda: [item for user in self.space.outcomes.values() for item in user],
            "statistics": lambda: [self.measured(user) for user in self.space.statistics],
            "scores": lambda: [item for user in self.space.scores.values() for item in user.values()],
            "patterns": lambda: [item for user in self.space.patterns.values() for item in user.values()],
            "preferences": lambda: list(self.space.preferences.values()),
            "messages": lambda: [item for talk in self.space.messages.values() for item in talk],
        }
        return walks[kind]()
