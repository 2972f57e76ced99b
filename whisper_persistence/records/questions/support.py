"""Questions about what helped whom."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.fields import Id, Label, Moment, Positive
from whisper_persistence.records.questions.base import Answer, Confidence, Days, Question, Rows


@attrs.frozen
class Effectiveness:
    """How well interventions worked.

    Attributes:
        count: how many there were.
        successes: how many reached `SUCCESS_AT`.
        users: with how many users.
        mean: the mean effectiveness, 0 to 1.
        success_rate: the share of successes.
        low, high: between which the true share lies, by `wilson_interval`.
    """

    count: int
    successes: int
    users: int
    mean: float
    success_rate: float
    low: float
    high: float


@attrs.frozen
class ApproachEffectiveness(Effectiveness):
    """How well one approach worked.

    Attributes:
        approach: the style that was tried.
        context: the circumstances, or ``None`` where there were none or none was asked for.
    """

    approach: str = attrs.field(kw_only=True)
    context: str | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class EffectivenessAnswer(Answer):
    """The answer to `EffectivenessByApproach`.

    Attributes:
        rows: the approach of most interventions first, then by approach and context, those without a context first.
        hidden: how many groups were left out because too few users are in them.
    """

    rows: tuple[ApproachEffectiveness, ...] = ()
    hidden: int = 0


@attrs.frozen
class EffectivenessByApproach(Question[EffectivenessAnswer]):
    """Which approaches helped, and in which circumstances?

    Attributes:
        context: the key of `Outcome.context` that outcomes are told apart by, such as ``mood``; see `context_label`.
        user_ids: only of these users; empty for all.
        since, until: only outcomes of this time, the first included, the last not.
        confidence: how sure the intervals are.
        minimum_group: groups of fewer users are left out.
        limit: at most this many rows.
    """

    subject: ClassVar = "strategies"

    context: Label | None = None
    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    since: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    until: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    confidence: Confidence = 0.95
    minimum_group: Positive = 1
    limit: Rows = 100


@attrs.frozen
class PeriodEffectiveness(Effectiveness):
    """How well interventions of one period worked.

    Attributes:
        start: when the period began.
    """

    start: datetime = attrs.field(kw_only=True)


@attrs.frozen
class TrendAnswer(Answer):
    """The answer to `EffectivenessTrend`.

    Attributes:
        rows: the earliest period first; periods without outcomes are absent.
        hidden: how many periods were left out because too few users are in them.
    """

    rows: tuple[PeriodEffectiveness, ...] = ()
    hidden: int = 0


@attrs.frozen
class EffectivenessTrend(Question[TrendAnswer]):
    """Does support get better with time?

    Attributes:
        days: the length of a period; 7 for weeks, which begin on Monday, in UTC.
        approach: only this approach; ``None`` for all.
        user_ids: only of these users; empty for all.
        since, until: only outcomes of this time, the first included, the last not.
        confidence: how sure the intervals are.
        minimum_group: periods of fewer users are left out.
        limit: at most this many periods, the latest.
    """

    subject: ClassVar = "strategies"

    days: Days = 7
    approach: Label | None = None
    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    since: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    until: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    confidence: Confidence = 0.95
    minimum_group: Positive = 1
    limit: Rows = 1_000
