"""Whether many records are surely legal, one field of all of them at a time: nearly all of it is done in C.

What is not sure here may still be legal: then each record is looked at by itself, which also says what is wrong. So
nothing is legal here that the checks of `whisper_persistence.records.checks` would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final, cast

from whisper_persistence.records import checks

#: Whether some values of a field, none of which is its default, are surely legal.
Sure = Callable[[Sequence[Any]], bool]

#: Texts are put together to be looked at, unless they could take so many characters.
_ROOM: Final = 8_000_000
#: Most bytes that a character takes in UTF-8.
_WIDEST: Final = 4


def surely_legal(columns: Iterable[Sequence[Any]], checked: Sequence[tuple[str, checks.Check, Any]]) -> bool:
    """Say whether all values of all fields are surely legal.

    Args:
        columns: of each field, the values that the records have.
        checked: name, check and default of each field; a default is legal.
    """
    for values, (_, check, default) in zip(columns, checked, strict=True):
        others = [value for value in values if value is not default]
        if others and not _look_of(check)(others):
            return False
    return True


@lru_cache(maxsize=256)
def _look_of(check: Any) -> Sure:
    """Return how to look at values that a check is for; at what has to be asked singly, it is with a no."""
    if not isinstance(check, partial):
        return _LOOKS.get(check, _unsure)
    made = cast("partial[Any]", check)
    if made.func is checks.check_unless_none:
        return _look_of(made.keywords["check"])
    look = _LOOKS.get(made.func)
    return partial(look, **made.keywords) if look else _unsure


def _unsure(values: Sequence[Any]) -> bool:
    del values
    return False


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
    return _texts(values, checks.MAX_ID_BYTES) and all(values)


def _labels(values: Sequence[str]) -> bool:
    return _texts(values, checks.MAX_LABEL_BYTES)


def _choices(values: Sequence[str], choices: Collection[str]) -> bool:
    return _are(values, str) and set(values).issubset(choices)


def _moments(values: Sequence[datetime]) -> bool:
    return _are(values, datetime) and all(value.tzinfo is UTC for value in values)


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
