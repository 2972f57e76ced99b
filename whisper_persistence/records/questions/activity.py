"""Questions about when people talk, and whether they come back."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.fields import Id, Moment, Positive
from whisper_persistence.records.questions.base import Answer, Days, Question, Rows


@attrs.frozen
class HourActivity:
    """How much is said in one hour of the week.

    Attributes:
        weekday: 0 for Monday to 6 for Sunday, in UTC.
        hour: 0 to 23, in UTC.
        messages: how many messages users wrote.
        users: how many users.
    """

    weekday: int
    hour: int
    messages: int
    users: int


@attrs.frozen
class HourActivityAnswer(Answer):
    """The answer to `ActivityByHour`.

    Attributes:
        rows: by weekday and hour; hours in which nothing was said are absent.
        hidden: how many hours were left out because too few users are in them.
    """

    rows: tuple[HourActivity, ...] = ()
    hidden: int = 0


@attrs.frozen
class ActivityByHour(Question[HourActivityAnswer]):
    """At which hours of the week do people talk?

    Messages that users wrote are counted, for the user whom each concerns; cleared ones are not.

    Attributes:
        user_ids: only of these users; empty for all.
        since, until: only messages of this time, the first included, the last not.
        minimum_group: hours of fewer users are left out.
    """

    subject: ClassVar = "conversations"

    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    since: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    until: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    minimum_group: Positive = 1


@attrs.frozen
class DayActivity:
    """How much was said on one day.

    Attributes:
        start: when the day began, in UTC.
        messages: how many messages users wrote.
        users: how many users.
    """

    start: datetime
    messages: int
    users: int


@attrs.frozen
class DayActivityAnswer(Answer):
    """The answer to `ActivityByDay`.

    Attributes:
        rows: the earliest day first; days on which nothing was said are absent.
        hidden: how many days were left out because too few users are in them.
    """

    rows: tuple[DayActivity, ...] = ()
    hidden: int = 0


@attrs.frozen
class ActivityByDay(Question[DayActivityAnswer]):
    """How much do people talk from day to day? Counted as by `ActivityByHour`.

    Attributes:
        user_ids: only of these users; empty for all.
        since, until: only messages of this time, the first included, the last not.
        minimum_group: days of fewer users are left out.
        limit: at most this many days, the latest.
    """

    subject: ClassVar = "conversations"

    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    since: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    until: Moment | None = attrs.field(default=None, converter=attrs.converters.optional(fields.to_utc))
    minimum_group: Positive = 1
    limit: Rows = 1_000


@attrs.frozen
class CohortRetention:
    """How many of those who came in one period came again in a later one.

    Attributes:
        start: when the period began in which these users wrote for the first time.
        period: how many periods later; 0 is the first.
        users: how many users came for the first time.
        active: how many of them wrote in the later period.
        rate: their share.
    """

    start: datetime
    period: int
    users: int
    active: int
    rate: float


@attrs.frozen
class RetentionAnswer(Answer):
    """The answer to `RetentionCohorts`.

    Attributes:
        rows: by start and period; periods in which none of them wrote are absent.
        hidden: how many cohorts were left out because too few users are in them.
    """

    rows: tuple[CohortRetention, ...] = ()
    hidden: int = 0


@attrs.frozen
class RetentionCohorts(Question[RetentionAnswer]):
    """Do people come back? Those who wrote for the first time in one period are followed through the later ones.

    Attributes:
        days: the length of a period; 7 for weeks, which begin on Monday, in UTC.
        periods: how many later periods they are followed through.
        cohorts: at most this many, the latest.
        minimum_group: cohorts of fewer users are left out.
    """

    subject: ClassVar = "conversations"

    days: Days = 7
    periods: Rows = 12
    cohorts: Rows = 52
    minimum_group: Positive = 1
