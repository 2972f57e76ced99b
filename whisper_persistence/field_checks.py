"""Which check each field of a record class has, by its annotation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import attrs

from whisper_persistence.records import checks


@attrs.frozen
class FieldChecks:
    """How a record class is checked.

    Attributes:
        values: returns a record's values of the fields that are checked.
        checked: the name, check and default of each of these fields.
        nested: the names of fields that hold records.
    """

    values: Callable[[Any], tuple[Any, ...]]
    checked: tuple[tuple[str, checks.Check, Any], ...]
    nested: tuple[str, ...]


@cache
def field_checks(record_type: Any) -> FieldChecks:
    """Return how a record class is checked."""
    hints = get_type_hints(record_type, include_extras=True)
    planned = [(field.name, _check_of(hints[field.name]), field.default) for field in attrs.fields(record_type)]
    checked = tuple((name, check, default) for name, check, default in planned if check)
    nested = [name for name, hint in hints.items() if any(map(attrs.has, (hint, *get_args(hint))))]
    names = [name for name, *_ in checked]
    values: Callable[[Any], tuple[Any, ...]] = (
        attrgetter(*names) if len(names) > 1 else lambda record: tuple(getattr(record, name) for name in names)
    )
    return FieldChecks(values, checked, tuple(nested))


def check_unless_none(value: Any, check: checks.Check) -> str | None:
    """Refuse what a check refuses, unless it is missing."""
    return None if value is None else check(value)


def _check_of(hint: Any) -> checks.Check | None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return cast("checks.Check", arguments[1])
    if origin is Literal:
        return partial(checks.check_choice, choices=arguments)
    if origin is tuple:
        return partial(checks.check_listed, member=cast("checks.Check", _check_of(arguments[0])))
    if origin in (Union, UnionType):
        check = _check_of(arguments[0])
        return partial(check_unless_none, check=check) if check else None
    return partial(checks.check_type, record_type=hint) if isinstance(hint, type) else None
