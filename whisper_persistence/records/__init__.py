"""The records and changes that travel from a bot to its storage and back."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from whisper_persistence.records.conversations import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Window,
)
from whisper_persistence.records.receipts import Durability, Receipt

if TYPE_CHECKING:
    from whisper_persistence.records.following import Follower, Lease, Pending, Revision, Thing
    from whisper_persistence.records.integrity import ChainProblem, ChainReport
    from whisper_persistence.records.maintenance import (
        RECORD_KINDS,
        BackupReport,
        Page,
        SchemaReport,
        State,
        TierHealth,
        TierReport,
        Tombstone,
    )
    from whisper_persistence.records.memories import MemoryScore, ScoreQuery, Statistics, StatisticsChange
    from whisper_persistence.records.patterns import Pattern, PatternChange, Preferences, PreferencesChange
    from whisper_persistence.records.questions import (
        QUESTIONS,
        ActivityByDay,
        ActivityByHour,
        Answer,
        ApproachEffectiveness,
        CohortRetention,
        CompareNamespaces,
        CoreMemories,
        CoreMemoriesAnswer,
        CoreMemory,
        DayActivity,
        DayActivityAnswer,
        Effectiveness,
        EffectivenessAnswer,
        EffectivenessByApproach,
        EffectivenessTrend,
        HourActivity,
        HourActivityAnswer,
        ImportanceAnswer,
        ImportanceByUser,
        NamespacesAnswer,
        NamespaceSummary,
        PeriodEffectiveness,
        Question,
        RetentionAnswer,
        RetentionCohorts,
        TopPattern,
        TopPatterns,
        TopPatternsAnswer,
        TrendAnswer,
        UserImportance,
    )
    from whisper_persistence.records.retention import Retention
    from whisper_persistence.records.searching import (
        Embedding,
        SearchHit,
        SearchQuery,
        SearchResult,
        Vector,
        VectorQuery,
    )
    from whisper_persistence.records.strategies import Outcome, OutcomeQuery, Strategy, StrategyChange

__all__ = [
    "QUESTIONS",
    "RECORD_KINDS",
    "ActivityByDay",
    "ActivityByHour",
    "Answer",
    "ApproachEffectiveness",
    "BackupReport",
    "ChainProblem",
    "ChainReport",
    "ClearMark",
    "CohortRetention",
    "CompareNamespaces",
    "CoreMemories",
    "CoreMemoriesAnswer",
    "CoreMemory",
    "DayActivity",
    "DayActivityAnswer",
    "Durability",
    "Effectiveness",
    "EffectivenessAnswer",
    "EffectivenessByApproach",
    "EffectivenessTrend",
    "Embedding",
    "Follower",
    "HourActivity",
    "HourActivityAnswer",
    "ImportanceAnswer",
    "ImportanceByUser",
    "Lease",
    "MemoryScore",
    "Message",
    "MessageChange",
    "MessageEdit",
    "MessageRedaction",
    "NamespaceSummary",
    "NamespacesAnswer",
    "Outcome",
    "OutcomeQuery",
    "Page",
    "Pattern",
    "PatternChange",
    "Pending",
    "PeriodEffectiveness",
    "Preferences",
    "PreferencesChange",
    "Question",
    "Receipt",
    "Retention",
    "RetentionAnswer",
    "RetentionCohorts",
    "Revision",
    "SchemaReport",
    "ScoreQuery",
    "SearchHit",
    "SearchQuery",
    "SearchResult",
    "State",
    "Statistics",
    "StatisticsChange",
    "Strategy",
    "StrategyChange",
    "Thing",
    "TierHealth",
    "TierReport",
    "Tombstone",
    "TopPattern",
    "TopPatterns",
    "TopPatternsAnswer",
    "TrendAnswer",
    "UserImportance",
    "Vector",
    "VectorQuery",
    "Window",
]


#: The modules that are imported when something of theirs is first asked for, since few programs ask: attrs makes each
#: class anew in every process. What is in none of these is in `questions`.
_ON_USE: Final = {
    "following": ("Follower", "Lease", "Pending", "Revision", "Thing"),
    "integrity": ("ChainProblem", "ChainReport"),
    "maintenance": (
        "RECORD_KINDS",
        "BackupReport",
        "Page",
        "SchemaReport",
        "State",
        "TierHealth",
        "TierReport",
        "Tombstone",
    ),
    "memories": ("MemoryScore", "ScoreQuery", "Statistics", "StatisticsChange"),
    "patterns": ("Pattern", "PatternChange", "Preferences", "PreferencesChange"),
    "retention": ("Retention",),
    "searching": ("Embedding", "SearchHit", "SearchQuery", "SearchResult", "Vector", "VectorQuery"),
    "strategies": ("Outcome", "OutcomeQuery", "Strategy", "StrategyChange"),
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Return what is imported on use."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = next((module for module, names in _ON_USE.items() if name in names), "questions")
        value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
        return value
