"""Pages of memory scores, the highest or the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, select, tuple_

from whisper_persistence.records import MemoryScore, ScoreQuery
from whisper_persistence.records.fields import to_units
from whisper_persistence_drivers.sql.checksums import Text, checked
from whisper_persistence_drivers.sql.columns import PlainText
from whisper_persistence_drivers.sql.damage import Asked, read_page
from whisper_persistence_drivers.sql.flavour import Flavour, Prepared
from whisper_persistence_drivers.sql.session import NEWEST, Session, mine, set_sequence

_score = checked(MemoryScore)


class _Statements(NamedTuple):
    top: Prepared
    recent: Prepared


@cache
def _statements(flavour: Flavour) -> _Statements:
    scores, number = flavour.tables.scores.c, BigInteger()
    page = select(scores.sequence, *flavour.checked(scores))

    def top(given: Mapping[str, Any]) -> Any:
        lower = tuple_(scores.score, scores.memory_id) < tuple_(given["score"], given["memory_id"])
        found = page.where(mine(scores), scores.user_id == given["user_id"], lower)
        return found.order_by(scores.score.desc(), scores.memory_id.desc()).limit(given["limit"])

    def recent(given: Mapping[str, Any]) -> Any:
        older = page.where(mine(scores), scores.user_id == given["user_id"], scores.sequence < given["before"])
        return older.order_by(scores.sequence.desc()).limit(given["limit"])

    return _Statements(
        top=flavour.each(top, user_id=PlainText, score=number, memory_id=PlainText, limit=number),
        recent=flavour.each(recent, user_id=PlainText, before=number, limit=number),
    )


def load_scores(session: Session, queries: Sequence[ScoreQuery]) -> dict[ScoreQuery, tuple[MemoryScore, ...]]:
    """Return a page of scores for each query that finds any."""
    sql, found = _statements(session.flavour), dict[ScoreQuery, tuple[MemoryScore, ...]]()
    for order, statement, bounds in (("top", sql.top, _top_bounds), ("recent", sql.recent, _recent_bounds)):
        asked = [query for query in queries if query.order == order]
        sets = [bounds(query) for query in asked]
        for query, values, rows in zip(asked, sets, session.each(statement, sets), strict=True):
            page = Asked("scores", statement, values)
            found[query] = read_page(session, page, rows, lambda row: read_score(*row))
    return {query: found[query] for query in queries if found[query]}


def _top_bounds(query: ScoreQuery) -> dict[str, Any]:
    after = query.after
    score, memory_id = (NEWEST, "") if after is None else (to_units(after.overall_score), after.memory_id)
    return {"user_id": query.user_id, "score": score, "memory_id": memory_id, "limit": query.limit}


def _recent_bounds(query: ScoreQuery) -> dict[str, Any]:
    before = NEWEST if query.after is None else query.after.sequence or 0
    return {"user_id": query.user_id, "before": before, "limit": query.limit}


def read_score(sequence: int, record: Text, kept: int | None) -> MemoryScore:
    """Return a score from its row."""
    score = _score(record, kept, sequence)
    set_sequence(score, sequence)
    return score
