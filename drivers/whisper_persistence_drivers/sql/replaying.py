"""The rules for writes that tell where they come from (`whisper_persistence.origins`), inside their transaction."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

import attrs
from sqlalchemy import func, select

from whisper_persistence.codec import encode
from whisper_persistence.errors import ErasedMeanwhileError
from whisper_persistence.origins import Origin
from whisper_persistence.records import ClearMark, Message, MessageEdit, MessageRedaction, Receipt, Statistics
from whisper_persistence_drivers.sql import erasing, messages, patterns, statistics, strategies
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine, to_micros
from whisper_persistence_drivers.sql.tombstones import erased_since
from whisper_persistence_drivers.sql.transaction import Transaction

Write = Callable[[Transaction, Sequence[Any]], Any]

_Stored = Callable[[Session, Sequence[str]], Mapping[str, Any]]
#: The writes of whole records: the kind, and what finds those that are stored, by user id.
_SAVES: Final[dict[Write, tuple[str, _Stored]]] = {
    strategies.save_strategies: ("strategies", strategies.load_strategies),
    statistics.save_statistics: ("statistics", statistics.load_statistics),
    patterns.save_patterns: ("patterns", patterns.load_patterns),
    patterns.save_preferences: ("preferences", patterns.load_preferences),
}
_CHANGES: Final[tuple[Write, ...]] = (
    strategies.update_strategies,
    statistics.update_statistics,
    patterns.update_patterns,
    patterns.update_preferences,
    messages.save_messages,
    messages.update_messages,
)
#: The writes whose origin matters.
HEEDED: Final = frozenset({*_SAVES, *_CHANGES, erasing.erase_users})


class _Fate(enum.Enum):
    """What becomes of a replayed item."""

    WRITTEN = "written"
    LEFT_OUT = "left out, or kept beside"
    PRESENT = "stored already"


class _Statements(NamedTuple):
    note: Prepared
    counted: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    conflicts = flavour.tables.conflicts
    counted = select(func.count()).select_from(conflicts).where(mine(conflicts.c))
    return _Statements(note=flavour.add_missing(conflicts), counted=flavour.prepare(counted))


def count_conflicts(session: Session) -> int:
    """Return how many records are kept beside newer ones."""
    count: int = session.rows(_statements(session.flavour).counted)[0][0]
    return count


def heed(origin: Origin, write: Write, transaction: Transaction, items: Sequence[Any]) -> Any:
    """Write what the rules let through, and answer for every item.

    Raises:
        ErasedMeanwhileError: the call is not replayed, and came after an erase that it did not follow.
    """
    if write in _CHANGES and not origin.replayed:
        return _in_time(transaction, origin, write, items)
    transaction.careful = True
    if write is erasing.erase_users:
        return write(transaction, items) if _is_new(transaction, origin) else erasing.Erased({}, (), noted=False)
    if write in _SAVES and not _is_new(transaction, origin):
        return _present(transaction, items)
    if not origin.replayed:
        return _in_time(transaction, origin, write, items)
    fates = _fates(transaction, origin, write, items)
    passed, left_out, present = ([i for i, fate in zip(items, fates, strict=True) if fate is one] for one in _Fate)
    receipts = {
        _Fate.WRITTEN: iter(write(transaction, passed) if passed else ()),
        _Fate.LEFT_OUT: iter(_present(transaction, left_out, raised=1)),
        _Fate.PRESENT: iter(_present(transaction, present)),
    }
    return [next(receipts[fate]) for fate in fates]


def _in_time(transaction: Transaction, origin: Origin, write: Write, items: Sequence[Any]) -> Any:
    """Write, and take it back where a user was erased since: the users' counters, once touched, keep erases away.

    What was counted tells for nothing whether there is any reason to look: a number of an erase that the writer had
    not seen, or, since that number may be as old as the statement, a user who was ever erased.
    """
    users = {user_id for item in items for user_id in _users_of(item)}
    if write is messages.save_messages:  # which touches those of conversations alone
        transaction.ensure_users({message.user_id for message in items})  # as all that is written, before its counter
        transaction.count("user", dict.fromkeys(users, (0, 0, 0)))
    receipts = write(transaction, items)
    if transaction.met_erased or transaction.erasures > (origin.erasures or 0):
        erased = erased_since(transaction, origin, users)
        if erased:
            raise ErasedMeanwhileError(max(transaction.erasures, *erased.values()))
    return receipts


def _is_new(transaction: Transaction, origin: Origin) -> bool:
    return transaction.fresh([origin])[0]


def _fates(transaction: Transaction, origin: Origin, write: Write, items: Sequence[Any]) -> list[_Fate]:
    """Say what becomes of each replayed item; a conflicting one is kept beside."""
    concerned = [_users_of(item) for item in items]
    users = sorted({user_id for ids in concerned for user_id in ids})
    counters = transaction.count("user", dict.fromkeys(users, (0, 0, 0)))
    erased = erased_since(transaction, origin, users)
    fates = [_Fate.WRITTEN if erased.keys().isdisjoint(ids) else _Fate.LEFT_OUT for ids in concerned]
    if write not in _SAVES:
        return fates
    moved = {user_id for user_id in users if counters[user_id].revision > origin.based_on.get(user_id, 0)}
    return [
        _overtaken(transaction, origin, write, item) if fate is _Fate.WRITTEN and item.user_id in moved else fate
        for item, fate in zip(items, fates, strict=True)
    ]


def _users_of(item: Any) -> tuple[str, ...]:
    """Return whose an item is; a change of a message is nobody's, since an erased message cannot be changed."""
    if isinstance(item, Message):
        author = messages.other_author(item)
        return (item.user_id,) if author is None else (item.user_id, author)
    return () if isinstance(item, (MessageEdit, MessageRedaction, ClearMark)) else (item.user_id,)


def _overtaken(transaction: Transaction, origin: Origin, write: Write, record: Any) -> _Fate:
    """Say what becomes of a record whose user was written to since; it is kept beside another that is stored."""
    kind, stored = _SAVES[write]
    item: str = getattr(record, "pattern_id", "")
    found = stored(transaction, [record.user_id]).get(record.user_id)
    if item:
        found = next((pattern for pattern in found or () if pattern.pattern_id == item), None)
    if found is None:
        return _Fate.WRITTEN
    if _saved(found) == _saved(record):  # by this very call, whose answer was lost together with its id
        return _Fate.PRESENT
    noted = (to_micros(datetime.now(UTC)), encode(record))
    row = (transaction.namespace, record.user_id, kind, item, origin.change_id, *noted)
    transaction.insert(_statements(transaction.flavour).note, [row])
    return _Fate.LEFT_OUT


def _saved(record: Any) -> Any:
    """Return a record less what is worked out whenever it is loaded."""
    derived = isinstance(record, Statistics)
    return attrs.evolve(record, minimum=None, maximum=None, median=None) if derived else record


def _present(transaction: Transaction, items: Sequence[Any], *, raised: int = 0) -> list[Receipt]:
    """Return receipts of how things stand, for items that are not written.

    Args:
        transaction: where.
        items: of one hook.
        raised: by how much each raises the revision of its user all the same.
    """
    if not items:
        return []
    if isinstance(items[0], Message):
        steps = transaction.advance("conversation", [(item.conversation_id, 0, 0) for item in items])
    else:
        steps = transaction.advance("user", [(item.user_id, raised, 0) for item in items])
    return [step.receipt() for step in steps]
