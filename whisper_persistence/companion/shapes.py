"""Between the strategy record and whatever a bot holds: a dataclass, an attrs class or a mapping."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

import attrs
import msgspec

from whisper_persistence.errors import ValidationError
from whisper_persistence.records import Strategy
from whisper_persistence.records.fields import quantise, to_utc
from whisper_persistence.records.strategies import HISTORY_LIMIT

_LISTS: Final = ("effective_approaches", "approaches_to_avoid")
_TABLES: Final = ("optimal_timing", "user_preferences")
#: The fields of a strategy that a bot's own class has.
FIELDS: Final = ("strategy_id", *_LISTS, *_TABLES, "communication_style", "support_history", "last_updated")
_RECORDED: Final = tuple(field.name for field in attrs.fields(Strategy))
#: What only the record has; a class with these fields is given them and never asked for them.
_RECORD_ONLY: Final = ("user_id", "interventions", "successes", "effectiveness_sum", "extra")
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
#: The last update of a strategy that was never updated.
NEVER: Final = datetime.min.replace(tzinfo=UTC)


def blank(user_id: str) -> Strategy:
    """Return the strategy that the learning rule begins with."""
    return Strategy(user_id, f"{user_id}_strategy", last_updated=NEVER)


def to_record(value: Any, stored: Strategy) -> Strategy:
    """Return what a bot holds as a record: lists without repeats, the newest ten entries in the order of time.

    Args:
        value: a dataclass, an attrs class, a mapping or any object with the fields of a strategy.
        stored: what fields are taken from that the value does not have.

    Raises:
        ValidationError: a field holds what is not JSON, or its time is none.
    """
    held = _fields_of(value)
    known: dict[str, Any] = {
        name: _plain(name, held[name]) for name in FIELDS if held.get(name) is not None and name != "last_updated"
    }
    known.update((name, _distinct(name, known[name])) for name in _LISTS if name in known)
    if "support_history" in known:
        known["support_history"] = in_time_order(map(_entry, known["support_history"]))
    strategy_id = known.pop("strategy_id", stored.strategy_id)
    extra = {name: _plain(name, item) for name, item in held.items() if _is_extra(name)}
    if strategy_id != stored.strategy_id:
        extra["strategy_id"] = strategy_id
    if not isinstance(value, Mapping):
        extra = {**_beyond(stored.extra, held), **extra}
    if isinstance(held.get("extra"), dict):
        extra.update(_plain("extra", held["extra"]))
    if held.get("last_updated") is not None:
        known["last_updated"] = _moment(held["last_updated"])
    return attrs.evolve(stored, **known, extra=extra)


def to_value(record: Strategy, value_class: Any) -> Any:
    """Return a record as a new object of a bot's class, built with keyword arguments."""
    held = _held_by(record)
    if issubclass(cast("type", value_class), Mapping):
        return value_class(**{name: held[name] for name in held if name not in _RECORD_ONLY})
    accepted = inspect.signature(value_class).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return value_class(**held)
    return value_class(**{name: item for name, item in held.items() if name in accepted})


def write_into(value: Any, record: Strategy) -> Any:
    """Make what a bot holds equal to a record, in place where it can be changed, and return it or its replacement."""
    now = _fields_of(value)
    held = {**{name: getattr(record, name) for name in _RECORDED}, **record.extra}
    changed = {name: _copy(item) for name, item in held.items() if name not in now or not _same(now[name], item)}
    is_mapping = isinstance(cast("object", value), Mapping)
    try:
        for name, item in changed.items():
            if is_mapping and name not in _RECORD_ONLY:
                value[name] = item
            elif name in now and not is_mapping:
                _set_attribute(value, name, now[name], item)
    except (AttributeError, TypeError):
        return to_value(record, type(value))
    return value


def in_time_order(entries: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the newest ten history entries, oldest first; where one has no time, the order stays as it is."""
    listed = list(entries)
    timed = [(_aware(when), entry) for entry in listed if (when := _time_of(entry))]
    if len(timed) == len(listed):
        listed = [entry for _, entry in sorted(timed, key=lambda pair: pair[0])]
    return tuple(listed[-HISTORY_LIMIT:])


def _held_by(record: Strategy) -> dict[str, Any]:
    return {**{name: _copy(getattr(record, name)) for name in _RECORDED}, **_copy(record.extra)}


def _same(shown: Any, item: Any) -> bool:
    """Say whether a bot shows this already; what the record keeps as a tuple, the bot has as a list."""
    return bool(shown == (list(cast("tuple[Any, ...]", item)) if isinstance(item, tuple) else item))


def _fields_of(value: Any) -> dict[str, Any]:
    held, kind = cast("Any", value), cast("Any", type(value))
    if issubclass(kind, Mapping):
        return dict(held)
    if attrs.has(kind):
        return {field.name: getattr(held, field.name) for field in attrs.fields(kind)}
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(held, field.name) for field in dataclasses.fields(kind)}
    return dict(cast("dict[str, Any]", vars(held)))


def _beyond(extra: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extra fields that an object of fixed fields could not be given."""
    return {name: item for name, item in extra.items() if name not in held}


def _is_extra(name: str) -> bool:
    return name not in FIELDS and name not in _RECORD_ONLY and not name.startswith("_")


def _distinct(name: str, members: Any) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(members))
    except TypeError:
        raise ValidationError(name, "must be a list of texts") from None


def _set_attribute(value: Any, name: str, before: Any, after: Any) -> None:
    if isinstance(before, (list, dict)):
        container = cast("Any", before)
        container.clear()
        (container.extend if isinstance(before, list) else container.update)(after)
    else:
        setattr(value, name, after)


def _entry(entry: Any) -> dict[str, Any]:
    """Return a history entry as it comes back from the store."""
    when = _time_of(entry)
    if when is None or when.tzinfo is None:
        return cast("dict[str, Any]", entry)
    score = {"effectiveness_score": quantise(entry["effectiveness_score"])} if "effectiveness_score" in entry else {}
    return {**entry, **score, "timestamp": to_utc(when).isoformat()}


def _time_of(entry: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(entry["timestamp"])
    except (KeyError, TypeError, ValueError):
        return None


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _moment(value: Any) -> Any:
    """Return a time in UTC; one without a zone is read as UTC, text as ISO 8601."""
    if isinstance(value, str):
        value = _time_of({"timestamp": value})
    if isinstance(value, datetime):
        return to_utc(_aware(value))
    raise ValidationError("last_updated", "must be a datetime or its ISO 8601 text")


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
