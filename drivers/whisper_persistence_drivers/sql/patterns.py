"""Patterns and preferences: small records of a user, each folded by its own key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import select

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import Pattern, PatternChange, Preferences, PreferencesChange, Receipt
from whisper_persistence.records.following import FollowedKind
from whisper_persistence_drivers.sql.checksums import checked, encode_checked
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.damage import partly_damaged, read_each, sorted_out
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.transaction import Transaction

_pattern = checked(Pattern)
_preferences = checked(Preferences)


class _Statements(NamedTuple):
    load_patterns: Prepared
    find_patterns: Prepared
    put_patterns: Prepared
    load_preferences: Prepared
    put_preferences: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    patterns, preferences = tables.patterns.c, tables.preferences.c
    every = select(patterns.user_id, *flavour.checked(patterns)).where(mine(patterns), flavour.among(patterns.user_id))
    wishes = select(preferences.user_id, *flavour.checked(preferences)).where(
        mine(preferences), flavour.among(preferences.user_id)
    )

    def one(given: Mapping[str, Any]) -> Any:
        same = (patterns.user_id == given["user_id"], patterns.pattern_id == given["pattern_id"])
        return select(*flavour.checked(patterns)).where(mine(patterns), *same)

    return _Statements(
        load_patterns=flavour.prepare(every.order_by(patterns.user_id, patterns.pattern_id)),
        find_patterns=flavour.each(one, user_id=PlainText, pattern_id=PlainText),
        put_patterns=flavour.put(tables.patterns),
        load_preferences=flavour.prepare(wishes),
        put_preferences=flavour.put(tables.preferences),
    )


def load_patterns(session: Session, user_ids: Sequence[str]) -> dict[str, tuple[Pattern, ...]]:
    """Return the patterns of the users that have any, by user id."""
    rows = session.listed(_statements(session.flavour).load_patterns, user_ids)
    try:
        return _by_user((row[0], _pattern(*row[1:])) for row in rows)
    except StorageDamagedError:
        read = read_each(session, "patterns", rows, lambda row: _pattern(*row[1:]))
    unknown = frozenset(row[0] for row in {*rows} - {row for row, _ in read})
    found = _by_user((row[0], pattern) for row, pattern in read if row[0] not in unknown)
    raise partly_damaged("patterns", found, unknown)


def _by_user(patterns: Iterable[tuple[str, Pattern]]) -> dict[str, tuple[Pattern, ...]]:
    found: dict[str, list[Pattern]] = {}
    for user_id, pattern in patterns:
        found.setdefault(user_id, []).append(pattern)
    return {user_id: tuple(kept) for user_id, kept in found.items()}


def load_preferences(session: Session, user_ids: Sequence[str]) -> dict[str, Preferences]:
    """Return the preferences that exist, by user id."""
    rows = session.listed(_statements(session.flavour).load_preferences, user_ids)
    try:
        return {user_id: _preferences(record, kept) for user_id, record, kept in rows}
    except StorageDamagedError:
        raise sorted_out(session, "preferences", rows, lambda row: _preferences(*row[1:])) from None


def save_patterns(transaction: Transaction, patterns: Sequence[Pattern]) -> list[Receipt]:
    """Put whole patterns; of several of one key the last wins."""
    receipts = _advance(transaction, [(pattern.user_id, True, pattern.pattern_id) for pattern in patterns], "patterns")
    _put_patterns(transaction, {(pattern.user_id, pattern.pattern_id): pattern for pattern in patterns})
    return receipts


def save_preferences(transaction: Transaction, preferences: Sequence[Preferences]) -> list[Receipt]:
    """Put whole preferences; of several of one user the last wins."""
    receipts = _advance(transaction, [(record.user_id, True, "") for record in preferences], "preferences")
    _put_preferences(transaction, {record.user_id: record for record in preferences})
    return receipts


def update_patterns(transaction: Transaction, changes: Sequence[PatternChange]) -> list[Receipt]:
    """Fold observations into the patterns."""
    transaction.hold("user", [change.user_id for change in changes])
    flags = transaction.fresh(changes)
    items = [(change.user_id, flag, change.pattern_id) for change, flag in zip(changes, flags, strict=True)]
    receipts = _advance(transaction, items, "patterns")
    patterns = _find_patterns(transaction, changes)
    folded: dict[tuple[str, str], Pattern] = {}
    for change, flag in zip(changes, flags, strict=True):
        key = (change.user_id, change.pattern_id)
        if flag:
            folded[key] = patterns[key] = change.apply_to(patterns.get(key))
    _put_patterns(transaction, folded)
    return receipts


def update_preferences(transaction: Transaction, changes: Sequence[PreferencesChange]) -> list[Receipt]:
    """Fold changes into the preferences."""
    transaction.hold("user", [change.user_id for change in changes])
    flags = transaction.fresh(changes)
    items = [(change.user_id, flag, "") for change, flag in zip(changes, flags, strict=True)]
    receipts = _advance(transaction, items, "preferences")
    stored = load_preferences(transaction, [change.user_id for change in changes])
    folded: dict[str, Preferences] = {}
    for change, flag in zip(changes, flags, strict=True):
        if flag:
            folded[change.user_id] = stored[change.user_id] = change.apply_to(stored.get(change.user_id))
    _put_preferences(transaction, folded)
    return receipts


def _advance(transaction: Transaction, items: Sequence[tuple[str, bool, str]], kind: FollowedKind) -> list[Receipt]:
    transaction.ensure_users(user_id for user_id, _, _ in items)
    steps = transaction.advance("user", [(user_id, int(flag), 0) for user_id, flag, _ in items])
    for (user_id, flag, item), step in zip(items, steps, strict=True):
        if flag:
            transaction.tell(kind, user_id, item, step.revision)
    return [step.receipt() for step in steps]


def _find_patterns(session: Session, changes: Sequence[PatternChange]) -> dict[tuple[str, str], Pattern]:
    keys = sorted({(change.user_id, change.pattern_id) for change in changes})
    sets = [{"user_id": user_id, "pattern_id": pattern_id} for user_id, pattern_id in keys]
    found = session.each(_statements(session.flavour).find_patterns, sets)
    return {key: _pattern(*rows[0]) for key, rows in zip(keys, found, strict=True) if rows}


def _put_patterns(transaction: Transaction, patterns: dict[tuple[str, str], Pattern]) -> None:
    rows = [(transaction.namespace, *key, *encode_checked(pattern)) for key, pattern in sorted(patterns.items())]
    transaction.insert(_statements(transaction.flavour).put_patterns, rows)


def _put_preferences(transaction: Transaction, preferences: dict[str, Preferences]) -> None:
    rows = [
        (transaction.namespace, user_id, *encode_checked(record)) for user_id, record in sorted(preferences.items())
    ]
    transaction.insert(_statements(transaction.flavour).put_preferences, rows)
