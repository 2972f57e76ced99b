"""What the replica answers: DuckDB counts, and the answers are made as every driver makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import duckdb

from whisper_persistence import records as rec
from whisper_persistence.records.fields import SCORE_UNITS, from_units, to_units
from whisper_persistence.records.questions.base import ORIGIN
from whisper_persistence.records.questions.measures import DECILES
from whisper_persistence.records.strategies import SUCCESS_AT
from whisper_persistence_drivers.aggregation import groups
from whisper_persistence_drivers.aggregation.groups import Outcomes, Seen, Talk
from whisper_persistence_drivers.replica.columns import to_micros

_HOUR: Final = 3_600_000_000
_ORIGIN: Final = to_micros(ORIGIN)
_MEASURES: Final = (
    f"count(*), count(*) FILTER (effectiveness >= {to_units(SUCCESS_AT)}), sum(effectiveness), count(DISTINCT user_id)"
)

Connection = duckdb.DuckDBPyConnection


def knows(question: rec.Question[Any]) -> bool:
    """Say whether the replica can answer; it holds one namespace, so it compares none."""
    return type(question) in _ANSWERS


def answer(connection: Connection, question: rec.Question[Any]) -> Any:
    """Answer one question that is known."""
    return _ANSWERS[type(question)](connection, question)


def _where(question: Any, moment: str = "") -> tuple[str, list[Any]]:
    """Return a condition of constants, and its parameters."""
    conditions: list[str] = ["true"]
    values: list[Any] = []
    user_ids: Sequence[str] = getattr(question, "user_ids", ())
    if user_ids:
        conditions.append("user_id IN (SELECT unnest(?))")
        values.append(list(user_ids))
    for bound, sign in (("since", ">="), ("until", "<")):
        limit = getattr(question, bound, None) if moment else None
        if limit is not None:
            conditions.append(f"{moment} {sign} make_timestamp(?)")
            values.append(to_micros(limit))
    return " AND ".join(conditions), values


def _importance(connection: Connection, question: rec.ImportanceByUser) -> rec.ImportanceAnswer:
    where, values = _where(question)
    chosen = f"SELECT DISTINCT user_id FROM scores WHERE {where} AND user_id > ? ORDER BY user_id LIMIT ?"
    connection.execute(f"CREATE TEMP TABLE chosen AS {chosen}", [*values, question.after or "", question.limit + 1])
    measured = (
        f"SELECT user_id, count(*), sum(score), quantile_cont(score, {[0.5, *DECILES]}) "
        "FROM scores SEMI JOIN chosen USING (user_id) GROUP BY user_id ORDER BY user_id"
    )
    named = "SELECT user_id, unnest(map_keys(factors)) AS name, unnest(map_values(factors)) AS value FROM scores"
    averaged = (
        "SELECT user_id, map(list(name ORDER BY name), list(mean ORDER BY name)) FROM "
        f"(SELECT user_id, name, avg(value) AS mean FROM ({named} SEMI JOIN chosen USING (user_id)) GROUP BY ALL) "
        "GROUP BY user_id"
    )
    users = connection.execute(measured).fetchall()
    factors: dict[str, dict[str, float]] = dict(connection.execute(averaged).fetchall())
    connection.execute("DROP TABLE chosen")
    rows = [
        rec.UserImportance(
            user_id,
            count,
            total / count / SCORE_UNITS,
            values[0] / SCORE_UNITS,
            tuple([value / SCORE_UNITS for value in values[1:]]),
            factors.get(user_id, {}),
        )
        for user_id, count, total, values in users
    ]
    return groups.importance(question, rows)


def _core(connection: Connection, question: rec.CoreMemories) -> rec.CoreMemoriesAnswer:
    where, values = _where(question)
    reaching = f"FROM scores WHERE {where} AND score >= ?"
    values.append(to_units(question.threshold))
    ((total, users),) = connection.execute(f"SELECT count(*), count(DISTINCT user_id) {reaching}", values).fetchall()
    best = f"SELECT user_id, memory_id, score {reaching} ORDER BY score DESC, user_id, memory_id LIMIT ?"
    rows = connection.execute(best, [*values, question.limit]).fetchall()
    core = [rec.CoreMemory(user, memory, from_units(score)) for user, memory, score in rows]
    return groups.core(question, core, total, users)


def _patterns(connection: Connection, question: rec.TopPatterns) -> rec.TopPatternsAnswer:
    where, values = _where(question)
    found = (
        "(SELECT pattern_id, pattern_type, count(*) AS users, sum(frequency)::DOUBLE AS frequency, "
        f"sum(confidence_sum)::DOUBLE, sum(importance_sum)::DOUBLE FROM patterns WHERE {where} GROUP BY ALL)"
    )
    values.append(question.minimum_group)
    ((hidden,),) = connection.execute(f"SELECT count(*) FROM {found} WHERE users < ?", values).fetchall()
    order = "users DESC, frequency DESC, pattern_id, pattern_type"
    most = f"FROM {found} WHERE users >= ? ORDER BY {order} LIMIT ?"
    rows = connection.execute(most, [*values, question.limit]).fetchall()
    seen = [Seen(name, kind, users, *map(int, sums)) for name, kind, users, *sums in rows]
    return groups.patterns(question, seen, hidden)


def _approaches(connection: Connection, question: rec.EffectivenessByApproach) -> rec.EffectivenessAnswer:
    where, values = _where(question, "occurred_at")
    found = f"SELECT approach, context[?] AS label, {_MEASURES} FROM outcomes WHERE {where} GROUP BY approach, label"
    if question.context is None:
        found = found.replace("context[?]", "NULL")
    rows = connection.execute(found, values if question.context is None else [question.context, *values]).fetchall()
    return groups.approaches(question, [((approach, label), Outcomes(*sums)) for approach, label, *sums in rows])


def _trend(connection: Connection, question: rec.EffectivenessTrend) -> rec.TrendAnswer:
    where, values = _where(question, "occurred_at")
    if question.approach is not None:
        where += " AND approach = ?"
        values.append(question.approach)
    period = f"(epoch_us(occurred_at) - {_ORIGIN}) // ?"
    found = f"SELECT {period} AS period, {_MEASURES} FROM outcomes WHERE {where} GROUP BY period"
    rows = connection.execute(found, [question.days * 24 * _HOUR, *values]).fetchall()
    return groups.periods(question, [(number, Outcomes(*sums)) for number, *sums in rows])


def _hours(connection: Connection, question: rec.ActivityByHour) -> rec.HourActivityAnswer:
    return groups.hours(question, _talk(connection, question, "hour % 168"))


def _days(connection: Connection, question: rec.ActivityByDay) -> rec.DayActivityAnswer:
    return groups.days(question, _talk(connection, question, "hour // 24"))


def _said(where: str) -> str:
    """Return the messages that users wrote, and the hour of each counted from `ORIGIN`."""
    hour = f"(epoch_us(said_at) - {_ORIGIN}) // {_HOUR}"
    return f"(SELECT user_id, {hour} AS hour FROM messages WHERE role = 'user' AND {where})"


def _talk(connection: Connection, question: Any, unit: str) -> list[tuple[int, Talk]]:
    where, values = _where(question, "said_at")
    found = f"SELECT {unit} AS unit, count(*), count(DISTINCT user_id) FROM {_said(where)} GROUP BY unit"
    return [(unit, Talk(*sums)) for unit, *sums in connection.execute(found, values).fetchall()]


def _cohorts(connection: Connection, question: rec.RetentionCohorts) -> rec.RetentionAnswer:
    came = f"SELECT DISTINCT user_id, hour // 24 // ? AS period FROM {_said('true')}"
    first = f"SELECT user_id, period, min(period) OVER (PARTITION BY user_id) AS first FROM ({came})"
    found = f"SELECT first, period - first AS later, count(*) FROM ({first}) GROUP BY ALL"
    rows = connection.execute(found, [question.days]).fetchall()
    return groups.cohorts(question, [((start, later), users) for start, later, users in rows])


_ANSWERS: Final[dict[type, Callable[[Connection, Any], Any]]] = {
    rec.ImportanceByUser: _importance,
    rec.CoreMemories: _core,
    rec.TopPatterns: _patterns,
    rec.EffectivenessByApproach: _approaches,
    rec.EffectivenessTrend: _trend,
    rec.ActivityByHour: _hours,
    rec.ActivityByDay: _days,
    rec.RetentionCohorts: _cohorts,
}
