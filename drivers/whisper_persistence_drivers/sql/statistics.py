"""Statistics and the memory scores they are worked out from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import attrs
from sqlalchemy import BindParameter, ColumnElement, bindparam, delete, func, select, tuple_

from whisper_persistence.codec import decoder, encode
from whisper_persistence.records import MemoryScore, Receipt, ScoreQuery, Statistics, StatisticsChange
from whisper_persistence.records.fields import from_units, quantise, to_units
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, Step, Transaction, mine, set_sequence

_statistics = decoder(Statistics)
_score = decoder(MemoryScore)


@attrs.frozen(eq=False)
class _Statements:
    load: Prepared
    middle: Prepared
    find: Prepared
    put: Prepared
    find_scores: Prepared
    put_scores: Prepared
    remove_scores: Prepared
    top: Prepared
    recent: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    tables = flavour.tables
    statistics, scores = tables.statistics.c, tables.scores.c
    columns = (statistics.user_id, statistics.record, statistics.stored_scores)
    listed = (mine(statistics), statistics.user_id.in_(flavour.listed("listed")))
    owner = (mine(scores), scores.user_id == bindparam("user_id"))
    named = scores.memory_id.in_(flavour.listed("listed"))
    top = tuple_(scores.score, scores.memory_id) < tuple_(bindparam("score"), bindparam("memory_id"))
    recent = scores.sequence < bindparam("before")
    page = select(scores.sequence, scores.record).where(*owner)
    limit: BindParameter[int] = bindparam("limit")
    ordered = select(scores.score).where(*owner).order_by(scores.score).limit(limit)
    return _Statements(
        load=flavour.prepare(select(*columns, *_extremes(flavour)).where(*listed)),
        middle=flavour.prepare(ordered.offset(bindparam("skipped"))),
        find=flavour.prepare(select(*columns).where(*listed)),
        put=flavour.put(tables.statistics),
        find_scores=flavour.prepare(select(scores.memory_id, scores.record).where(*owner, named)),
        put_scores=flavour.put(tables.scores),
        remove_scores=flavour.prepare(delete(tables.scores).where(*owner, named)),
        top=flavour.prepare(page.where(top).order_by(scores.score.desc(), scores.memory_id.desc()).limit(limit)),
        recent=flavour.prepare(page.where(recent).order_by(scores.sequence.desc()).limit(limit)),
    )


def _extremes(flavour: Flavour) -> list[ColumnElement[Any]]:
    """Return a user's smallest and largest score, each one look into the index that keeps them in order."""
    statistics, scores = flavour.tables.statistics, flavour.tables.scores.c
    own = (scores.namespace == statistics.c.namespace, scores.user_id == statistics.c.user_id)
    measured = (select(measure(scores.score)).where(*own) for measure in (func.min, func.max))
    return [query.correlate(statistics).scalar_subquery() for query in measured]


def load_statistics(session: Session, user_ids: Sequence[str]) -> dict[str, Statistics]:
    """Return the statistics that exist, by user id, with what the stored scores say of their order."""
    rows = session.listed(_statements(session.flavour).load, user_ids)
    return {user_id: _ordered(session, _statistics(record), *rest) for user_id, record, *rest in rows}


def _ordered(session: Session, record: Statistics, stored: int, low: int | None, high: int | None) -> Statistics:
    if stored != record.total_memories_scored:
        return record
    if low is None or high is None:
        return attrs.evolve(record, minimum=None, maximum=None, median=None)
    # The median walks half of the user's index entries: about 0.1 ms for each 10,000 memories.
    middle = session.rows(
        _statements(session.flavour).middle, user_id=record.user_id, limit=2 - stored % 2, skipped=(stored - 1) // 2
    )
    median = quantise(sum(from_units(score) for (score,) in middle) / len(middle))
    return attrs.evolve(record, minimum=from_units(low), maximum=from_units(high), median=median)


def load_scores(session: Session, queries: Sequence[ScoreQuery]) -> dict[ScoreQuery, tuple[MemoryScore, ...]]:
    """Return a page of scores for each query that finds any."""
    pages = ((query, _page(session, query)) for query in queries)
    return {query: tuple(read_score(*row) for row in rows) for query, rows in pages if rows}


def _page(session: Session, query: ScoreQuery) -> list[Any]:
    sql, after = _statements(session.flavour), query.after
    if query.order == "recent":
        before = NEWEST if after is None or after.sequence is None else after.sequence
        return session.rows(sql.recent, user_id=query.user_id, before=before, limit=query.limit)
    score, memory_id = (NEWEST, "") if after is None else (to_units(after.overall_score), after.memory_id)
    return session.rows(sql.top, user_id=query.user_id, score=score, memory_id=memory_id, limit=query.limit)


def read_score(sequence: int, record: str) -> MemoryScore:
    """Return a score from its row."""
    score = _score(record)
    set_sequence(score, sequence)
    return score


def save_statistics(transaction: Transaction, statistics: Sequence[Statistics]) -> list[Receipt]:
    """Put whole statistics; of several of one user the last wins."""
    users = [record.user_id for record in statistics]
    transaction.ensure_users(users)
    steps = transaction.advance("user", [(user_id, 1, 0) for user_id in users])
    stored = {user_id: count for user_id, (_, count) in _find(transaction, users).items()}
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
        for user_id, memory_ids in sorted(self.removed.items()):
            transaction.run_listed(sql.remove_scores, memory_ids, user_id=user_id)
        rows = [
            (transaction.namespace, *key, to_units(score.overall_score), sequence, encode(score))
            for key, (sequence, score) in sorted(self.put_scores.items())
        ]
        transaction.many(sql.put_scores, rows)
        _put(transaction, self.put)


def _find(session: Session, user_ids: Sequence[str]) -> dict[str, tuple[Statistics, int]]:
    rows = session.listed(_statements(session.flavour).find, user_ids)
    return {user_id: (_statistics(record), stored) for user_id, record, stored in rows}


def _find_scores(session: Session, changes: Sequence[StatisticsChange]) -> dict[tuple[str, str], MemoryScore]:
    wanted: dict[str, set[str]] = {}
    for change in changes:
        wanted.setdefault(change.user_id, set()).update(change.memory_ids())
    find = _statements(session.flavour).find_scores
    return {
        (user_id, memory_id): _score(record)
        for user_id, memory_ids in wanted.items()
        for memory_id, record in session.listed(find, memory_ids, user_id=user_id)
    }


def _put(transaction: Transaction, statistics: Mapping[str, tuple[Statistics, int]]) -> None:
    rows = [
        (transaction.namespace, key, stored, encode(record)) for key, (record, stored) in sorted(statistics.items())
    ]
    transaction.many(_statements(transaction.flavour).put, rows)
