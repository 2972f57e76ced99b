"""Groups that the database counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    and_,
    bindparam,
    case,
    cast,
    distinct,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from whisper_persistence.records import (
    CoreMemories,
    CoreMemory,
    EffectivenessByApproach,
    EffectivenessTrend,
    NamespaceSummary,
    TopPatterns,
)
from whisper_persistence.records.fields import SCORE_UNITS, from_units, to_units
from whisper_persistence.records.memories import CORE_AT
from whisper_persistence.records.questions.base import ORIGIN
from whisper_persistence_drivers.aggregation.folding import SUCCESS_UNITS
from whisper_persistence_drivers.aggregation.groups import Outcomes, Seen
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine, to_micros

_DAY: Final = 24 * 3_600 * 1_000_000
_ONE: Final[ColumnElement[int]] = literal_column("1")
_ZERO: Final[ColumnElement[int]] = literal_column("0")


def _count_where(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, _ONE), else_=_ZERO))


def _measures(outcomes: Any) -> tuple[ColumnElement[Any], ...]:
    """Return what `Outcomes` holds, in its order."""
    reached = outcomes.effectiveness >= literal_column(str(SUCCESS_UNITS))
    users = func.count(distinct(outcomes.user_id))
    return func.count(), _count_where(reached), func.sum(outcomes.effectiveness), users


def _number(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=BigInteger())


def _asked(flavour: Flavour, columns: Any, listed: bool) -> ColumnElement[bool]:
    return and_(mine(columns), *([flavour.among(columns.user_id)] if listed else []))


def _users(session: Session, user_ids: Sequence[str]) -> dict[str, Any]:
    return {"listed": session.flavour.pack(sorted(set(user_ids)))} if user_ids else {}


def _bounds(question: EffectivenessByApproach | EffectivenessTrend) -> dict[str, int]:
    since = -NEWEST if question.since is None else to_micros(question.since)
    return {"since": since, "until": NEWEST if question.until is None else to_micros(question.until)}


@cache
def _by_approach(flavour: Flavour, listed: bool) -> Prepared:
    outcomes = flavour.tables.outcomes.c
    during = (outcomes.occurred_at >= _number("since"), outcomes.occurred_at < _number("until"))
    found = select(outcomes.intervention_style, *_measures(outcomes)).where(_asked(flavour, outcomes, listed), *during)
    return flavour.prepare(found.group_by(outcomes.intervention_style))


def outcomes_by_approach(
    session: Session, question: EffectivenessByApproach
) -> list[tuple[tuple[str, str | None], Outcomes]]:
    """Return outcomes by approach, without a context."""
    statement = _by_approach(session.flavour, bool(question.user_ids))
    rows = session.rows(statement, **_bounds(question), **_users(session, question.user_ids))
    return [((style, None), Outcomes(*map(int, measures))) for style, *measures in rows]


@cache
def _by_period(flavour: Flavour, listed: bool, one_approach: bool) -> Prepared:
    outcomes = flavour.tables.outcomes.c
    during = [outcomes.occurred_at >= _number("since"), outcomes.occurred_at < _number("until")]
    if one_approach:
        during.append(outcomes.intervention_style == bindparam("approach", type_=PlainText))
    moment = outcomes.occurred_at - literal_column(str(to_micros(ORIGIN)), BigInteger())
    found = select((moment // _number("width")).label("period"), *_measures(outcomes))
    return flavour.prepare(found.where(_asked(flavour, outcomes, listed), *during).group_by(literal_column("period")))


def outcomes_by_period(session: Session, question: EffectivenessTrend) -> list[tuple[int, Outcomes]]:
    """Return outcomes by the number of their period."""
    statement = _by_period(session.flavour, bool(question.user_ids), question.approach is not None)
    values = {**_bounds(question), **_users(session, question.user_ids), "approach": question.approach}
    rows = session.rows(statement, width=question.days * _DAY, **values)
    return [(int(period), Outcomes(*map(int, measures))) for period, *measures in rows]


class _Core(NamedTuple):
    best: Prepared
    total: Prepared


@cache
def _core(flavour: Flavour, listed: bool) -> _Core:
    scores = flavour.tables.scores.c
    wanted = (_asked(flavour, scores, listed), scores.score >= _number("threshold"))
    best = select(scores.user_id, scores.memory_id, scores.score).where(*wanted)
    ordered = best.order_by(scores.score.desc(), scores.user_id, scores.memory_id).limit(_number("limit"))
    total = select(func.count(), func.count(distinct(scores.user_id))).where(*wanted)
    return _Core(flavour.prepare(ordered), flavour.prepare(total))


def core_memories(session: Session, question: CoreMemories, threshold: int) -> tuple[list[CoreMemory], int, int]:
    """Return the highest scores, how many reach the threshold, in units of 1e-9, and how many users have any."""
    sql = _core(session.flavour, bool(question.user_ids))
    values = {"threshold": threshold, **_users(session, question.user_ids)}
    ((total, users),) = session.rows(sql.total, **values)
    rows = session.rows(sql.best, limit=question.limit, **values)
    return [CoreMemory(user, memory, from_units(score)) for user, memory, score in rows], total, users


class _Patterns(NamedTuple):
    most: Prepared
    few: Prepared


@cache
def _patterns(flavour: Flavour, listed: bool) -> _Patterns:
    patterns = flavour.tables.patterns.c
    kind = flavour.member(patterns.record, "pattern_type").label("kind")
    # As floating-point numbers, because whole ones may grow beyond 64 bits.
    sums = [
        func.sum(cast(flavour.member(patterns.record, name), Double)).label(name)
        for name in ("frequency", "confidence_sum", "importance_sum")
    ]
    counted = select(patterns.pattern_id, kind, func.count().label("users"), *sums)
    found = (
        counted.where(_asked(flavour, patterns, listed), kind.is_not(None))
        .group_by(patterns.pattern_id, kind)
        .subquery("found")
    )
    order = (found.c.users.desc(), found.c.frequency.desc(), found.c.pattern_id, found.c.kind)
    most = select(found).where(found.c.users >= _number("minimum")).order_by(*order).limit(_number("limit"))
    few = select(func.count()).select_from(found).where(found.c.users < _number("minimum"))
    return _Patterns(flavour.prepare(most), flavour.prepare(few))


def patterns(session: Session, question: TopPatterns) -> tuple[list[Seen], int]:
    """Return the patterns of most users, and how many have too few."""
    sql = _patterns(session.flavour, bool(question.user_ids))
    values = {"minimum": question.minimum_group, **_users(session, question.user_ids)}
    rows = session.rows(sql.most, limit=question.limit, **values)
    ((hidden,),) = session.rows(sql.few, **values)
    return [Seen(name, kind, users, *map(int, sums)) for name, kind, users, *sums in rows], hidden


@cache
def _namespaces(flavour: Flavour) -> tuple[Prepared, ...]:
    tables = flavour.tables
    profiles, scores, outcomes, messages = tables.profiles.c, tables.scores.c, tables.outcomes.c, tables.messages.c
    owned = (tables.strategies, tables.outcomes, tables.statistics, tables.scores, tables.patterns, tables.preferences)
    kept = [
        exists(_ONE).where(table.c.namespace == profiles.namespace, table.c.user_id == profiles.user_id)
        for table in (*owned, tables.messages)
    ]
    core = scores.score >= literal_column(str(to_units(CORE_AT)))
    reached = outcomes.effectiveness >= literal_column(str(SUCCESS_UNITS))
    counted: tuple[Any, ...] = (
        select(profiles.namespace, func.count()).where(or_(*kept)),
        select(scores.namespace, func.count(), func.sum(scores.score), _count_where(core)),
        select(outcomes.namespace, func.count(), func.sum(outcomes.effectiveness), _count_where(reached)),
        select(messages.namespace, func.count()),
    )
    return tuple(flavour.prepare(query.group_by(query.selected_columns[0])) for query in counted)


def namespaces(session: Session) -> list[NamespaceSummary]:
    """Return what is kept of every namespace that can be seen."""
    found = [{name: list(map(int, rest)) for name, *rest in session.rows(sql)} for sql in _namespaces(session.flavour)]
    users, scores, outcomes, messages = found
    nothing = (0, 0, 0)
    return [
        NamespaceSummary(
            name,
            count,
            scored := scores.get(name, nothing)[0],
            scores[name][1] / scored / SCORE_UNITS if scored else None,
            scores.get(name, nothing)[2],
            tried := outcomes.get(name, nothing)[0],
            outcomes.get(name, nothing)[2],
            outcomes[name][1] / tried / SCORE_UNITS if tried else None,
            messages.get(name, nothing)[0],
        )
        for name, (count,) in users.items()
    ]
