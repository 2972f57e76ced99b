"""Between the strategy record and whatever a bot holds: a dataclass, an attrs class or a mapping."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, cast

import attrs
import msgspec

from whisper_persistence.companion.histories import aware, continued, follow, in_time_order, normalised, time_of
from whisper_persistence.errors import ValidationError
from whisper_persistence.records import Strategy
from whisper_persistence.records.fields import to_utc
from whisper_persistence.records.strategies import HISTORY_LIMIT

_LISTS: Final = ("effective_approaches", "approaches_to_avoid")
_TABLES: Final = ("optimal_timing", "user_preferences")
#: The fields of a strategy that a bot's own class has.
FIELDS: Final = ("strategy_id", *_LISTS, *_TABLES, "communication_style", "support_history", "last_updated")
_RECORDED: Final = tuple(field.name for field in attrs.fields(Strategy))
#: What only the record has; a class with these fields is given them and never asked for them.
_RECORD_ONLY: Final = ("user_id", "interventions", "successes", "effectiveness_sum", "extra")
_KNOWN: Final = frozenset((*FIELDS, *_RECORD_ONLY))
#: Equal tables give equal JSON, in whichever order their keys came.
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
#: The last update of a strategy that was never updated.
NEVER: Final = datetime.min.replace(tzinfo=UTC)


def blank(user_id: str) -> Strategy:
    """Return the strategy that the learning rule begins with."""
    return Strategy(user_id, f"{user_id}_strategy", last_updated=NEVER)


def to_record(value: Any, stored: Strategy) -> Strategy:
    """Return what a bot holds as a record: lists without repeats, the newest ten entries in the order of time.

    A field that shows what is stored is taken over as it is stored, so that telling what changed costs little; where
    nothing changed, the stored record itself comes back.

    Args:
        value: a dataclass, an attrs class, a mapping or any object with the fields of a strategy.
        stored: what fields are taken from that the value does not have, or has not changed.

    Raises:
        ValidationError: a field is not JSON, or its time is not a time.
    """
    held = fields_of(value)
    changed: dict[str, Any] = {}
    for name, read in _READERS.items():
        item, before = held.get(name), getattr(stored, name)
        if item is not None and not _same(item, before):
            changed[name] = read(name, item, before)
    extra = _extra_of(value, held, changed.pop("strategy_id", stored.strategy_id), stored)
    if not alike(extra, stored.extra):
        changed["extra"] = extra
    return attrs.evolve(stored, **changed) if changed else stored


def shows(value: Any, held: Mapping[str, Any], record: Strategy) -> bool:
    """Say whether what a bot holds, with these fields, is what a record says; a field that it lacks says nothing."""
    for name in FIELDS:
        item = held.get(name)
        if item is not None and not _same(item, record.extra.get(name, getattr(record, name))):
            return False
    named = record.extra.get("strategy_id", record.strategy_id)
    return alike(_extra_of(value, held, named, record), record.extra)


def alike(one: Any, other: Any) -> bool:
    """Say whether two values are equal, and the same JSON: to Python, 1 equals 1.0 and ``True``.

    Raises:
        TypeError: they are equal, and no JSON.
        ValueError: likewise.
    """
    return one is other or (bool(one == other) and _encode(one) == _encode(other))


def to_value(record: Strategy, value_class: Any) -> Any:
    """Return a record as a new object of a bot's class, built with keyword arguments."""
    held = _held_by(record)
    if issubclass(cast("type", value_class), Mapping):
        return value_class(**{name: held[name] for name in held if name not in _RECORD_ONLY})
    accepted = inspect.signature(value_class).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return value_class(**held)
    return value_class(**{name: item for name, item in held.items() if name in accepted})


def fields_of(value: Any) -> dict[str, Any]:
    """Return what a bot holds by the names of its fields."""
    names = _declared(cast("Any", type(value)))
    if names is not None:
        return {name: getattr(value, name) for name in names}
    held = cast("Any", value)
    return dict(cast("dict[str, Any]", held if issubclass(cast("type", type(held)), Mapping) else vars(held)))


