"""What kinds of memory matter to a user (patterns), and what the user wishes (preferences)."""

from __future__ import annotations

import attrs

from whisper_persistence.records import checks, fields
from whisper_persistence.records.fields import Id, JsonObject, Key, Label, Moment, Score, Whole


@attrs.frozen
class Pattern:
    """A kind of memory that was seen to matter to a user.

    Attributes:
        user_id: to whom.
        pattern_id: which pattern; unique among the user's.
        pattern_type: a word for its kind, such as ``emotional`` or ``topic``.
        keywords: words it was recognised by, in the order they were seen; the newest `checks.MAX_MEMBERS`.
        frequency: how often it was seen.
        confidence_sum: the sum of the observations' confidence, in units of 1e-9.
        importance_sum: the sum of the observations' importance, in units of 1e-9.
        first_seen, last_seen: the earliest and latest observation.
        extra: fields this version does not know.
    """

    user_id: Id
    pattern_id: Id
    pattern_type: Label = ""
    keywords: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple, repr=False)
    frequency: Whole = 0
    confidence_sum: Whole = 0
    importance_sum: Whole = 0
    first_seen: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    last_seen: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)

    def confidence(self) -> float:
        """Return the mean confidence of the observations, 0 to 1."""
        return fields.from_units(self.confidence_sum) / self.frequency if self.frequency else 0.0

    def importance(self) -> float:
        """Return the mean importance of the observations, 0 to 1."""
        return fields.from_units(self.importance_sum) / self.frequency if self.frequency else 0.0


@attrs.frozen
class PatternChange:
    """A pattern was seen once more.

    Attributes:
        user_id: about whom.
        pattern_id: which pattern.
        confidence: how sure the observation is, 0 to 1.
        importance: how much what was seen matters, 0 to 1.
        pattern_type: its kind; empty keeps the stored one.
        keywords: words to add.
        extra: entries to set.
        timestamp: when it was seen.
        change_id: unique; applying one change twice equals once.
    """

    user_id: Id
    pattern_id: Id
    confidence: Score = attrs.field(default=0.5, converter=fields.quantise)
    importance: Score = attrs.field(default=0.5, converter=fields.quantise)
    pattern_type: Label = ""
    keywords: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple, repr=False)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    change_id: Id = attrs.field(factory=fields.new_id)

    def apply_to(self, record: Pattern | None) -> Pattern:
        """Return ``record`` as it is after this observation; ``None`` stands for a pattern never seen before."""
        before = record or Pattern(self.user_id, self.pattern_id, first_seen=self.timestamp, last_seen=self.timestamp)
        return attrs.evolve(
            before,
            pattern_type=self.pattern_type or before.pattern_type,
            keywords=tuple(dict.fromkeys((*before.keywords, *self.keywords)))[-checks.MAX_MEMBERS :],
            frequency=before.frequency + 1,
            confidence_sum=before.confidence_sum + fields.to_units(self.confidence),
            importance_sum=before.importance_sum + fields.to_units(self.importance),
            first_seen=min(before.first_seen, self.timestamp),
            last_seen=max(before.last_seen, self.timestamp),
            extra={**before.extra, **self.extra},
        )


@attrs.frozen
class Preferences:
    """What a user wishes to be remembered, or not.

    Attributes:
        user_id: whose wishes.
        values: the wishes by name, any JSON.
        last_updated: when they last changed.
        extra: fields this version does not know.
    """

    user_id: Id
    values: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    last_updated: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)


@attrs.frozen
class PreferencesChange:
    """A user said what to remember, or not.

    Attributes:
        user_id: whose wishes.
        values: wishes to set, by name.
        removed: names of wishes to take away, before ``values`` are set.
        extra: entries to set.
        timestamp: when it was said.
        change_id: unique; applying one change twice equals once.
    """

    user_id: Id
    values: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    removed: tuple[Key, ...] = attrs.field(default=(), converter=fields.to_tuple, repr=False)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    change_id: Id = attrs.field(factory=fields.new_id)

    def apply_to(self, record: Preferences | None) -> Preferences:
        """Return ``record`` as it is after this change; ``None`` stands for a user who wished nothing yet."""
        before = record or Preferences(self.user_id, last_updated=self.timestamp)
        kept = {name: value for name, value in before.values.items() if name not in self.removed}
        return attrs.evolve(
            before,
            values={**kept, **self.values},
            last_updated=max(before.last_updated, self.timestamp),
            extra={**before.extra, **self.extra},
        )
