"""What a user's feedback teaches about weights: one pure rule.

A memory that helped raises the weights of the factors in which it stands above its own average and lowers the others;
one that did not help does the opposite. The shifts of one feedback add up to zero, each is at most `STEP`, and
what is learned of one factor never leaves -`LIMIT` to `LIMIT`, so that no factor takes over and all can come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from whisper_persistence.records import MemoryScore, Statistics, StatisticsChange
from whisper_persistence.records.fields import from_units

#: How far one feedback can shift one weight.
STEP: Final = 0.05
#: How far everything learned can shift one weight.
LIMIT: Final = 0.2


def shifts(factor_scores: Mapping[str, float], helpful: bool, learned: Mapping[str, int]) -> dict[str, float]:
    """Return what one feedback adds to each weight; factors that it teaches nothing about are left out.

    Args:
        factor_scores: the factors of the memory that it is about.
        helpful: whether recalling it helped.
        learned: what was added before, in units of 1e-9.
    """
    if not factor_scores:
        return {}
    average = sum(factor_scores.values()) / len(factor_scores)
    direction = STEP if helpful else -STEP
    found = {
        name: _within(direction * (value - average), from_units(learned.get(name, 0)))
        for name, value in factor_scores.items()
    }
    return {name: shift for name, shift in found.items() if round(shift, 9)}


def _within(shift: float, before: float) -> float:
    return min(max(before + shift, min(before, -LIMIT)), max(before, LIMIT)) - before


def teaching(score: MemoryScore | None, count_accesses: bool) -> dict[str, float]:
    """Return the factors that feedback may teach about: a random access factor says nothing of the user."""
    found = score.factor_scores if score else {}
    return {name: value for name, value in found.items() if count_accesses or name != "access_frequency"}


def relearned(known: Statistics | None, wanted: Statistics) -> StatisticsChange:
    """Return what leads weights and extra fields from a known state to a wanted one, whatever is stored meanwhile."""
    before = known.weight_adjustments if known else {}
    after = wanted.weight_adjustments
    shifted = {name: after.get(name, 0) - before.get(name, 0) for name in {**before, **after}}
    told = {name: item for name, item in wanted.extra.items() if not known or known.extra.get(name) != item}
    return StatisticsChange(
        wanted.user_id,
        weight_adjustments={name: min(max(from_units(shift), -1.0), 1.0) for name, shift in shifted.items() if shift},
        extra=told,
        timestamp=wanted.last_updated,
    )
