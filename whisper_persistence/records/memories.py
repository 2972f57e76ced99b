"""Which memories matter to a user: scores, statistics, patterns and preferences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import attrs

from whisper_persistence.records import fields
from whisper_persistence.records.fields import (
    Id,
    JsonObject,
    Label,
    Moment,
    Positive,
    Rate,
    Score,
    Scores,
    Shifts,
    Text,
    Whole,
    Wholes,
)

#: A memory scored at least this high is a candidate for the user's core memories.
CORE_AT: Final = 0.85
#: The weights that nobody has learned anything about yet; they add up to 1.
BASE_WEIGHTS: Final[Mapping[str, float]] = {
    "emotional_intensity": 0.30,
    "personal_relevance": 0.25,
    "recency": 0.15,
    "access_frequency": 0.15,
    "uniqueness": 0.10,
    "relationship_milestone": 0.05,
}
#: After this many adjustments of the weights, confidence in them is one half.
HALF_CONFIDENCE: Final = 10


@attrs.frozen
class MemoryScore:
    """How much one memory matters to one user.

    Attributes:
        user_id: to whom.
        memory_id: which memory; scoring it again replaces its score.
        overall_score: 0 to 1, quantised to 1e-9.
        factor_scores: each factor's part, 0 to 1, by its name.
        calculation_timestamp: when it was scored.
        score_explanation: why, in words; private.
        decay_rate: how much the score loses per day.
        boost_events: what raised it.
        extra: fields this version does not know.
        sequence: order of scoring among the user's memories, given by the store.
    """

    user_id: Id
    memory_id: Id
    overall_score: Score = attrs.field(converter=fields.quantise)
    factor_scores: Scores = attrs.field(factory=fields.new_table, converter=fields.quantise_values)
    calculation_timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    score_explanation: Text = attrs.field(default="", repr=False)
    decay_rate: Rate = attrs.field(default=0.01, converter=fields.quantise)
    boost_events: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple, repr=False)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    sequence: Whole | None = attrs.field(default=None, eq=False)


@attrs.frozen
class ScoreQuery:
    """One page of a user's memory scores.

    Attributes:
        user_id: whose scores.
        order: ``top`` (highest first) or ``recent`` (last scored first).
        limit: at most this many.
        after: the last score of the page before, or ``None`` for the first page.
    """

    user_id: Id
    order: Literal["top", "recent"] = "top"
    limit: Positive = 20
    after: MemoryScore | None = attrs.field(default=None, hash=False)


@attrs.frozen
class Statistics:
    """What is known of all of a user's memory scores, and the weights learned from them.

    Sums are whole numbers in units of 1e-9, so that no order of changes makes them drift.

    Attributes:
        user_id: whose.
        total_memories_scored: how many memories have a score.
        score_sum: the sum of their overall scores.
        minimum, maximum, median: of the overall scores; ``None`` while there are none. The store works them out from
            the scores it holds; for statistics saved without their scores they are as saved.
        core_memory_candidates: how many reach `CORE_AT`.
        factor_sums: each factor's sum, by name.
        factor_counts: how many scores named the factor.
        weight_adjustments: what was learned to add to each of `BASE_WEIGHTS`.
        adjustments: how often the weights were adjusted.
        last_updated: when anything last changed.
        extra: fields this version does not know.
    """

    user_id: Id
    total_memories_scored: Whole = 0
    score_sum: Whole = 0
    minimum: Score | None = attrs.field(default=None, converter=attrs.converters.optional(fields.quantise))
    maximum: Score | None = attrs.field(default=None, converter=attrs.converters.optional(fields.quantise))
    median: Score | None = attrs.field(default=None, converter=attrs.converters.optional(fields.quantise))
    core_memory_candidates: Whole = 0
    factor_sums: Wholes = attrs.field(factory=fields.new_table)
    factor_counts: Wholes = attrs.field(factory=fields.new_table)
    weight_adjustments: Wholes = attrs.field(factory=fields.new_table)
    adjustments: Whole = 0
    last_updated: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)

    def average_importance(self) -> float | None:
        """Return the mean overall score, or ``None`` while there is none."""
        return fields.from_units(self.score_sum) / self.total_memories_scored if self.total_memories_scored else None

    def factor_averages(self) -> dict[str, float]:
        """Return the mean of each factor over the scores that named it."""
        return {
            name: fields.from_units(total) / self.factor_counts[name]
            for name, total in self.factor_sums.items()
            if self.factor_counts.get(name)
        }

    def weights(self, base: Mapping[str, float] = BASE_WEIGHTS) -> dict[str, float]:
        """Return the learned weights: ``base`` plus the adjustments, none below zero, normalised to a sum of 1."""
        raw = {
            name: max(0.0, weight + fields.from_units(self.weight_adjustments.get(name, 0)))
            for name, weight in base.items()
        }
        total = sum(raw.values())
        return {name: weight / total for name, weight in raw.items()} if total > 0 else dict(base)

    def confidence(self) -> float:
        """Return how far the learned weights may be trusted, 0 to 1: n / (n + `HALF_CONFIDENCE`)."""
        return self.adjustments / (self.adjustments + HALF_CONFIDENCE)


@attrs.frozen
class StatisticsChange:
    """Something learned about which memories matter, applicable without having read what is stored.

    Attributes:
        user_id: about whom.
        scores: memories that were scored; the newest score of a memory replaces its older one.
        forgotten: ids of memories that are gone, with their scores.
        weight_adjustments: what to add to each learned weight, -1 to 1, by factor.
        extra: entries to set.
        timestamp: when it was learned.
        change_id: unique; applying one change twice equals once.
    """

    user_id: Id
    scores: tuple[MemoryScore, ...] = attrs.field(default=(), converter=fields.to_tuple)
    forgotten: tuple[Label, ...] = attrs.field(default=(), converter=fields.to_tuple)
    weight_adjustments: Shifts = attrs.field(factory=fields.new_table, converter=fields.quantise_values)
    extra: JsonObject = attrs.field(factory=fields.new_table, repr=False)
    timestamp: Moment = attrs.field(factory=fields.now, converter=fields.to_utc)
    change_id: Id = attrs.field(factory=fields.new_id)

    def apply_to(self, record: Statistics | None, previous: Mapping[str, MemoryScore]) -> Statistics:
        """Return ``record`` as it is after this change.

        Args:
            record: the user's statistics, or ``None`` where there are none yet.
            previous: the stored scores of the memories that this change names, by memory id.

        Minimum, maximum and median are those that can be told without the other scores; whoever holds all the
        scores replaces them.
        """
        before = record or Statistics(self.user_id, last_updated=self.timestamp)
        new = self.latest_scores()
        gone = {key: score for key, score in previous.items() if key in new or key in self.forgotten}
        added, taken = list(new.values()), list(gone.values())
        return attrs.evolve(
            before,
            total_memories_scored=max(0, before.total_memories_scored + len(added) - len(taken)),
            score_sum=before.score_sum + _units(added) - _units(taken),
            minimum=min([s.overall_score for s in added] + _known(before.minimum), default=None),
            maximum=max([s.overall_score for s in added] + _known(before.maximum), default=None),
            core_memory_candidates=max(0, before.core_memory_candidates + _core(added) - _core(taken)),
            factor_sums=_moved(before.factor_sums, _factors(added, fields.to_units), _factors(taken, fields.to_units)),
            factor_counts=_moved(before.factor_counts, _factors(added, _one), _factors(taken, _one)),
            weight_adjustments=_moved(
                before.weight_adjustments, {k: fields.to_units(v) for k, v in self.weight_adjustments.items()}, {}
            ),
            adjustments=before.adjustments + bool(self.weight_adjustments),
            last_updated=max(before.last_updated, self.timestamp),
            extra={**before.extra, **self.extra},
        )

    def latest_scores(self) -> dict[str, MemoryScore]:
        """Return the last score of each memory, by memory id, in the order of those last scores."""
        last = {score.memory_id: position for position, score in enumerate(self.scores)}
        return {self.scores[position].memory_id: self.scores[position] for position in sorted(last.values())}

    def memory_ids(self) -> tuple[str, ...]:
        """Return the ids of the memories this change scores or forgets, each once."""
        return tuple(dict.fromkeys([*(score.memory_id for score in self.scores), *self.forgotten]))


def _units(scores: list[MemoryScore]) -> int:
    return sum(fields.to_units(score.overall_score) for score in scores)


def _known(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _core(scores: list[MemoryScore]) -> int:
    return sum(score.overall_score >= CORE_AT for score in scores)


def _one(_: float) -> int:
    return 1


def _factors(scores: list[MemoryScore], measure: Callable[[float], int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for score in scores:
        for name, value in score.factor_scores.items():
            totals[name] = totals.get(name, 0) + measure(value)
    return totals


def _moved(before: Mapping[str, int], added: Mapping[str, int], taken: Mapping[str, int]) -> dict[str, int]:
    names = dict.fromkeys([*before, *added, *taken])
    return {name: before.get(name, 0) + added.get(name, 0) - taken.get(name, 0) for name in names}
