"""The kinds of field that records are made of.

A kind is a type with the check of what is legal for it. Records are built without being checked, because drivers build
many of them from rows they can trust; the store's face calls `whisper_persistence.validation.validate` on what a
caller hands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

import uuid_utils

from whisper_persistence.records import checks

#: Scores are kept as whole numbers of this unit, so that sums never drift.
SCORE_UNITS: Final = 1_000_000_000

#: Non-empty text of at most `checks.MAX_ID_BYTES`.
Id = Annotated[str, checks.check_id]
#: Short text that may be empty, such as a name or a kind.
Label = Annotated[str, checks.check_label]
#: A key of a free-form JSON field.
Key = Annotated[str, checks.check_key]
#: Text of at most `checks.MAX_TEXT_BYTES`.
Text = Annotated[str, checks.check_text]
#: An aware time; any zone is turned into UTC.
Moment = Annotated[datetime, checks.check_moment]
#: A span of time that is not negative.
Age = Annotated[timedelta, checks.check_age]
#: A number between 0 and 1, quantised to 1e-9.
Score = Annotated[float, partial(checks.check_number, low=0, high=1)]
#: A finite number that is not negative, quantised to 1e-9.
Rate = Annotated[float, partial(checks.check_number, low=0, high=1e6)]
#: Numbers between 0 and 1 by name.
Scores = Annotated[dict[str, float], partial(checks.check_table, member=partial(checks.check_number, low=0, high=1))]
#: Numbers between -1 and 1 by name.
Shifts = Annotated[dict[str, float], partial(checks.check_table, member=partial(checks.check_number, low=-1, high=1))]
#: A whole number from 0 up.
Whole = Annotated[int, partial(checks.check_whole, low=0)]
#: A whole number from 1 up.
Positive = Annotated[int, partial(checks.check_whole, low=1)]
#: Whole numbers by name; they may be negative.
Wholes = Annotated[dict[str, int], partial(checks.check_table, member=partial(checks.check_whole, low=-checks.INT64))]
#: Conversation id and message id of some messages.
Keys = Annotated[tuple[tuple[str, str], ...], checks.check_keys]
#: Free-form JSON of at most `checks.MAX_JSON_BYTES`.
JsonObject = Annotated[dict[str, Any], checks.check_object]
#: Sequences of members or keys by the name of their field.
Removals = Annotated[dict[str, Sequence[str]], checks.check_removals]

#: Makes a new, empty mapping; ``dict[str, Any]`` would too, in ten times the time.
new_table: Final[Callable[[], dict[str, Any]]] = dict


def new_id() -> str:
    """Return a new time-ordered identifier (UUID version 7)."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def to_utc(value: datetime) -> datetime:
    """Return an aware moment in UTC; anything else as it is, for the check to refuse."""
    if value.__class__ is datetime and value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC) if isinstance(value, datetime) and value.utcoffset() is not None else value
    except OverflowError:
        return value


def to_units(score: float) -> int:
    """Return a score in whole units of 1e-9."""
    return round(score * SCORE_UNITS)


def from_units(units: int) -> float:
    """Return the score that `to_units` turned into ``units``."""
    return units / SCORE_UNITS


def quantise(value: float) -> float:
    """Return a number rounded to whole units of 1e-9; anything else as it is, for the check to refuse."""
    if isinstance(value, (float, int)) and not isinstance(value, bool) and abs(value) <= 1e6:
        return from_units(to_units(float(value)))
    return value


def quantise_values(value: Mapping[str, float]) -> dict[str, float]:
    """Return a mapping whose numbers are quantised; anything else as it is, for the check to refuse."""
    return {key: quantise(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def to_tuple(value: Iterable[Any]) -> tuple[Any, ...]:
    """Return a list as a tuple; anything else as it is, for the check to refuse."""
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]
