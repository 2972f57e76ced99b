"""How caches, indexes and replicas keep up with the database of record."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.fields import Id, Label, Rate, Text, Whole

#: What a follower can ask to be told about. ``item`` of a `Pending` is the message, memory, pattern or outcome id.
#: ``conversations`` are told of whenever they change, ``amendments`` where they do otherwise than by an append: by an
#: edit, a redaction, a clear mark, an expiry or an erase.
FollowedKind = Literal[
    "strategies",
    "outcomes",
    "statistics",
    "scores",
    "patterns",
    "preferences",
    "messages",
    "conversations",
    "amendments",
]


#: No lease lasts longer, in seconds.
LONGEST_LEASE: Final = 3_600.0

#: What has a revision.
ThingKind = Literal["user", "conversation"]


@attrs.frozen
class Thing:
    """What has a revision: a user or a conversation.

    Attributes:
        kind: ``user`` or ``conversation``.
        thing_id: the user id or conversation id.
    """

    kind: ThingKind
    thing_id: Id


@attrs.frozen
class Revision:
    """How often a user or conversation was changed and erased; all three only grow and survive an erase.

    Attributes:
        revision: raised by every write, edit, mark, expiry and erase.
        epoch: raised by every erase.
        sequence: the newest position given out.
    """

    revision: Whole = 0
    epoch: Whole = 0
    sequence: Whole = 0


@attrs.frozen
class Follower:
    """One that follows the database of record, known to it durably.

    Attributes:
        name: unique in the namespace, such as ``redis`` or ``search-index``.
        kinds: what it wants to be told about, some of `FollowedKind`.
    """

    name: Id
    kinds: tuple[FollowedKind, ...] = attrs.field(converter=fields.to_tuple)


@attrs.frozen
class Pending:
    """Something a follower has not seen yet. It says what changed, not how: read the current record, then clear it.

    Attributes:
        follower: whose it is.
        kind: what kind of record changed.
        thing_id: the user id, or for messages, conversations and amendments the conversation id.
        item: the id of the record within it, or empty.
        revision: the newest revision that changed it.
        fence: that of the `Lease` under which it was worked off; 0 where there is none.
    """

    follower: Id
    kind: FollowedKind
    thing_id: Id
    item: Label = ""
    revision: Whole = 0
    fence: Whole = 0


@attrs.frozen
class Lease:
    """Who alone works off what a follower has not seen, for a while.

    Attributes:
        follower: whose work it is.
        holder: who has it, by a name that nobody else has or ever had; empty where nobody has it.
        fence: raised whenever another one gets it; what was worked off under an older one cannot be cleared any more.
        seconds: for how long, from now on, as the clock of the database counts.
        note: what its holders leave for those who come after them.
    """

    follower: Id
    holder: Label = ""
    fence: Whole = 0
    seconds: Rate = 0.0
    note: Text = attrs.field(default="", repr=False)

    def answer(self, asked: Lease) -> Lease:
        """Return the lease as it is once somebody asked for it; `FollowerSpecs.lease_follower` says what may be asked.

        One with more than `LONGEST_LEASE` to go has run out, too: the clock was put back since.
        """
        seconds = min(asked.seconds, LONGEST_LEASE)
        if asked.holder == self.holder:
            note = asked.note if asked.fence == self.fence else self.note
            return attrs.evolve(self, holder=asked.holder if seconds else "", seconds=seconds, note=note)
        if not seconds or (self.holder and 0.0 < self.seconds <= LONGEST_LEASE):
            return self
        return attrs.evolve(self, holder=asked.holder, fence=self.fence + 1, seconds=seconds)
