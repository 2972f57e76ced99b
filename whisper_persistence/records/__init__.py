"""The records and changes that travel from a bot to its storage and back."""

from whisper_persistence.records.asking import Answer, Question
from whisper_persistence.records.conversations import (
    ClearMark,
    Message,
    MessageChange,
    MessageEdit,
    MessageRedaction,
    Window,
)
from whisper_persistence.records.following import Follower, Pending, Revision, Thing
from whisper_persistence.records.maintenance import (
    RECORD_KINDS,
    BackupReport,
    Page,
    Retention,
    SchemaReport,
    State,
    TierHealth,
    TierReport,
    Tombstone,
)
from whisper_persistence.records.memories import MemoryScore, ScoreQuery, Statistics, StatisticsChange
from whisper_persistence.records.patterns import Pattern, PatternChange, Preferences, PreferencesChange
from whisper_persistence.records.receipts import Durability, Receipt
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
    "RECORD_KINDS",
    "Answer",
    "BackupReport",
    "ClearMark",
    "Durability",
    "Embedding",
    "Follower",
    "MemoryScore",
    "Message",
    "MessageChange",
    "MessageEdit",
    "MessageRedaction",
    "Outcome",
    "OutcomeQuery",
    "Page",
    "Pattern",
    "PatternChange",
    "Pending",
    "Preferences",
    "PreferencesChange",
    "Question",
    "Receipt",
    "Retention",
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
    "Vector",
    "VectorQuery",
    "Window",
]
