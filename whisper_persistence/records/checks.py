"""What is legal in a field: one check a kind of value, the same for every driver.

A check takes a value and returns what is wrong with it, or ``None``. It never repeats a text, because a text may be
somebody's private words.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

#: Longest identifier (user, conversation, message, ...), in bytes of UTF-8.
MAX_ID_BYTES = 512
#: Longest short text that is not an identifier (a name, a kind, a word), in bytes of UTF-8.
MAX_LABEL_BYTES = 1_024
#: Longest text of a message or explanation, in bytes of UTF-8.
MAX_TEXT_BYTES = 1_000_000
#: Largest free-form JSON field, in bytes of UTF-8 (keys and strings, and 8 bytes for every value).
MAX_JSON_BYTES = 64_000
#: Deepest nesting of a free-form JSON field.
MAX_JSON_DEPTH = 32
#: Most members of one sequence field, such as the outcomes of one change.
MAX_MEMBERS = 1_000
#: Most records or changes in one call.
MAX_BATCH = 1_000

#: The fields that `StrategyChange.removed` may name.
REMOVABLE = ("effective_approaches", "approaches_to_avoid", "optimal_timing", "user_preferences", "extra")

INT64 = 1 << 63

Check = Callable[[Any], str | None]


def check_text(value: Any, limit: int = MAX_TEXT_BYTES) -> str | None:
    """Refuse what is not text, holds NUL or a lone surrogate, or is longer than ``limit`` bytes of UTF-8."""
    if type(value) is not str:
        return _no_text(value)
    if "\0" in value:
        return "holds a NUL character, which not every database can keep"
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, which no database can keep"
    return None if size <= limit else f"has {size:,} bytes of UTF-8, more than the {limit:,} allowed"


def _no_text(value: Any) -> str:
    advice = ": use its value" if isinstance(value, enum.Enum) else ": use str(...)" if type(value) is int else ""
    return f"must be text, not {type(value).__name__}{advice}"


def check_id(value: Any) -> str | None:
    """Refuse what cannot be an identifier."""
    return "must not be empty" if value == "" else check_text(value, MAX_ID_BYTES)


def check_moment(value: Any) -> str | None:
    """Refuse what is not an aware moment that records could turn into UTC."""
    if type(value) is not datetime:
        return f"must be a datetime, not {type(value).__name__}"
    if value.utcoffset() is None:
        return "has no time zone: use datetime.now(UTC) or attach one"
    return None if value.tzinfo is UTC else "is before the year 1 or after 9999 in UTC"


def check_age(value: Any) -> str | None:
    """Refuse what is not a span of time, or a negative one."""
    if type(value) is not timedelta:
        return f"must be a timedelta, not {type(value).__name__}"
    return None if value >= timedelta(0) else "must not be negative"


def check_number(value: Any, low: float, high: float) -> str | None:
    """Refuse what is not a finite number between ``low`` and ``high``, both included."""
    if type(value) not in (int, float):
        return f"must be a number, not {type(value).__name__}"
    return None if low <= value <= high else f"must be between {low:g} and {high:g}{_not(value)}"


def check_whole(value: Any, low: int = 0) -> str | None:
    """Refuse what is not a whole number from ``low`` up that fits in 64 bits."""
    if type(value) is not int:
        return f"must be a whole number, not {type(value).__name__}"
    return None if low <= value < INT64 else f"must be between {low} and 2**63 - 1{_not(value)}"


def _not(number: float) -> str:
    """Return the end of a refusal, which shows the number; Python refuses to print the longest ones."""
    return f", not {number!r}" if type(number) is float or abs(number) <= INT64 else ""


def check_json(value: Any) -> str | None:
    """Refuse what is not JSON that every driver returns exactly: finite, 64-bit, string keys, bounded."""
    try:
        size = _json_size(value, MAX_JSON_DEPTH)
    except ValueError as error:
        return str(error)
    return None if size <= MAX_JSON_BYTES else f"has {size:,} bytes, more than the {MAX_JSON_BYTES:,} allowed"


def _json_size(value: Any, depth: int) -> int:
    if depth < 0:
        raise ValueError(f"is nested deeper than {MAX_JSON_DEPTH} levels")
    kind = cast("type", type(value))
    if kind is str:
        return _text_size(value)
    if kind is list:
        return 8 + sum([_json_size(item, depth - 1) for item in value])
    if kind is dict:
        return 8 + sum([_text_size(key) + _json_size(item, depth - 1) for key, item in value.items()])
    return _scalar_size(value, kind)


def _scalar_size(value: Any, kind: type) -> int:
    if kind is int and not -INT64 <= value < INT64:
        raise ValueError("holds a whole number beyond 64 bits")
    if kind is float and not math.isfinite(value):
        raise ValueError("holds a number that is not finite")
    if kind not in (bool, int, float, type(None)):
        raise ValueError(
            f"holds a {kind.__name__}, which is not JSON (allowed: str, int, float, bool, None, list, dict)"
        )
    return 8


def _text_size(value: Any) -> int:
    problem = check_text(value, MAX_JSON_BYTES)
    if problem:
        raise ValueError(f"holds a key or text that {problem}")
    return 8 + (len(value) if value.isascii() else len(value.encode()))


def check_listed(value: Any, member: Check) -> str | None:
    """Refuse what is not a list or tuple of at most `MAX_MEMBERS` legal members, which is what a record may hold."""
    kind = cast("type", type(value))
    return check_members(value, member) if kind in (tuple, list) else _no_list(kind)


def check_members(value: Any, member: Check) -> str | None:
    """Refuse what is not a sequence of at most `MAX_MEMBERS` legal members."""
    problem = check_sequence(value)
    if problem:
        return problem
    members = cast("Sequence[Any]", value)
    if len(members) > MAX_MEMBERS:
        return f"has {len(members):,} members, more than the {MAX_MEMBERS:,} allowed"
    problem = next(filter(None, map(member, members)), None)
    return problem and f"has item {next(place for place, one in enumerate(members) if member(one))}, which {problem}"


def check_sequence(value: Any) -> str | None:
    """Refuse what is not a sequence; a text is one of characters, which nobody means."""
    kind = cast("type", type(value))
    # To ask an abstract class takes as long as all else that is checked of one window.
    if kind in (list, tuple) or (isinstance(value, Sequence) and not isinstance(value, (str, bytes))):
        return None
    return _no_list(kind)


def _no_list(kind: type) -> str:
    several = issubclass(kind, Iterable) and not issubclass(kind, (str, bytes, dict))
    return f"must be a list or tuple, not {kind.__name__}: {'make a list of it' if several else 'put it in a list'}"


def check_table(value: Any, member: Check) -> str | None:
    """Refuse what is not a mapping of identifiers to legal members."""
    if not isinstance(value, dict):
        return f"must be a dict, not {type(value).__name__}"
    table = cast("dict[Any, Any]", value)
    if not table:
        return None
    return check_members(list(table), check_id) or check_members(list(table.values()), member)


def check_object(value: Any) -> str | None:
    """Refuse what is not a JSON object."""
    if type(value) is not dict:
        return f"must be a dict, not {type(value).__name__}"
    return check_json(value) if value else None


def check_choice(value: Any, choices: tuple[str, ...]) -> str | None:
    """Refuse what is not one of ``choices``."""
    if type(value) is not str:
        return _no_text(value)
    return None if value in choices else f"must be one of {', '.join(choices)}"


def check_unless_none(value: Any, check: Check) -> str | None:
    """Refuse what a check refuses, unless it is missing."""
    return None if value is None else check(value)


def check_type(value: Any, record_type: type) -> str | None:
    """Refuse what is not a record of this type."""
    return None if type(value) is record_type else f"must be a {record_type.__name__}, not {type(value).__name__}"


def check_removals(value: Any) -> str | None:
    """Refuse what does not map the names of `REMOVABLE` fields to sequences of keys."""
    problem = check_table(value, lambda members: check_listed(members, check_key))
    unknown = not problem and any(name not in REMOVABLE for name in value)
    return f"names a field that nothing can be removed from (allowed: {', '.join(REMOVABLE)})" if unknown else problem


def check_key(value: Any) -> str | None:
    """Refuse what cannot be a key of a free-form JSON field, whatever can be; it may be empty."""
    return check_text(value, MAX_JSON_BYTES)


def check_label(value: Any) -> str | None:
    """Refuse what is not a short text; it may be empty."""
    return check_text(value, MAX_LABEL_BYTES)


def check_keys(value: Any) -> str | None:
    """Refuse what is not a sequence of at most `MAX_MEMBERS` pairs of identifiers."""
    return check_members(value, _check_pair)


def _check_pair(value: Any) -> str | None:
    if not isinstance(value, tuple) or len(cast("tuple[Any, ...]", value)) != 2:
        return "must be a pair of conversation id and message id"
    return check_members(cast("tuple[Any, ...]", value), check_id)
