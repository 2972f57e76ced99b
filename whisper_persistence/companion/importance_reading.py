"""What a bot's memory says, whatever its shape: its words, age, topic and emotional context."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

#: A mapping that a bot keeps as a memory; every key is optional.
Memory = Mapping[str, Any]

#: How old a memory is taken to be whose timestamp nobody can read.
UNREADABLE_AGE: Final = timedelta(days=365)
#: How strong an emotion is taken to be that comes without a number.
DEFAULT_INTENSITY: Final = 0.5

_EMOTION_KEYS: Final = ("emotion", "primary_emotion", "detected_emotion")
_NO_MAPPING: Final[Mapping[str, Any]] = {}


def text_of(memory: Memory) -> str:
    """Return the words of a memory, lower-cased: its content, or its text, or what user and bot said."""
    for key in ("content", "text"):
        if memory.get(key):
            return str(memory[key]).lower()
    return " ".join(str(memory[key]) for key in ("user_message", "bot_response") if memory.get(key)).lower()


def topic_of(memory: Memory) -> str:
    """Return the topic of a memory, lower-cased, or an empty text."""
    return str(memory.get("topic") or "").strip().lower()


def id_of(memory: Memory) -> str:
    """Return the id of a memory, or an empty text."""
    found = memory.get("memory_id")
    return str(memory.get("id", "") if found is None else found)


def moment_of(memory: Memory, now: datetime) -> datetime:
    """Return when a memory was made: now if it does not say, a year ago if that cannot be read."""
    value = memory.get("timestamp")
    if value is None:
        return now
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return now - UNREADABLE_AGE


def emotion_of(memory: Memory) -> Mapping[str, Any]:
    """Return the emotional context of a memory, which may be a mapping, JSON, or the bare name of an emotion."""
    context = memory.get("emotional_context")
    if isinstance(context, str):
        context = _from_text(context)
    return cast("Mapping[str, Any]", context) if isinstance(context, Mapping) else _NO_MAPPING


def emotion_name(context: Mapping[str, Any]) -> str:
    """Return the name of the emotion in an emotional context, or an empty text."""
    return str(next((context[key] for key in _EMOTION_KEYS if context.get(key)), ""))


def intensity_of(context: Mapping[str, Any]) -> float:
    """Return the intensity in an emotional context, 0 to 1; what is no number counts as `DEFAULT_INTENSITY`."""
    try:
        intensity = float(context.get("intensity", DEFAULT_INTENSITY))
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_INTENSITY
    return min(max(intensity, 0.0), 1.0) if math.isfinite(intensity) else DEFAULT_INTENSITY


def is_set(context: Mapping[str, Any], flag: str) -> bool:
    """Return whether a flag is set; stores without booleans keep it as text."""
    value = context.get(flag)
    return value.strip().lower() in ("true", "yes", "1") if isinstance(value, str) else bool(value)


def accesses_of(memory: Memory) -> int | None:
    """Return how often a memory says it was recalled, or ``None`` where it does not say."""
    found = memory.get("access_count", metadata_of(memory).get("access_count"))
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def metadata_of(memory: Memory) -> Mapping[str, Any]:
    """Return the metadata of a memory, or nothing."""
    found = memory.get("metadata")
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else _NO_MAPPING


def lifted(memory: Memory) -> Memory:
    """Return a memory with topic and emotional context where scoring looks for them.

    Memory managers keep both in ``metadata``; what stands at the top already stays.
    """
    metadata = metadata_of(memory)
    raised: dict[str, Any] = {}
    if not memory.get("topic") and metadata.get("topic"):
        raised["topic"] = metadata["topic"]
    if not memory.get("emotional_context"):
        raised["emotional_context"] = metadata.get("emotional_context") or _detected(metadata)
    return {**memory, **raised}


def _detected(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = {"emotion": "detected_emotion", "intensity": "intensity"}
    flags = {flag: flag for flag in ("trigger_detected", "resolution_achieved")}
    return {key: metadata[name] for key, name in {**names, **flags}.items() if metadata.get(name) is not None}


def _from_text(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return {"emotion": text}
    return {"emotion": found} if isinstance(found, str) else found
