"""Between the importance engine of the bot and our records: factors, scores and weights by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MethodType
from typing import Any, Final, cast

from whisper_persistence import MemoryScore
from whisper_persistence.records.memories import BASE_WEIGHTS

#: What the engine answers, factor by factor, where it could not score a memory.
_UNSCORED: Final = {
    "emotional_intensity": 0.5,
    "personal_relevance": 0.5,
    "recency": 0.5,
    "access_frequency": 0.1,
    "uniqueness": 0.5,
    "relationship_milestone": 0.0,
}


def factor_name(factor: Any) -> str:
    """Return the name of a factor, which may be a text or a member of an enumeration."""
    value = getattr(factor, "value", factor)
    if value in BASE_WEIGHTS or not hasattr(factor, "name"):
        return str(value)
    return str(factor.name).lower()


def base_weights(engine: Any) -> dict[str, float]:
    """Return the engine's own weights by name; ours where it has none."""
    own = getattr(engine, "importance_weights", None)
    if not isinstance(own, Mapping) or not own:
        return dict(BASE_WEIGHTS)
    return {factor_name(factor): float(weight) for factor, weight in cast("Mapping[Any, Any]", own).items()}


def under_weights(engine: Any, method: Callable[..., Any], weights: Mapping[str, float]) -> Callable[..., Any]:
    """Return a method of the engine as it works under other weights, for one call.

    It runs on a shallow copy of the engine, which shares its caches; the engine itself and its weights are never
    touched. A method that somebody else has put in the place of the engine's own stays as it is.
    """
    if not isinstance(method, MethodType) or method.__self__ is not engine:
        return method
    view: Any = copy.copy(cast("Any", engine))
    view.importance_weights = {
        factor: weights.get(factor_name(factor), weight) for factor, weight in view.importance_weights.items()
    }
    return MethodType(method.__func__, view)


def to_score(found: Any, user_id: str, memory_id: str) -> MemoryScore | None:
    """Return a score of the engine as a record; ``None`` for one that says that the memory could not be scored.

    Raises:
        Exception: it does not look like a score.
    """
    factors = _factors(found.factor_scores)
    if found.overall_score == 0.5 and factors == _UNSCORED:
        return None
    moment = getattr(found, "calculation_timestamp", None) or datetime.now(UTC)
    return MemoryScore(
        user_id=user_id,
        memory_id=memory_id,
        overall_score=float(found.overall_score),
        factor_scores=factors,
        calculation_timestamp=moment if moment.tzinfo else moment.replace(tzinfo=UTC),
        score_explanation=str(getattr(found, "score_explanation", "")),
        decay_rate=float(getattr(found, "decay_rate", 0.01)),
        boost_events=tuple(map(str, getattr(found, "boost_events", ()))),
    )


def _factors(found: Any) -> dict[str, float]:
    plain = found.to_dict() if hasattr(found, "to_dict") else found
    return {factor_name(factor): float(value) for factor, value in plain.items()}
