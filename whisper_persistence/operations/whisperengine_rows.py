"""Rows of the earlier attempt's tables: known fields by our names, everything else by its column."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

import attrs
import msgspec

from whisper_persistence.errors import ValidationError

#: The columns that a field of ours may stand in, the first that is there taken.
Synonyms = Mapping[str, tuple[str, ...]]

#: Columns that hold many fields as one JSON object, in some of the shapes.
_NESTED: Final = ("data", "payload", "pattern_data", "profile_data", "statistics_data", "strategy_data")
_USER: Final = ("user_id", "user", "discord_user_id")


@attrs.define
class TableReport:
    """What became of the rows of a table.

    Attributes:
        rows: how many were read.
        taken: how many of them were brought in.
        left: how many were not, by reason.
        extra: columns that were kept in ``extra`` as they are.
    """

    rows: int = 0
    taken: int = 0
    left: Counter[str] = attrs.field(factory=Counter[str])
    extra: set[str] = attrs.field(factory=set[str])

    def leave(self, reason: str, rows: int = 1) -> None:
        """Note rows that were not brought in."""
        self.left[reason] += rows


@attrs.frozen
class Row:
    """One row.

    Attributes:
        user_id: whom it is about.
        known: what it says in fields that we know, by our names; ``None`` is left out.
        extra: what else it says, as JSON.
    """

    user_id: str
    known: dict[str, Any] = attrs.field(repr=False)
    extra: dict[str, Any] = attrs.field(repr=False)


def row_of(columns: Mapping[str, Any], synonyms: Synonyms) -> Row:
    """Return a row by our names.

    Raises:
        ValidationError: it does not say whom it is about.
    """
    plain = {name: value for name, value in _flat(columns).items() if value is not None}
    user_id = next((str(plain.pop(name)) for name in _USER if plain.get(name) not in (None, "")), None)
    if user_id is None:
        raise ValidationError("user_id", "is missing")
    known: dict[str, Any] = {}
    for field, names in synonyms.items():
        found = next((name for name in names if name in plain), None)
        if found is not None:
            known[field] = plain.pop(found)
    return Row(user_id, known, {name: to_json(value) for name, value in plain.items()})


def decoded(value: Any) -> Any:
    """Return JSON that a column holds as text; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def to_json(value: Any) -> Any:
    """Return a column's value as JSON can say it: NaN and infinity become null, unknown types become text."""
    value = decoded(value)
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in cast("Iterable[Any]", value)]
    return msgspec.to_builtins(value, enc_hook=str)


def to_names(value: Any) -> tuple[str, ...]:
    """Return names: of a list, the keys of an object, or the one that a text is; each once."""
    found = decoded(value)
    listed = [found] if isinstance(found, str) else cast("Iterable[Any]", found) if _is_many(found) else ()
    return tuple(dict.fromkeys(name for name in listed if isinstance(name, str) and name))


def to_table(value: Any) -> dict[str, Any]:
    """Return an object; anything else becomes an empty one."""
    found = to_json(value)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def to_number(value: Any) -> float | None:
    """Return a finite number, or ``None``."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def to_share(value: Any) -> float | None:
    """Return a number from 0 to 1, the nearer end for one beyond; the earlier attempt let confidence exceed 1."""
    number = to_number(value)
    return None if number is None else min(max(number, 0.0), 1.0)


def to_count(value: Any) -> int:
    """Return a whole number from 0 up; anything else counts as 0."""
    return max(0, min(round(to_number(value) or 0), 2**62))


def to_moment(value: Any) -> datetime | None:
    """Return a time, one without a zone read as UTC, or ``None`` for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _flat(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with what is nested in one; a column of its own is stronger."""
    plain: dict[str, Any] = {name.lower(): value for name, value in columns.items()}
    for name in _NESTED:
        inner = decoded(plain.get(name))
        if isinstance(inner, dict):
            del plain[name]
            plain = {**cast("dict[str, Any]", inner), **{key: item for key, item in plain.items() if item is not None}}
    return plain


def _is_many(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict))
