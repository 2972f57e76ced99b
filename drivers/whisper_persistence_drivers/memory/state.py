"""What the in-memory driver holds: users, conversations, applied changes and followers.

Records are kept as the JSON text that a database would keep, so that nothing outside can reach into what is stored.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import attrs

from whisper_persistence.records import Durability, Follower, Lease, Receipt
from whisper_persistence.records.following import FollowedKind
from whisper_persistence_drivers.memory.log import Log, MessageRow, Row, ScoreRow

#: Held by every hook of every instance, and across a fork, so that a child never inherits it taken.
LOCK: Final = threading.Lock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)


@attrs.define(eq=False)
class Counted:
    """What has a revision, an epoch and a sequence; all three only grow, and an erase leaves them.

    Attributes:
        revision: raised by every write.
        epoch: raised by every erase.
        sequence: the newest position given out.
    """

    revision: int = 0
    epoch: int = 0
    sequence: int = 0

    def take_sequence(self) -> int:
        """Return the next position."""
        self.sequence += 1
        return self.sequence

    def receipt(self, sequence: int | None = None, repeated: bool | None = None) -> Receipt:
        """Return the receipt of a write that left this as it is now."""
        return Receipt(Durability.VOLATILE, self.revision, self.epoch, sequence, repeated)


@attrs.define(eq=False)
class User(Counted):
    """Everything under one user's id.

    Attributes:
        tables: strategies, statistics, preferences (item ``""``) and patterns (item is the pattern id), by kind.
        outcomes: the learning history.
        scores: the memory scores, in the order of scoring.
        ranking: overall score and memory id of each score, the lowest first.
    """

    tables: dict[FollowedKind, dict[str, str]] = attrs.field(factory=dict[FollowedKind, dict[str, str]])
    outcomes: Log[Row] = attrs.field(factory=Log[Row])
    scores: Log[ScoreRow] = attrs.field(factory=Log[ScoreRow])
    ranking: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])


@attrs.define(eq=False)
class Conversation(Counted):
    """One conversation.

    Attributes:
        messages: its messages.
        cleared: the last sequence that no window shows any more, 0 for none.
    """

    messages: Log[MessageRow] = attrs.field(factory=Log[MessageRow])
    cleared: int = 0


@attrs.define(eq=False)
class State:
    """Everything that one open driver holds.

    Attributes:
        users, conversations: by id, made by their first write; never removed, because their counters survive an erase.
        applied: the ids of all changes that were applied.
        followers: by name.
        erased: how many erases there were.
        erasures: the last erase of each user: its number, who wrote it, their number of it, and when.
        conflicts: records kept beside newer ones, as kind, user id, item and text.
        leases: by follower, each with the moment at which it was as it says.
        clock: seconds that never go back.
        pending: for each follower the newest revision of each kind, thing and item that it has not seen.
    """

    users: defaultdict[str, User] = attrs.field(factory=lambda: defaultdict(User))
    conversations: defaultdict[str, Conversation] = attrs.field(factory=lambda: defaultdict(Conversation))
    applied: set[str] = attrs.field(factory=set[str])
    erased: int = 0
    erasures: dict[str, tuple[int, str, int, datetime]] = attrs.field(factory=dict[str, tuple[int, str, int, datetime]])
    conflicts: list[tuple[str, str, str, str]] = attrs.field(factory=list[tuple[str, str, str, str]])
    followers: dict[str, Follower] = attrs.field(factory=dict[str, Follower])
    leases: dict[str, tuple[Lease, float]] = attrs.field(factory=dict[str, tuple[Lease, float]])
    clock: Callable[[], float] = time.monotonic
    pending: dict[str, dict[tuple[FollowedKind, str, str], int]] = attrs.field(
        factory=dict[str, dict[tuple[FollowedKind, str, str], int]]
    )

    def peek_user(self, user_id: str) -> User:
        """Return a user as they are, or an empty one that is not kept."""
        return self.users.get(user_id) or User()

    def peek_conversation(self, conversation_id: str) -> Conversation:
        """Return a conversation as it is, or an empty one that is not kept."""
        return self.conversations.get(conversation_id) or Conversation()

    def notify(self, kind: FollowedKind, thing_id: str, item: str, revision: int) -> None:
        """Tell every follower of this kind that something changed."""
        for follower in self.followers.values():
            if kind in follower.kinds:
                self.pending[follower.name][kind, thing_id, item] = revision

    def notify_of_amendment(self, conversation_id: str, revision: int) -> None:
        """Tell followers that a conversation changed otherwise than by an append."""
        self.notify("conversations", conversation_id, "", revision)
        self.notify("amendments", conversation_id, "", revision)

    def counts(self) -> Mapping[str, int]:
        """Return how much there is."""
        return {
            "users": len(self.users),
            "conversations": len(self.conversations),
            "messages": sum(len(conversation.messages) for conversation in self.conversations.values()),
            "conflicts": len(self.conflicts),
            "pending": sum(map(len, self.pending.values())),
        }
