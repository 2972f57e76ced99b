"""What every embedder does to texts before, and to vectors after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

#: Longer texts are embedded by their beginning, in characters: a model pools or cuts what is longer anyway.
MAX_CHARACTERS: Final = 8_192


def normalised(vectors: Any) -> list[bytes]:
    """Return rows of numbers as unit vectors; rows without length or with what is no number become zeros."""
    import numpy as np

    matrix = np.nan_to_num(np.asarray(vectors, dtype="<f4"), nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)
    return [row.tobytes() for row in unit]


def clipped(texts: Sequence[str]) -> list[str]:
    """Return as much of each text as is embedded."""
    return [text[:MAX_CHARACTERS] for text in texts]
