"""Statistics and patterns of the earlier attempt, as our records."""

from __future__ import annotations

from typing import Final

from whisper_persistence.operations.whisperengine_rows import (
    Row,
    Synonyms,
    to_count,
    to_moment,
    to_names,
    to_share,
    to_table,
)
from whisper_persistence.records import Pattern, Statistics, fields

#: The columns of ``user_memory_statistics``. ``importance_weights`` is not among them: it held the weights of the
#: engine, which every user's learning had changed.
STATISTICS: Final[Synonyms] = {
    "total": ("total_memories_scored", "total_memories"),
    "average": ("average_importance", "average_importance_score"),
    "median": ("median_importance", "median_importance_score"),
    "minimum": ("min_importance", "minimum_importance", "min_importance_score"),
    "maximum": ("max_importance", "maximum_importance", "max_importance_score"),
    "core": ("core_memory_candidates", "core_memories_count", "core_memory_count"),
    "factor_averages": ("factor_averages",),
    "last_updated": ("last_updated", "updated_at", "created_at"),
}
#: The columns of ``memory_importance_patterns``.
PATTERNS: Final[Synonyms] = {
    "pattern_id": ("pattern_id", "pattern_name", "pattern_key", "name", "id"),
    "pattern_type": ("pattern_type", "type"),
    "frequency": ("frequency_count", "frequency", "occurrence_count"),
    "confidence": ("confidence_score", "confidence"),
    "importance": ("importance_score", "average_importance", "importance"),
    "keywords": ("pattern_keywords", "keywords"),
    "first_seen": ("first_seen", "first_observed", "created_at"),
    "last_seen": ("last_seen", "last_observed", "last_updated", "updated_at"),
}


def statistics_of(row: Row) -> Statistics:
    """Return statistics without their scores, which were never stored: sums follow from the averages."""
    said, total = row.known, to_count(row.known.get("total"))
    averages = {name: to_share(value) for name, value in to_table(said.get("factor_averages")).items()}
    sums = {name: fields.to_units(value * total) for name, value in averages.items() if value is not None and total}
    return Statistics(
        row.user_id,
        total_memories_scored=total,
        score_sum=fields.to_units((to_share(said.get("average")) or 0.0) * total),
        minimum=to_share(said.get("minimum")) if total else None,
        maximum=to_share(said.get("maximum")) if total else None,
        median=to_share(said.get("median")) if total else None,
        core_memory_candidates=min(to_count(said.get("core")), total),
        factor_sums=sums,
        factor_counts=dict.fromkeys(sums, total),
        last_updated=to_moment(said.get("last_updated")) or fields.now(),
        extra=row.extra,
    )


def pattern_of(row: Row) -> Pattern:
    """Return a pattern; one that was seen was seen at least once."""
    said = row.known
    count = max(1, to_count(said.get("frequency")))
    seen = [moment for name in ("first_seen", "last_seen") if (moment := to_moment(said.get(name)))] or [fields.now()]
    return Pattern(
        row.user_id,
        str(said.get("pattern_id", "")),
        pattern_type=str(said.get("pattern_type", "")),
        keywords=to_names(said.get("keywords")),
        frequency=count,
        confidence_sum=fields.to_units((to_share(said.get("confidence")) or 0.0) * count),
        importance_sum=fields.to_units((to_share(said.get("importance")) or 0.0) * count),
        first_seen=min(seen),
        last_seen=max(seen),
        extra=row.extra,
    )
