"""Removing records that were found before, unless they changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, delete, select

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import StatisticsChange
from whisper_persistence.records.following import ThingKind
from whisper_persistence.records.kinds import MOMENTS, RecordKind
from whisper_persistence_drivers.sql.chaining import Event
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import mine
from whisper_persistence_drivers.sql.statistics import update_statistics
from whisper_persistence_drivers.sql.transaction import Transaction

#: Removing something is no news about a user: it leaves the time of the last news as it is.
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_ITEMS: Final[Mapping[RecordKind, str]] = {
    "outcomes": "outcome_id",
    "scores": "memory_id",
    "patterns": "pattern_id",
    "messages": "message_id",
}

#: User or conversation, item, and mark: the sequence or time that it had when it was found.
Found = tuple[str, str, Any]


class _Statements(NamedTuple):
    find: Prepared
    remove: Prepared
    empty_profile: Prepared


@cache
def _statements(flavour: Flavour, kind: RecordKind, owner: str) -> _Statements:
    table, profiles = getattr(flavour.tables, kind), flavour.tables.profiles
    item = table.c[_ITEMS[kind]] if kind in _ITEMS else None
    is_sequenced = kind in ("outcomes", "scores", "messages")
    mark = table.c.sequence if is_sequenced else flavour.known(flavour.moment(table.c.record, MOMENTS[kind]))

    def same(given: Mapping[str, Any]) -> tuple[Any, ...]:
        named = () if item is None else (item == given["item"],)
        return (mine(table.c), table.c[owner] == given["thing"], *named)

    def find(given: Mapping[str, Any]) -> Any:
        return select(table.c[owner]).where(*same(given), mark == given["mark"])

    types = {"thing": PlainText} if item is None else {"thing": PlainText, "item": PlainText}
    totals = dict.fromkeys(("interventions", "successes", "effectiveness_sum"), 0)
    return _Statements(
        find=flavour.each(find, **types, mark=BigInteger() if is_sequenced else PlainText),
        remove=flavour.each(lambda given: delete(table).where(*same(given)), **types),
        empty_profile=flavour.prepare(
            profiles.update().where(mine(profiles.c), profiles.c.user_id == bindparam("user")).values(totals)
        ),
    )


def remove(transaction: Transaction, kind: RecordKind, thing: ThingKind, found: Sequence[Found]) -> int:
    """Remove what was found and is still the same, and return how many that were."""
    transaction.careful = True
    transaction.hold(thing, {thing_id for thing_id, *_ in found})
    sql = _statements(transaction.flavour, kind, f"{thing}_id")
    sets = [{"thing": thing_id, "item": item, "mark": mark} for thing_id, item, mark in found]
    still = [one for one, rows in zip(found, transaction.each(sql.find, sets), strict=True) if rows]
    if kind == "scores":
        return _forget_scores(transaction, still)
    counters = transaction.count(thing, dict.fromkeys((thing_id for thing_id, *_ in still), (1, 0, 0)))
    transaction.run_each(sql.remove, [{"thing": thing_id, "item": item} for thing_id, item, _ in still])
    for thing_id, item, mark in still:
        transaction.tell(kind, thing_id, item, counters[thing_id].revision)
        if kind == "messages":
            transaction.tell_of_amendment(thing_id, counters[thing_id].revision)
            if transaction.links is not None:
                transaction.links.note(thing_id, Event("remove", mark))
        if kind == "strategies":
            transaction.run(sql.empty_profile, user=thing_id)
    return len(still)


def _forget_scores(transaction: Transaction, found: Sequence[Found]) -> int:
    """Let statistics forget scores, by the same change that a bot forgets a memory with.

    What cannot be read cannot be taken from the totals; it stays, and keeps none of the others.
    """
    try:
        return _forget(transaction, found)
    except StorageDamagedError:
        if len(found) == 1:
            return 0
    return sum(_forget_scores(transaction, [one]) for one in found)


def _forget(transaction: Transaction, found: Sequence[Found]) -> int:
    users: dict[str, list[str]] = {}
    for user_id, memory_id, _ in found:
        users.setdefault(user_id, []).append(memory_id)
    update_statistics(
        transaction, [StatisticsChange(user, forgotten=ids, timestamp=_LONG_AGO) for user, ids in users.items()]
    )
    return len(found)
