"""The one check in front of every driver: what passes it, every driver keeps exactly.

The stores disagree on what is legal, and a journal must never hold what the database will refuse.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, partial
from operator import attrgetter
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import checks

if TYPE_CHECKING:
    from whisper_persistence.records import MemoryScore, Outcome, StatisticsChange, StrategyChange

#: So many records are looked at field by field, which takes a third of the time; for few it takes longer.
_MANY: Final = 16


class Validated(tuple[Any, ...]):
    """A batch of which its maker knows that it is legal, and which is therefore not looked at again."""


def validate_batch(records: object, *allowed: type) -> None:
    """Refuse a batch that is not a sequence of at most `MAX_BATCH` legal records.

    Args:
        records: what a caller handed in.
        allowed: the record classes that may be in it.

    Raises:
        ValidationError: names the first field that is not legal.
    """
    if type(records) is Validated:
        return
    _refuse("batch", checks.check_sequence(records))
    batch = cast("Sequence[Any]", records)
    if len(batch) > checks.MAX_BATCH:
        raise ValidationError("batch", f"has {len(batch):,} items, more than the {checks.MAX_BATCH:,} allowed")
    if len(batch) >= _MANY and _surely_legal(batch, allowed):
        return
    for record in batch:
        if type(record) not in allowed:
            raise ValidationError(
                "batch", f"holds {_named(cast('type[Any]', type(record)))} where {_names(allowed)} belongs"
            )
        validate(record)


def _surely_legal(batch: Sequence[Any], allowed: tuple[type, ...]) -> bool:
    """Say whether every record of a batch is legal; one that may not be is to be looked at by itself."""
    from whisper_persistence.columnwise import surely_legal

    kind = cast("Any", type(batch[0]))
    if kind not in allowed or set(map(type, batch)) != {kind}:
        return False
    plan = _plan(kind)
    return not plan.nested and surely_legal(zip(*map(plan.values, batch), strict=True), plan.checked)


def validate_question(question: object, allowed: tuple[type, ...]) -> None:
    """Refuse what is not one legal question of these classes.

    Raises:
        ValidationError: names ``question``, or the first field that is not legal.
    """
    if type(question) not in allowed:
        raise ValidationError("question", f"must be {_names(allowed)}, not {_named(type(question))}")
    validate(question)


def _names(kinds: tuple[type, ...]) -> str:
    names = [kind.__name__ for kind in kinds]
    return f"one of {', '.join(names)}" if len(names) > 1 else _named(kinds[0])


def _named(kind: type[Any]) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def validate(record: Any) -> None:
    """Refuse a record that not every driver could keep exactly.

    Raises:
        ValidationError: names the field, such as ``StrategyChange.outcomes[0].effectiveness_score``.
    """
    found = _find_problem(record)
    if found:
        raise ValidationError(f"{type(record).__name__}.{found[0]}", found[1])


def validate_ids(field: str, ids: object) -> None:
    """Refuse a batch of ids that is not a sequence of at most `MAX_BATCH` legal identifiers.

    Raises:
        ValidationError: names ``field``.
    """
    _refuse(field, checks.check_members(ids, checks.check_id))


def validate_id(field: str, value: object) -> None:
    """Refuse what cannot be an identifier.

    Raises:
        ValidationError: names ``field``.
    """
    _refuse(field, checks.check_id(value))


def validate_texts(texts: object) -> None:
    """Refuse a batch of texts that is not a sequence of at most `MAX_BATCH` legal ones.

    Raises:
        ValidationError: names ``texts``.
    """
    _refuse("texts", checks.check_members(texts, checks.check_text))


def validate_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of ``choices``.

    Raises:
        ValidationError: names ``field``.
    """
    _refuse(field, checks.check_choice(value, choices))


def validate_limit(limit: object) -> None:
    """Refuse a limit that is not a whole number from 1 up.

    Raises:
        ValidationError: names ``limit``.
    """
    _refuse("limit", checks.check_whole(limit, 1))


def validate_cursor(cursor: object) -> None:
    """Refuse what cannot be a cursor; whether it is one, the driver that gave it knows.

    Raises:
        ValidationError: names ``cursor``.
    """
    _refuse("cursor", None if cursor is None else checks.check_text(cursor))


def _refuse(field: str, problem: str | None) -> None:
    if problem:
        raise ValidationError(field, problem)


def normalised(namespace: str) -> str:
    """Return a namespace as every record carries it: without blanks around it, in one case and one Unicode form.

    Raises:
        ValidationError: it is not an identifier.
    """
    validate_id("namespace", namespace)
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", namespace.strip()).casefold())
    validate_id("namespace", plain)
    return plain


class _Plan(NamedTuple):
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
def _plan(record_type: Any) -> _Plan:
    """Return how a record class is checked."""
    hints = get_type_hints(record_type, include_extras=True)
    planned = [(field.name, _check_of(hints[field.name]), field.default) for field in attrs.fields(record_type)]
    checked = tuple((name, check, default) for name, check, default in planned if check)
    nested = [name for name, hint in hints.items() if any(map(attrs.has, (hint, *get_args(hint))))]
    names = [name for name, *_ in checked]
    values: Callable[[Any], tuple[Any, ...]] = (
        attrgetter(*names) if len(names) > 1 else lambda record: tuple(getattr(record, name) for name in names)
    )
    return _Plan(values, checked, tuple(nested))


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
        return partial(checks.check_unless_none, check=check) if check else None
    return partial(checks.check_type, record_type=hint) if isinstance(hint, type) else None


def _find_problem(record: Any) -> tuple[str, str] | None:
    plan = _plan(cast("Any", type(record)))
    for value, (name, check, default) in zip(plan.values(record), plan.checked, strict=True):
        problem = None if value is default else check(value)
        if problem:
            return name, problem
    for name in plan.nested:
        found = _find_nested_problem(record, name)
        if found:
            return found
    return None


def _find_nested_problem(record: Any, name: str) -> tuple[str, str] | None:
    value = getattr(record, name)
    if not isinstance(value, tuple):
        found = None if value is None else _find_problem(value)
        return (f"{name}.{found[0]}", found[1]) if found else None
    for position, member in enumerate(cast("tuple[Any, ...]", value)):
        found = _find_problem(member) or _wrong_owner(record, member)
        if found:
            return f"{name}[{position}].{found[0]}", found[1]
    return None


def _wrong_owner(change: StrategyChange | StatisticsChange, member: Outcome | MemoryScore) -> tuple[str, str] | None:
    return None if member.user_id == change.user_id else ("user_id", "is not the user_id of the change that carries it")
