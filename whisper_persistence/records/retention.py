"""How long records are kept."""

from __future__ import annotations

from datetime import datetime

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.fields import Age, Id, Moment, Positive
from whisper_persistence.records.kinds import RecordKind


@attrs.frozen
class Retention:
    """How long, and how many, records of one kind are kept.

    A message is of the user whom it concerns, and of the user who wrote it. What is older than ``max_age`` goes, and
    what is not among the newest ``max_per_thing``; a record goes when any policy of a call lets it go, and all of them
    look at what was there before the call. Outcomes, scores and messages are counted in the order of their sequence,
    patterns in that of their last observation; of what a user has one of, one is never too many. Expired scores leave
    the statistics as forgotten ones do, and statistics stay as long as any of their scores; an expired outcome stays in
    what its strategy learned from it.

    Attributes:
        kind: which kind, one of `RECORD_KINDS`.
        max_age: older ones expire; ``None`` for no limit of age.
        max_per_thing: the newest so many of a user or conversation stay; ``None`` for no limit of number.
        now: the moment that ages are counted from.
        user_ids: only records of these users go; empty for those of all.
        kept_users: no record of these users goes, whatever else is said.
        limit: at most this many records of the kind go in one call, of those that would; ``None`` for all. Of several
            policies of one kind the smallest counts. A call that reaches it is one of several: rewriting files without
            deleted bytes may be left to the last, which does not.
    """

    kind: RecordKind
    max_age: Age | None = None
    max_per_thing: Positive | None = None
    now: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    kept_users: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    limit: Positive | None = None

    def oldest(self) -> datetime | None:
        """Return the earliest moment that is kept, or ``None`` where age does not matter."""
        if self.max_age is None:
            return None
        try:
            return self.now - self.max_age
        except OverflowError:
            return None

    def drops(self, moment: datetime, place: int, user_id: str, author_id: str | None = None) -> bool:
        """Say whether a record goes.

        Args:
            moment: its time.
            place: its place among all of its user or conversation, 1 for the newest.
            user_id: whom it concerns.
            author_id: the user who wrote it, where that is another one.
        """
        owners = {user_id, author_id}
        if not owners.isdisjoint(self.kept_users) or (self.user_ids and owners.isdisjoint(self.user_ids)):
            return False
        oldest = self.oldest()
        too_many = self.max_per_thing is not None and place > self.max_per_thing
        return too_many or (oldest is not None and moment < oldest)
