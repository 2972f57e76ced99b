"""Questions about which memories matter."""

from __future__ import annotations

from typing import ClassVar

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.fields import Id, Positive
from whisper_persistence.records.memories import CORE_AT
from whisper_persistence.records.questions.base import Answer, Question, Rows, Share


@attrs.frozen
class UserImportance:
    """How much one user's memories matter.

    Attributes:
        user_id: whose memories.
        count: how many memories have a score.
        mean, median: of their scores.
        deciles: the nine values that divide the scores into tenths.
        factor_averages: the mean of each factor over the scores that name it, by name.
    """

    user_id: str
    count: int
    mean: float
    median: float
    deciles: tuple[float, ...]
    factor_averages: dict[str, float]


@attrs.frozen
class ImportanceAnswer(Answer):
    """The answer to `ImportanceByUser`.

    Attributes:
        rows: one per user, by user id.
        next: the last user id of this page, where another page follows; `ImportanceByUser.after` of the next question.
    """

    rows: tuple[UserImportance, ...] = ()
    next: str | None = None


@attrs.frozen
class ImportanceByUser(Question[ImportanceAnswer]):
    """How much does each user's memories matter, and by which factors? Worked out from the stored scores.

    Attributes:
        user_ids: only of these users; empty for all.
        limit: at most this many users.
        after: only users whose id follows this one, by code point.
    """

    subject: ClassVar = "statistics"

    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    limit: Rows = 1_000
    after: Id | None = None


@attrs.frozen
class CoreMemory:
    """A memory that matters most.

    Attributes:
        user_id: to whom.
        memory_id: which memory.
        score: its overall score.
    """

    user_id: str
    memory_id: str
    score: float


@attrs.frozen
class CoreMemoriesAnswer(Answer):
    """The answer to `CoreMemories`.

    Attributes:
        rows: the highest score first, then by user and memory id.
        total: how many memories reach the threshold, also those that did not fit.
        users: how many users have any.
    """

    rows: tuple[CoreMemory, ...] = ()
    total: int = 0
    users: int = 0


@attrs.frozen
class CoreMemories(Question[CoreMemoriesAnswer]):
    """Which memories matter most?

    Attributes:
        user_ids: only of these users; empty for all.
        threshold: memories with at least this score.
        limit: at most this many rows.
        minimum_group: where fewer users have any, none is named: no rows, and ``total`` and ``users`` are 0.
    """

    subject: ClassVar = "statistics"

    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    threshold: Share = attrs.field(default=CORE_AT, converter=fields.quantise)
    limit: Rows = 100
    minimum_group: Positive = 1


@attrs.frozen
class TopPattern:
    """A kind of memory that matters to many.

    Attributes:
        pattern_id: which pattern.
        pattern_type: its kind.
        users: how many users it was seen with.
        frequency: how often it was seen.
        confidence, importance: the mean of all observations, 0 to 1.
    """

    pattern_id: str
    pattern_type: str
    users: int
    frequency: int
    confidence: float
    importance: float


@attrs.frozen
class TopPatternsAnswer(Answer):
    """The answer to `TopPatterns`.

    Attributes:
        rows: the pattern of most users first, then the most frequent, then by id and kind.
        hidden: how many patterns were left out because too few users show them.
    """

    rows: tuple[TopPattern, ...] = ()
    hidden: int = 0


@attrs.frozen
class TopPatterns(Question[TopPatternsAnswer]):
    """Which patterns do most users share?

    Attributes:
        user_ids: only of these users; empty for all.
        minimum_group: patterns of fewer users are left out.
        limit: at most this many rows.
    """

    subject: ClassVar = "statistics"

    user_ids: tuple[Id, ...] = attrs.field(default=(), converter=fields.to_tuple)
    minimum_group: Positive = 1
    limit: Rows = 20
