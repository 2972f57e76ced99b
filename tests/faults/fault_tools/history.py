"""What was acknowledged, and whether what is stored in the end agrees with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs

from fault_tools.machine import Machine
from whisper_persistence import Message, StorageUnavailableError, Store, StrategyChange, Window
from whisper_persistence.errors import PersistenceError
from whisper_persistence.testing import samples

_ALL = 100_000
#: How many messages a window shows that a cache may answer.
_RECENT = 40
#: How long what is on no bot's path may take, in seconds.
_PATIENCE = 30.0


@attrs.define(eq=False)
class History:
    """The operations of several processes, and how each ended.

    Attributes:
        limit: how long a call may take, in seconds.
        machine: tells how late the machine itself is.
        said: acknowledged messages by process and conversation, in order.
        maybe: messages and changes whose call raised, so that they may be there or not.
        learned: acknowledged changes by process and user.
        tried: all changes by user.
        gone: messages acknowledged before an erase of their user began.
    """

    limit: float
    machine: Machine
    said: dict[tuple[int, str], list[str]] = attrs.field(factory=dict[tuple[int, str], list[str]])
    contents: dict[str, str] = attrs.field(factory=dict[str, str])
    users: dict[str, str] = attrs.field(factory=dict[str, str])
    maybe: set[str] = attrs.field(factory=set[str])
    learned: dict[tuple[int, str], int] = attrs.field(factory=dict[tuple[int, str], int])
    tried: dict[str, int] = attrs.field(factory=dict[str, int])
    erased: set[str] = attrs.field(factory=set[str])
    gone: set[str] = attrs.field(factory=set[str])
    number: int = 0

    def say(self, store: Store, process: int, talk: str, user: str, count: int = 1) -> None:
        """Append messages, and note whether they were acknowledged."""
        messages: list[Message] = []
        for _ in range(count):
            self.number += 1
            key = f"m{self.number}"
            self.contents[key], self.users[key] = f"words of {key} \N{SNOWMAN}", user
            messages.append(Message(talk, user, user, self.contents[key], message_id=key))
        ids = [message.message_id for message in messages]
        if self._timed(lambda: store.save_messages(messages)) is None:
            self.maybe.update(ids)
        else:
            self.said.setdefault((process, talk), []).extend(ids)

    def learn(self, store: Store, process: int, user: str) -> None:
        """Count one outcome, and note whether it was acknowledged."""
        self.tried[user] = self.tried.get(user, 0) + 1
        if self._timed(lambda: store.update_strategies([StrategyChange(user, [samples.outcome(0.9)])])):
            self.learned[process, user] = self.learned.get((process, user), 0) + 1

    def look(self, store: Store, process: int, talk: str, *, recent: bool = False) -> None:
        """Read a conversation: whatever this process was acknowledged must be in it, once and in order."""
        window = Window(talk, _RECENT if recent else _ALL)
        found = self._timed(lambda: store.load_messages([window]))
        if found is not None and len(found.get(window, ())) < window.limit:
            own = [one for one in self.said.get((process, talk), []) if self.users[one] not in self.erased]
            self._in_order([message.message_id for message in found.get(window, ())], own)

    def recall(self, store: Store, process: int, user: str) -> None:
        """Read what was learned: whatever this process was acknowledged must be counted."""
        found = self._timed(lambda: store.load_strategies([user]))
        if found is not None:
            counted = found[user].interventions if user in found else 0
            assert self.learned.get((process, user), 0) <= counted <= self.tried.get(user, 0)

    def erase(self, store: Store, user: str) -> None:
        """Erase a user; what was acknowledged before must not come back."""
        self.gone |= {one for ids in self.said.values() for one in ids if self.users[one] == user}
        self.erased.add(user)
        assert self._timed(lambda: store.erase_users([user]), _PATIENCE) is not None

    def check(self, store: Store) -> None:
        """Compare with what is stored once nothing waits any more."""
        for talk in {talk for _, talk in self.said}:
            window = Window(talk, _ALL)
            messages = _surely(lambda window=window: store.load_messages([window])).get(window, ())
            found = [message.message_id for message in messages]
            for (_, spoken), ids in self.said.items():
                if spoken == talk:
                    self._in_order(found, [one for one in ids if self.users[one] not in self.erased])
            assert not self.gone & set(found), "erased text came back"
            assert set(found) <= self.contents.keys()
            assert all(message.content == self.contents[message.message_id] for message in messages)
        for user in {user for _, user in self.learned}:
            learned = sum(count for (_, of), count in self.learned.items() if of == user)
            counted = _surely(lambda user=user: store.load_strategies([user])).get(user)
            if user not in self.erased:
                assert counted is not None
                assert learned <= counted.interventions <= self.tried[user]
                assert learned == counted.interventions or self.tried[user] > learned

    def _in_order(self, found: list[str], wanted: list[str]) -> None:
        assert len(found) == len(set(found)), "a message is there twice"
        places = {one: place for place, one in enumerate(found)}
        missing = [one for one in wanted if one not in places]
        assert not missing, f"acknowledged and not there: {missing}"
        order = [places[one] for one in wanted]
        assert order == sorted(order), "not in the order in which it was acknowledged"

    def _timed(self, call: Callable[[], Any], limit: float | None = None) -> Any:
        began = self.machine.clock()
        try:
            return call()
        except StorageUnavailableError:
            return None
        except PersistenceError as error:
            raise AssertionError(f"an outage looked like {type(error).__name__}") from error
        finally:
            assert self.machine.clock() - began < (limit or self.limit) + 1.0, "a call took longer than it may"


def _surely(load: Callable[[], Any]) -> Any:
    """Load, and again where a connection was met that had been cut before everything was healed."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return load()
        except StorageUnavailableError:
            assert time.monotonic() < end, "what is healed does not answer"
            time.sleep(0.01)
