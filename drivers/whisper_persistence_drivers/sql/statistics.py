"""Statistics and the memory scores they are worked out from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any, NamedTuple

import attrs
from sqlalchemy import BigInteger, ColumnElement, delete, func, select

from whisper_persistence.errors import StorageDamagedError
from whisper_persistence.records import MemoryScore, Receipt, Statistics, StatisticsChange
from whisper_persistence.records.fields import from_units, quantise, to_units
from whisper_persistence_drivers.sql.checksums import checked, encode_checked
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.damage import sorted_out
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import Session, mine
from whisper_persistence_drivers.sql.standing import Step
from whisper_persistence_drivers.sql.transaction import Transaction

_statistics = checked(Statistics)
_score = checked(MemoryScore)


class _Statements(NamedTuple):
    load: Prepared
    whole: bool
    middle: Prepared
    find: Prepared
    put: Prepared
    find_scores: Prepared
    put_scores: Prepared
    remove_scores: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    statistics, scores = tables.statistics.c, tables.scores.c
    columns = (statistics.user_id, *flavour.checked(statistics), statistics.stored_scores)
    listed = (mine(statistics), flavour.among(statistics.user_id))
    number = BigInteger()

    def of_user(query: Any, given: Mapping[str, Any], *more: Any) -> Any:
        return query.where(mine(scores), scores.user_id == given["user_id"], *more)

    def middle(given: Mapping[str, Any]) -> Any:
        ordered = of_user(select(scores.score), given).order_by(scores.score)
        return ordered.limit(given["limit"]).offset(given["skipped"])

    def named(given: Mapping[str, Any]) -> Any:
        return of_user(select(*flavour.checked(scores), scores.sequence), given, scores.memory_id == given["memory_id"])

    def gone(given: Mapping[str, Any]) -> Any:
        return of_user(delete(tables.scores), given, scores.memory_id == given["memory_id"])

    return _Statements(
        load=flavour.prepare(select(*columns, *_extremes(flavour), *_middles(flavour)).where(*listed)),
        whole=bool(_middles(flavour)),
        middle=flavour.each(middle, user_id=PlainText, limit=number, skipped=number),
        find=flavour.prepare(select(*columns).where(*listed)),
        put=flavour.put(tables.statistics),
        find_scores=flavour.each(named, user_id=PlainText, memory_id=PlainText),
        put_scores=flavour.put(tables.scores),
        remove_scores=flavour.each(gone, user_id=PlainText, memory_id=PlainText),
    )


def _extremes(flavour: Flavour) -> list[ColumnElement[Any]]:
    """Return a user's smallest and largest score, each one look into the index that keeps them in order."""
    statistics, scores = flavour.tables.statistics, flavour.tables.scores.c
    own = (scores.namespace == statistics.c.namespace, scores.user_id == statistics.c.user_id)
    measured = (select(measure(scores.score)).where(*own) for measure in (func.min, func.max))
    return [query.correlate(statistics).scalar_subquery() for query in measured]


def _middles(flavour: Flavour) -> list[ColumnElement[Any]]:
    """Return a user's one or two middle scores, where they can be found along with the rest."""
    statistics, scores = flavour.tables.statistics, flavour.tables.scores.c
    own = (scores.namespace == statistics.c.namespace, scores.user_id == statistics.c.user_id)
    ordered = select(scores.score).where(*own).order_by(scores.score).correlate(statistics)
    middles = flavour.middles(ordered, statistics.c.stored_scores)
    return [] if middles is None else [middles]


def load_statistics(session: Session, user_ids: Sequence[str]) -> dict[str, Statistics]:
    """Return the statistics that exist, by user id, with what the stored scores say of their order."""
    sql = _statements(session.flavour)
    with nullcontext() if sql.whole else session.flavour.one_state(session):
        found = session.listed(sql.load, user_ids)
        if sql.whole:
            medians = {user_id: _median(middles) for user_id, *_, middles in found if middles}
        else:
            medians = _medians(session, {user_id: stored for user_id, _, __, stored, *_ in found if stored})

    def read(row: Any) -> Statistics:
        user_id, record, kept, stored, low, high, *_ = row
        return _ordered(_statistics(record, kept), stored, low, high, medians.get(user_id))

    try:
        return {row[0]: read(row) for row in found}
    except StorageDamagedError:
        raise sorted_out(session, "statistics", found, read) from None


def _ordered(record: Statistics, stored: int, low: int | None, high: int | None, median: float | None) -> Statistics:
    """Return statistics with their order worked out, where every score that they count is stored."""
    if stored != record.total_memories_scored:
        return record
    smallest, largest = (None if units is None else from_units(units) for units in (low, high))
    return attrs.evolve(record, minimum=smallest, maximum=largest, median=median)


