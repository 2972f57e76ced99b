"""The whole suite in one class."""

from __future__ import annotations

from whisper_persistence.testing.aggregating import AggregateConformance
from whisper_persistence.testing.concurrency import ConcurrencyConformance
from whisper_persistence.testing.conversations import ConversationConformance
from whisper_persistence.testing.declared import DeclarationConformance
from whisper_persistence.testing.edits import EditConformance
from whisper_persistence.testing.erasing import EraseConformance
from whisper_persistence.testing.expiring import ExpiryConformance
from whisper_persistence.testing.following import FollowerConformance
from whisper_persistence.testing.hits import HitConformance
from whisper_persistence.testing.learning import LearningConformance
from whisper_persistence.testing.leasing import LeaseConformance
from whisper_persistence.testing.namespaces import NamespaceConformance
from whisper_persistence.testing.patterns import PatternConformance
from whisper_persistence.testing.preferences import PreferencesConformance
from whisper_persistence.testing.processes import ProcessConformance
from whisper_persistence.testing.receipts import ReceiptConformance
from whisper_persistence.testing.refusals import RefusalConformance
from whisper_persistence.testing.replaying import ReplayConformance
from whisper_persistence.testing.restarts import RestartConformance
from whisper_persistence.testing.scanning import ScanConformance
from whisper_persistence.testing.scores import ScoreConformance
from whisper_persistence.testing.searching import SearchConformance
from whisper_persistence.testing.sequences import SequenceConformance
from whisper_persistence.testing.statistics import StatisticsConformance
from whisper_persistence.testing.strategies import StrategyConformance
from whisper_persistence.testing.vectors import VectorConformance
from whisper_persistence.testing.windows import WindowConformance


class DriverConformance(
    DeclarationConformance,
    RefusalConformance,
    StrategyConformance,
    LearningConformance,
    StatisticsConformance,
    ScoreConformance,
    PatternConformance,
    PreferencesConformance,
    ConversationConformance,
    WindowConformance,
    EditConformance,
    ReceiptConformance,
    NamespaceConformance,
    FollowerConformance,
    LeaseConformance,
    ScanConformance,
    EraseConformance,
    ExpiryConformance,
    AggregateConformance,
    SearchConformance,
    HitConformance,
    VectorConformance,
    ReplayConformance,
    RestartConformance,
    ConcurrencyConformance,
    ProcessConformance,
    SequenceConformance,
):
    """Every test for a driver, by subject; a driver's test class subclasses it and defines `open_store`."""