def write_into(value: Any, record: Strategy) -> Any:
    """Make what a bot holds equal to a record, in place where it can be changed, and return it or its replacement."""
    now = fields_of(value)
    is_mapping = isinstance(cast("object", value), Mapping)
    names = (*FIELDS, *record.extra) if is_mapping else [name for name in now if name in _KNOWN or name in record.extra]
    held = {name: record.extra[name] if name in record.extra else getattr(record, name) for name in names}
    changed = [name for name, item in held.items() if name not in now or not _same(now[name], item)]
    try:
        for name in changed:
            if is_mapping:
                value[name] = _copy(held[name])
            else:
                _set_attribute(value, name, now[name], _copy(held[name]))
    except (AttributeError, TypeError):
        return to_value(record, type(value))
    return value


def _held_by(record: Strategy) -> dict[str, Any]:
    return {**{name: _copy(getattr(record, name)) for name in _RECORDED}, **_copy(record.extra)}


def _same(shown: Any, item: Any) -> bool:
    """Say whether a bot shows this already; what the record keeps as a tuple, the bot has as a list."""
    try:
        if type(item) is dict:
            return alike(shown, cast("dict[str, Any]", item))
        return bool(shown == (list(cast("tuple[Any, ...]", item)) if type(item) is tuple else item))
    except (TypeError, ValueError):
        return False


@lru_cache(maxsize=64)
def _declared(kind: Any) -> tuple[str, ...] | None:
    """Return the names of a class's fields, or ``None`` where each object has its own."""
    if issubclass(kind, Mapping):
        return None
    if attrs.has(kind):
        return tuple(field.name for field in attrs.fields(kind))
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def _extra_of(value: Any, held: Mapping[str, Any], strategy_id: str, stored: Strategy) -> dict[str, Any]:
    """Return what a bot holds beyond a strategy's fields, and what an object of fixed fields could not be given."""
    extra = {name: _plain(name, item) for name, item in held.items() if name not in _KNOWN and name[:1] != "_"}
    if strategy_id != stored.strategy_id:
        extra["strategy_id"] = strategy_id
    if stored.extra and not isinstance(value, Mapping):
        extra = {**{name: item for name, item in stored.extra.items() if name not in held}, **extra}
    if isinstance(held.get("extra"), dict):
        extra.update(_plain("extra", held["extra"]))
    return extra


def _members(name: str, held: Any, before: Any) -> tuple[str, ...]:
    del before
    try:
        return tuple(dict.fromkeys(_plain(name, held)))
    except TypeError:
        raise ValidationError(name, "must be a list of texts") from None


def _history(name: str, held: Any, before: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    entries = cast("Sequence[Any]", held if type(held) is list else list(_plain(name, held)))
    kept = before[len(before) - continued(before, entries) :]
    new = [normalised(_plain(name, entry)) for entry in entries[len(kept) :]]
    return (*kept, *new)[-HISTORY_LIMIT:] if follow(kept, new) else in_time_order((*kept, *new))


def _set_attribute(value: Any, name: str, before: Any, after: Any) -> None:
    if isinstance(before, (list, dict)):
        container = cast("Any", before)
        container.clear()
        (container.extend if isinstance(before, list) else container.update)(after)
    else:
        setattr(value, name, after)


def _moment(name: str, held: Any, before: datetime) -> datetime:
    """Return a time in UTC; one without a zone is read as UTC, text as ISO 8601."""
    del before
    when = time_of({"timestamp": held}) if isinstance(held, str) else held
    if isinstance(when, datetime):
        return to_utc(aware(when))
    raise ValidationError(name, "must be a datetime or its ISO 8601 text")


def _json(name: str, held: Any, before: Any) -> Any:
    del before
    return _plain(name, held)


def _plain(name: str, value: Any) -> Any:
    try:
        return _copy(msgspec.to_builtins(value, str_keys=True))
    except (TypeError, ValueError):
        raise ValidationError(
            name, "holds what is not JSON (allowed: str, int, float, bool, None, list, dict)"
        ) from None


def _copy(value: Any) -> Any:
    """Return a copy of plain data, its tuples as lists; most of it is scalars, which are not worth a call each."""
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {key: item if type(item) in _SCALARS else _copy(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _SCALARS else _copy(item) for item in cast("Iterable[Any]", value)]
    return value


#: How each field that a bot's class has is read, from its name, what is held, and what is stored.
_READERS: Final[dict[str, Callable[[str, Any, Any], Any]]] = {
    **dict.fromkeys(FIELDS, _json),
    **dict.fromkeys(_LISTS, _members),
    "support_history": _history,
    "last_updated": _moment,
}
