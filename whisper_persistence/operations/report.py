"""What an operator looks at: what helped, when people talk, whether they come back, and which memories matter."""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

import attrs

from whisper_persistence.errors import NotSupportedError
from whisper_persistence.records import (
    ActivityByDay,
    ActivityByHour,
    Answer,
    CompareNamespaces,
    CoreMemories,
    CoreMemoriesAnswer,
    DayActivityAnswer,
    EffectivenessAnswer,
    EffectivenessByApproach,
    EffectivenessTrend,
    HourActivityAnswer,
    ImportanceByUser,
    NamespacesAnswer,
    Question,
    RetentionAnswer,
    RetentionCohorts,
    TopPatterns,
    TopPatternsAnswer,
    TrendAnswer,
    UserImportance,
    fields,
)
from whisper_persistence.store import Store

#: How few users a group of a report on everybody may have, unless somebody says otherwise.
MINIMUM_GROUP: Final = 5
#: Into how many bands the users' mean importance is sorted.
BANDS: Final = 10
#: How many users are asked about at once.
_PAGE: Final = 10_000

A = TypeVar("A", bound=Answer)


@attrs.frozen
class Band:
    """How many users' memories have, on average, an importance between two values."""

    low: float
    high: float
    users: int


@attrs.frozen
class UsageReport:
    """Answers to every question, of one user or of all; ``None`` where no driver of the chain answers.

    Attributes:
        namespace: the bot or character.
        user_id: whom it is about, or ``None`` for everybody.
        minimum_group: groups of fewer users are left out of it.
        created: when it was made.
        namespaces: what is kept of each bot of the database; ``None`` in a report on one user.
        approaches, trend: what helped.
        hours, days: when people talk.
        cohorts: whether they come back; ``None`` in a report on one user.
        patterns: what kinds of memory matter.
        core: the memories that matter most; their rows, which name users, only in a report on one user.
        importance: the measures of the user's memories, or ``None``.
        bands: how the users' mean importance is spread; nothing in a report on one user.
        hidden: how many groups were left out.
    """

    namespace: str
    user_id: str | None
    minimum_group: int
    created: datetime
    namespaces: NamespacesAnswer | None
    approaches: EffectivenessAnswer | None
    trend: TrendAnswer | None
    hours: HourActivityAnswer | None
    days: DayActivityAnswer | None
    cohorts: RetentionAnswer | None
    patterns: TopPatternsAnswer | None
    core: CoreMemoriesAnswer | None
    importance: UserImportance | None
    bands: tuple[Band, ...] = ()
    hidden: int = 0

    def is_empty(self) -> bool:
        """Say whether there is nothing to show."""
        answers = (self.approaches, self.trend, self.hours, self.days, self.patterns, self.core)
        return not (self.importance or self.bands or any(answer and answer.rows for answer in answers))


def load_report(
    store: Store, user_id: str | None = None, minimum_group: int = MINIMUM_GROUP, context: str | None = None
) -> UsageReport:
    """Ask every question.

    Args:
        store: where to ask.
        user_id: about whom, or ``None`` for everybody.
        minimum_group: groups of fewer users are left out; a report on one user leaves out none.
        context: tell outcomes apart by this key of their context.
    """
    users, least = ((user_id,), 1) if user_id else ((), minimum_group)
    core = _ask(store, CoreMemories(users, limit=10, minimum_group=least))
    bands, few = ((), 0) if user_id else _bands(store, least)
    found = UsageReport(
        namespace=store.namespace,
        user_id=user_id,
        minimum_group=least,
        created=fields.now(),
        namespaces=None if user_id else _ask(store, CompareNamespaces(least)),
        approaches=_ask(store, EffectivenessByApproach(context, users, minimum_group=least, limit=30)),
        trend=_ask(store, EffectivenessTrend(user_ids=users, minimum_group=least, limit=52)),
        hours=_ask(store, ActivityByHour(users, minimum_group=least)),
        days=_ask(store, ActivityByDay(users, minimum_group=least, limit=90)),
        cohorts=None if user_id else _ask(store, RetentionCohorts(minimum_group=least, cohorts=12)),
        patterns=_ask(store, TopPatterns(users, minimum_group=least)),
        core=core if user_id or core is None else attrs.evolve(core, rows=()),
        importance=_importance(store, user_id) if user_id else None,
        bands=bands,
    )
    answers = (found.namespaces, found.approaches, found.trend, found.hours, found.days, found.cohorts, found.patterns)
    return attrs.evolve(found, hidden=few + sum(answer.hidden for answer in answers if answer))


def _ask(store: Store, question: Question[A]) -> A | None:
    try:
        return store.aggregate(question)
    except NotSupportedError:
        return None


def _importance(store: Store, user_id: str) -> UserImportance | None:
    answer = _ask(store, ImportanceByUser((user_id,)))
    return answer.rows[0] if answer and answer.rows else None


def _bands(store: Store, minimum_group: int) -> tuple[tuple[Band, ...], int]:
    """Return how the users' mean importance is spread, and how many bands have too few users."""
    counts = [0] * BANDS
    after: str | None = None
    while answer := _ask(store, ImportanceByUser(limit=_PAGE, after=after)):
        for row in answer.rows:
            counts[min(BANDS - 1, int(row.mean * BANDS))] += 1
        after = answer.next
        if after is None:
            break
    bands = [Band(n / BANDS, (n + 1) / BANDS, count) for n, count in enumerate(counts) if count]
    kept = tuple(band for band in bands if band.users >= minimum_group)
    return kept, len(bands) - len(kept)
