"""How memories are scored, and what an adjustment answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from random import Random

import attrs

from whisper_persistence.records import Durability, fields


@attrs.frozen
class ImportanceOptions:
    """How memories are scored, and how much is remembered in memory.

    Attributes:
        count_accesses: real access counts instead of a random number.
        lift_memory_shape: read topic and emotion from ``metadata`` where they do not stand at the top, and leave a
            memory out of its own history; without it, memories in the shape of WhisperEngine's manager show no emotion.
        cached_scores: how many scores `MemoryImportanceEngine.importance_cache` holds.
        remembered_users: of how many users weights and last answers are remembered.
        max_pending: how many changes may wait in an outage.
        weights_max_age: seconds after which a user's weights are read again, because another process may have learned.
        retry_seconds: how long a storage that did not answer is left alone.
        random: where the random access factor comes from; seed it to repeat scores.
        now: the present.
        clock: seconds that only grow.
    """

    count_accesses: bool = False
    lift_memory_shape: bool = False
    cached_scores: int = 10_000
    remembered_users: int = 10_000
    max_pending: int = 1_000
    weights_max_age: float = 60.0
    retry_seconds: float = 1.0
    random: Random = attrs.field(factory=Random, repr=False)
    now: Callable[[], datetime] = fields.now
    clock: Callable[[], float] = time.monotonic


@attrs.frozen
class Adjustment:
    """What an adjustment did.

    Attributes:
        user_id: for whom.
        adjusted: how many memories got another score.
        weights: the user's weights after it; they add up to 1.
        durability: how safe it is; ``VOLATILE`` while it waits for the storage.
    """

    user_id: str
    adjusted: int
    weights: dict[str, float]
    durability: Durability = Durability.DURABLE
