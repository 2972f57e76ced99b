"""The companion's mind: how to support each user, which memories matter, and the talk, learned, kept and used."""

# One import block and one list, each sorted by name.
from whisper_persistence.companion.conversation_cache import HybridConversationCache
from whisper_persistence.companion.conversation_storage import HybridConversationStorage
from whisper_persistence.companion.emotional_intelligence import EmotionalIntelligence
from whisper_persistence.companion.importance_options import Adjustment, ImportanceOptions
from whisper_persistence.companion.knowledge import Knowledge
from whisper_persistence.companion.memory_importance import MemoryImportanceEngine
from whisper_persistence.companion.persistent_strategies import PersistentStrategies
from whisper_persistence.companion.recommending import Recommendation, recommend
from whisper_persistence.companion.replies import ReplyScore, score_reply
from whisper_persistence.companion.strategy_mixin import StrategyPersistenceMixin
from whisper_persistence.companion.support import (
    InterventionStyle,
    SupportIntervention,
    SupportOutcome,
    SupportStrategy,
    SupportTiming,
    SupportType,
)

__all__ = [
    "Adjustment",
    "EmotionalIntelligence",
    "HybridConversationCache",
    "HybridConversationStorage",
    "ImportanceOptions",
    "InterventionStyle",
    "Knowledge",
    "MemoryImportanceEngine",
    "PersistentStrategies",
    "Recommendation",
    "ReplyScore",
    "StrategyPersistenceMixin",
    "SupportIntervention",
    "SupportOutcome",
    "SupportStrategy",
    "SupportTiming",
    "SupportType",
    "recommend",
    "score_reply",
]
