"""The questions that `aggregate` answers: a closed set, each with its own class of answer."""

from typing import Final

from whisper_persistence.records.questions.activity import (
    ActivityByDay,
    ActivityByHour,
    CohortRetention,
    DayActivity,
    DayActivityAnswer,
    HourActivity,
    HourActivityAnswer,
    RetentionAnswer,
    RetentionCohorts,
)
from whisper_persistence.records.questions.base import Answer, Question
from whisper_persistence.records.questions.importance import (
    CoreMemories,
    CoreMemoriesAnswer,
    CoreMemory,
    ImportanceAnswer,
    ImportanceByUser,
    TopPattern,
    TopPatterns,
    TopPatternsAnswer,
    UserImportance,
)
from whisper_persistence.records.questions.namespaces import CompareNamespaces, NamespacesAnswer, NamespaceSummary
from whisper_persistence.records.questions.support import (
    ApproachEffectiveness,
    Effectiveness,
    EffectivenessAnswer,
    EffectivenessByApproach,
    EffectivenessTrend,
    PeriodEffectiveness,
    TrendAnswer,
)

#: Every class of question.
QUESTIONS: Final = (
    ActivityByDay,
    ActivityByHour,
    CompareNamespaces,
    CoreMemories,
    EffectivenessByApproach,
    EffectivenessTrend,
    ImportanceByUser,
    RetentionCohorts,
    TopPatterns,
)

__all__ = [
    "QUESTIONS",
    "ActivityByDay",
    "ActivityByHour",
    "Answer",
    "ApproachEffectiveness",
    "CohortRetention",
    "CompareNamespaces",
    "CoreMemories",
    "CoreMemoriesAnswer",
    "CoreMemory",
    "DayActivity",
    "DayActivityAnswer",
    "Effectiveness",
    "EffectivenessAnswer",
    "EffectivenessByApproach",
    "EffectivenessTrend",
    "HourActivity",
    "HourActivityAnswer",
    "ImportanceAnswer",
    "ImportanceByUser",
    "NamespaceSummary",
    "NamespacesAnswer",
    "PeriodEffectiveness",
    "Question",
    "RetentionAnswer",
    "RetentionCohorts",
    "TopPattern",
    "TopPatterns",
    "TopPatternsAnswer",
    "TrendAnswer",
    "UserImportance",
]
