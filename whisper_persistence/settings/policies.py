"""What is kept where, for how long and how many: the storage policies of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import attrs

from whisper_persistence.errors import ConfigurationError
from whisper_persistence.records import Retention
from whisper_persistence.records.kinds import ALL_KINDS, RecordKind

#: The driver that keeps the newest messages of conversations fast.
RECENT_DRIVER: Final = "redis-hybrid"
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_RULE: Final = ("max_age", "max_per_thing")
_OWN: Final = ("held_users", "every", "recent_turns", "recent_for", "users")


@attrs.frozen
class Rule:
    """How long, and how many, records of one kind are kept.

    Attributes:
        kind: which kind.
        max_age: older ones expire; ``None`` for no limit of age.
        max_per_thing: the newest so many of a user or conversation stay; ``None`` for no limit of number.
        user_ids: whose records, in place of the rule that names no users; empty for everybody's.
    """

    kind: RecordKind
    max_age: timedelta | None = None
    max_per_thing: int | None = None
    user_ids: tuple[str, ...] = ()


@attrs.frozen
class StoragePolicies:
    """What is kept where, for how long and how many. Without rules everything is kept for ever.

    Attributes:
        rules: what the database of record keeps.
        held_users: users of whom nothing ever expires.
        recent_turns: how many messages of a conversation ``redis-hybrid`` keeps; ``None`` leaves it to its options.
        recent_for: how long after its last use it keeps a conversation; ``None`` leaves it to its options.
        every: how often the background task looks for what expired.
    """

    rules: tuple[Rule, ...] = ()
    held_users: tuple[str, ...] = ()
    recent_turns: int | None = None
    recent_for: timedelta | None = None
    every: timedelta = timedelta(hours=1)

    def retentions(self, now: datetime, *kinds: RecordKind, limit: int | None = None) -> tuple[Retention, ...]:
        """Return the rules as `whisper_persistence.Store.expire` takes them.

        Args:
            now: the moment that ages are counted from.
            kinds: only rules for these kinds; none for all.
            limit: at most this many records of a kind at once.
        """
        own = {kind: [u for rule in self.rules if rule.kind == kind for u in rule.user_ids] for kind in ALL_KINDS}
        return tuple(
            Retention(
                rule.kind,
                rule.max_age,
                rule.max_per_thing,
                now,
                rule.user_ids,
                tuple(dict.fromkeys([*self.held_users, *([] if rule.user_ids else own[rule.kind])])),
                limit,
            )
            for rule in self.rules
            if rule.kind in (kinds or ALL_KINDS)
        )

    def recent_options(self) -> dict[str, Any]:
        """Return what ``recent_turns`` and ``recent_for`` say, as options of the driver that keeps recent messages."""
        seconds = None if self.recent_for is None else self.recent_for.total_seconds()
        said = {"recent": self.recent_turns, "ttl": seconds}
        return {name: value for name, value in said.items() if value is not None}

    def most(self) -> int | None:
        """Return the smallest number of messages that a rule keeps of a conversation; ``None`` where none counts."""
        numbers = [r.max_per_thing for r in self.rules if r.kind == "messages" and r.max_per_thing is not None]
        return min(numbers, default=None)


def read_policies(said: Mapping[str, Any], where: str) -> StoragePolicies:
    """Return what a source of settings says about what is kept.

    Args:
        said: a table with ``held_users``, ``every``, ``recent_turns``, ``recent_for``, a table for each kind of record
            with ``max_age`` and ``max_per_thing``, and ``users``: such tables by user id.
        where: how the source names it, for errors.

    Raises:
        ConfigurationError: something is unknown or cannot be read; names it.
    """
    _refuse_unknown(said, (*_OWN, *ALL_KINDS), where)
    users: Mapping[str, Any] = _table(said.get("users", {}), f"{where}.users")
    rules = [*_rules(said, where, ())]
    for user_id, own in users.items():
        place = f"{where}.users.{user_id}"
        _refuse_unknown(_table(own, place), ALL_KINDS, place)
        rules += _rules(own, place, (user_id,))
    every = _span(said.get("every", 3_600), f"{where}.every")
    if every < timedelta(seconds=1):
        raise ConfigurationError(f"{where}.every must be at least a second")
    return StoragePolicies(
        tuple(_joined(rules)),
        tuple(_names(said.get("held_users", ()), f"{where}.held_users")),
        _number(said.get("recent_turns"), f"{where}.recent_turns"),
        None if said.get("recent_for") is None else _span(said["recent_for"], f"{where}.recent_for"),
        every,
    )


def _rules(said: Mapping[str, Any], where: str, user_ids: tuple[str, ...]) -> list[Rule]:
    rules: list[Rule] = []
    for kind in ALL_KINDS:
        if kind not in said:
            continue
        place = f"{where}.{kind}"
        given = _table(said[kind], place)
        _refuse_unknown(given, _RULE, place)
        age = None if given.get("max_age") is None else _span(given["max_age"], f"{place}.max_age")
        rules.append(Rule(kind, age, _number(given.get("max_per_thing"), f"{place}.max_per_thing"), user_ids))
    return rules


def _joined(rules: Sequence[Rule]) -> list[Rule]:
    """Return rules where users of whom the same is said share one."""
    found: dict[Rule, list[str]] = {}
    for rule in rules:
        key = attrs.evolve(rule, user_ids=("",) if rule.user_ids else ())
        found.setdefault(key, []).extend(rule.user_ids)
    return [attrs.evolve(rule, user_ids=tuple(users)) for rule, users in found.items()]


def _span(value: Any, where: str) -> timedelta:
    text = str(value).strip().lower()
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    try:
        span = timedelta(seconds=float(number) * _UNITS[unit])
    except (ValueError, OverflowError):
        span = timedelta(-1)
    if isinstance(value, bool) or span < timedelta(0):
        raise ConfigurationError(f"{where} must be a span of time, such as '90d', '12h' or a number of seconds")
    return span


def _number(value: Any, where: str) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise ConfigurationError(f"{where} must be a whole number from 1 up")
    return value


def _names(value: Any, where: str) -> list[str]:
    names = [str(name) for name in cast("Sequence[Any]", value)] if isinstance(value, (list, tuple)) else [""]
    if not all(names):
        raise ConfigurationError(f"{where} must be a list of user ids")
    return names


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a table")
    return cast("Mapping[str, Any]", value)


def _refuse_unknown(said: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = sorted(said.keys() - set(known))
    if unknown:
        raise ConfigurationError(f"{where}.{unknown[0]} is not known: use one of {', '.join(known)}")
