"""The few formulas of answers, the same for every driver."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import sqrt
from statistics import NormalDist
from typing import Final

#: The shares of a sorted sample that its deciles stand at.
DECILES: Final = tuple(n / 10 for n in range(1, 10))


def wilson_interval(successes: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return between which shares the true share of successes lies, with this confidence.

    Wilson's score interval without correction for continuity (E. B. Wilson, "Probable inference, the law of
    succession, and statistical inference", 1927): unlike the textbook's, it holds for few trials and for shares near
    0 and 1.

    Args:
        successes: how many trials succeeded.
        count: how many trials there were; for none the answer is (0, 1): nothing is known.
        confidence: how sure the interval is, between 0 and 1.
    """
    if not count:
        return 0.0, 1.0
    z = _quantile(confidence)
    share, spread = successes / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    margin = z / (1 + spread) * sqrt(share * (1 - share) / count + spread / (4 * count))
    low = 0.0 if successes == 0 else max(0.0, centre - margin)
    return low, 1.0 if successes == count else min(1.0, centre + margin)


@cache
def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of a sample lies, between two of its values where need be.

    This is the definition that NumPy uses unless told otherwise: number 7 of R. J. Hyndman and Y. Fan, "Sample
    quantiles in statistical packages", 1996.

    Args:
        ordered: the sample, smallest first, not empty.
        share: between 0 and 1.
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
