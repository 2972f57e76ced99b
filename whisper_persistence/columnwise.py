"""Whether many records are surely legal, one field of all of them at a time: nearly all of it is done in C.

What is not sure here may still be legal: then each record is looked at by itself, which also says what is wrong. So
nothing is legal here that the checks of `whisper_persistence.records.checks` would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, cast

from whisper_persistence.field_checks import check_unless_none, field_checks
from whisper_persistence.records import checks

#: Whether some values of a field, none of which is its default, are surely legal.
Sure = Callable[[Sequence[Any]], bool]

#: Texts are put together to be looked at, unless they could take so many characters.
_ROOM: Final = 8_000_000
#: Most bytes that a character takes in UTF-8.
_WIDEST: Final = 4


def surely_legal(records: Sequence[Any]) -> bool:
    """Say whether records of one class are all surely legal."""
    plan = field_checks(cast("Any", type(records[0])))
    looks = _looks(type(records[0]))
    if looks is None:
        return False
    for values, look, (_, _, default) in zip(zip(*map(plan.values, records), strict=True), looks, plan.checked):
        others = [value for value in values if value is not default]
        if others and not look(others):
            return False
    return True


@cache
def _looks(record_type: Any) -> tuple[Sure, ...] | None:
    """Return how each checked field is looked at, or ``None`` where a class has one that has to be asked singly."""
    plan = field_checks(record_type)
    looks = [_look_of(check) for _, check, _ in plan.checked]
    return None if plan.nested or None in looks else cast("tuple[Sure, ...]", tuple(looks))


def _look_of(check: Any) -> Sure | None:
    if not isinstance(check, partial):
        return _LOOKS.get(check)
    made = cast("partial[Any]", check)
    if made.func is check_unless_none:
        return _look_of(made.keywords["check"])
    look = _LOOKS.get(made.func)
    return partial(look, **made.keywords) if look else None


def _are(values: Sequence[Any], kind: type) -> bool:
    return set(map(type, values)) == {kind}


def _texts(values: Sequence[str], limit: int = checks.MAX_TEXT_BYTES) -> bool:
    if not _are(values, str):
        return False
    longest = max(map(len, values))
    if longest > limit or longest * len(values) > _ROOM:
        return False
    text = "".join(values)
    return "\0" not in text and (text.isascii() or (longest * _WIDEST <= limit and _can_be_encoded(text)))


def _can_be_encoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ids(values: Sequence[str]) -> bool:
    return all(values) and _texts(values, checks.MAX_ID_BYTES)


def _labels(values: Sequence[str]) -> bool:
    return _texts(values, checks.MAX_LABEL_BYTES)


def _choices(values: Sequence[str], choices: Collection[str]) -> bool:
    return _are(values, str) and set(values).issubset(choices)


def _moments(values: Sequence[datetime]) -> bool:
    return _are(values, datetime) and all([value.tzinfo is UTC for value in values])


def _empty_objects(values: Sequence[Any]) -> bool:
    return _are(values, dict) and not any(values)


def _whole_numbers(values: Sequence[int], low: int = 0) -> bool:
    return _are(values, int) and low <= min(values) and max(values) < checks.INT64


_LOOKS: Final[dict[Callable[..., Any], Callable[..., bool]]] = {
    checks.check_text: _texts,
    checks.check_id: _ids,
    checks.check_label: _labels,
    checks.check_choice: _choices,
    checks.check_moment: _moments,
    checks.check_object: _empty_objects,
    checks.check_whole: _whole_numbers,
}