def _medians(session: Session, stored: Mapping[str, int]) -> dict[str, float]:
    """Return the median of each user's scores: a walk over half of the user's part of the index that orders them."""
    sets = [
        {"user_id": user_id, "limit": 2 - count % 2, "skipped": (count - 1) // 2} for user_id, count in stored.items()
    ]
    middles = session.each(_statements(session.flavour).middle, sets)
    return {user_id: _median([score for (score,) in middle]) for user_id, middle in zip(stored, middles, strict=True)}


def _median(middles: Sequence[int]) -> float:
    return quantise(sum(map(from_units, middles)) / len(middles))


def save_statistics(transaction: Transaction, statistics: Sequence[Statistics]) -> list[Receipt]:
    """Put whole statistics; of several of one user the last wins."""
    users = [record.user_id for record in statistics]
    transaction.ensure_users(users)
    steps = transaction.advance("user", [(user_id, 1, 0) for user_id in users])
    # What is to be replaced need not be readable.
    stored = {row[0]: row[3] for row in transaction.listed(_statements(transaction.flavour).find, users)}
    _put(transaction, {record.user_id: (record, stored.get(record.user_id, 0)) for record in statistics})
    for user_id, step in zip(users, steps, strict=True):
        transaction.tell("statistics", user_id, "", step.revision)
    return [step.receipt() for step in steps]


def update_statistics(transaction: Transaction, changes: Sequence[StatisticsChange]) -> list[Receipt]:
    """Fold changes into the statistics, and put or remove the scores they name."""
    users = [change.user_id for change in changes]
    transaction.hold("user", users)
    transaction.ensure_users(users)
    flags = transaction.fresh(changes)
    taken = [len({score.memory_id for score in change.scores}) for change in changes]
    steps = transaction.advance(
        "user",
        [(change.user_id, int(flag), flag * count) for change, flag, count in zip(changes, flags, taken, strict=True)],
    )
    folding = _Folding(transaction, _find(transaction, users), _find_scores(transaction, changes))
    for change, flag, step in zip(changes, flags, steps, strict=True):
        if flag:
            folding.fold(change, step)
    folding.write()
    return [step.receipt() for step in steps]


@attrs.define
class _Folding:
    """The statistics and scores of a batch, as its changes leave them one by one."""

    transaction: Transaction
    found: dict[str, tuple[Statistics, int]]
    scores: dict[tuple[str, str], MemoryScore]
    put: dict[str, tuple[Statistics, int]] = attrs.field(factory=dict[str, tuple[Statistics, int]])
    put_scores: dict[tuple[str, str], tuple[int, MemoryScore]] = attrs.field(
        factory=dict[tuple[str, str], tuple[int, MemoryScore]]
    )
    removed: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]])

    def fold(self, change: StatisticsChange, step: Step) -> None:
        user_id = change.user_id
        record, stored = self.found.get(user_id, (None, 0))
        previous = {key: self.scores[user_id, key] for key in change.memory_ids() if (user_id, key) in self.scores}
        for memory_id in set(change.forgotten) & previous.keys():
            del self.scores[user_id, memory_id]
            self.put_scores.pop((user_id, memory_id), None)
            self.removed.setdefault(user_id, set()).add(memory_id)
        latest = change.latest_scores()
        for sequence, (memory_id, score) in enumerate(latest.items(), step.sequence):
            self.scores[user_id, memory_id] = score
            self.put_scores[user_id, memory_id] = (sequence, score)
            self.removed.get(user_id, set()).discard(memory_id)
        stored += len(latest) - len(previous)
        self.put[user_id] = self.found[user_id] = (change.apply_to(record, previous), stored)
        self.transaction.tell("statistics", user_id, "", step.revision)
        for memory_id in change.memory_ids():
            self.transaction.tell("scores", user_id, memory_id, step.revision)

    def write(self) -> None:
        transaction, sql = self.transaction, _statements(self.transaction.flavour)
        gone = [(user_id, memory_id) for user_id, ids in self.removed.items() for memory_id in ids]
        sets = [{"user_id": user_id, "memory_id": memory_id} for user_id, memory_id in sorted(gone)]
        transaction.run_each(sql.remove_scores, sets)
        rows = [
            (transaction.namespace, *key, to_units(score.overall_score), sequence, *encode_checked(score, sequence))
            for key, (sequence, score) in sorted(self.put_scores.items())
        ]
        transaction.insert(sql.put_scores, rows)
        _put(transaction, self.put)


def _find(session: Session, user_ids: Sequence[str]) -> dict[str, tuple[Statistics, int]]:
    rows = session.listed(_statements(session.flavour).find, user_ids)
    return {user_id: (_statistics(record, kept), stored) for user_id, record, kept, stored in rows}


def _find_scores(session: Session, changes: Sequence[StatisticsChange]) -> dict[tuple[str, str], MemoryScore]:
    keys = sorted({(change.user_id, memory_id) for change in changes for memory_id in change.memory_ids()})
    sets = [{"user_id": user_id, "memory_id": memory_id} for user_id, memory_id in keys]
    found = session.each(_statements(session.flavour).find_scores, sets)
    return {key: _score(*rows[0]) for key, rows in zip(keys, found, strict=True) if rows}


def _put(transaction: Transaction, statistics: Mapping[str, tuple[Statistics, int]]) -> None:
    rows = [
        (transaction.namespace, key, stored, *encode_checked(record))
        for key, (record, stored) in sorted(statistics.items())
    ]
    transaction.insert(_statements(transaction.flavour).put, rows)
