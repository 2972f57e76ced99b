"""What all of a user's scores say together, in the words of WhisperEngine."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import attrs

from whisper_persistence.records import MemoryScore, Statistics, StatisticsChange


def summary_of(statistics: Statistics | None) -> dict[str, Any]:
    """Return stored statistics as a summary; nothing where no memory has a score."""
    if statistics is None or not statistics.total_memories_scored:
        return {}
    return {
        "total_memories_scored": statistics.total_memories_scored,
        "average_importance": statistics.average_importance(),
        "median_importance": statistics.median,
        "max_importance": statistics.maximum,
        "min_importance": statistics.minimum,
        "core_memory_candidates": statistics.core_memory_candidates,
        "factor_averages": statistics.factor_averages(),
    }


def summary_of_scores(scores: Sequence[MemoryScore]) -> dict[str, Any]:
    """Return the same summary of one user's scores at hand, a memory each."""
    if not scores:
        return {}
    counted = StatisticsChange(scores[0].user_id, scores=tuple(scores)).apply_to(None, {})
    return summary_of(attrs.evolve(counted, median=median(score.overall_score for score in scores)))
