"""What every question and every answer has, and the kinds of field that questions are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

import attrs

from whisper_persistence.records import checks

#: Most rows of one answer.
MAX_ROWS: Final = 100_000
#: Longest text in the context of an outcome that outcomes are grouped by, in characters.
MAX_LABEL: Final = 100
#: Where periods are counted from; a Monday, before every moment that a record can carry.
ORIGIN: Final = datetime(1, 1, 1, tzinfo=UTC)


def check_rows(value: Any) -> str | None:
    """Refuse what is not a number of rows from 1 to `MAX_ROWS`."""
    problem = checks.check_whole(value, 1)
    return problem or (None if value <= MAX_ROWS else f"must be at most {MAX_ROWS:,}, not {value:,}")


def check_days(value: Any) -> str | None:
    """Refuse what is not a number of days from 1 to 3,660, ten years."""
    problem = checks.check_whole(value, 1)
    return problem or (None if value <= 3_660 else f"must be at most 3,660, not {value:,}")


#: How many rows an answer may have.
Rows = Annotated[int, check_rows]
#: The length of a period, in days.
Days = Annotated[int, check_days]
#: A number between 0 and 1.
Share = Annotated[float, partial(checks.check_number, low=0, high=1)]
#: How sure an interval is, such as 0.95.
Confidence = Annotated[float, partial(checks.check_number, low=0.5, high=0.9999)]


@attrs.frozen
class Answer:
    """The base of every answer.

    Attributes:
        rows: what was found, of one class of row each.
    """

    rows: tuple[Any, ...] = ()


A_co = TypeVar("A_co", bound=Answer, covariant=True)


@attrs.frozen
class Question(Generic[A_co]):
    """The base of every question that `aggregate` answers: a closed set of typed questions, never SQL from callers.

    Attributes:
        subject: the subject that it is about, or ``None`` for all of them.
    """

    subject: ClassVar[Literal["strategies", "statistics", "conversations"] | None] = None


def period_of(moment: datetime, days: int) -> int:
    """Return the number of the period that a moment lies in, counted from `ORIGIN`; weeks begin on Monday.

    Args:
        moment: an aware moment.
        days: the length of a period.
    """
    return (moment - ORIGIN).days // days


def start_of(period: int, days: int) -> datetime:
    """Return the moment at which a period begins, the inverse of `period_of`."""
    return ORIGIN + timedelta(days=period * days)


def context_label(value: Any) -> str | None:
    """Return the value of an outcome's context as the name of a group, or ``None`` where it makes none.

    A text of at most `MAX_LABEL` characters stands for itself, a number or truth value for its JSON; nothing, longer
    texts, lists and objects make no group.
    """
    if isinstance(value, str):
        return value if len(value) <= MAX_LABEL else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else None
