"""Embedders of the tests' own, found by their name when this folder is on Python's path."""

from __future__ import annotations

import hashlib

#: What `careful` refuses to embed.
POISON = "poison"


def letters(texts: list[str]) -> list[list[float]]:
    """Count letters: 26 dimensions."""
    return [[text.lower().count(chr(97 + n)) + 1e-6 for n in range(26)] for text in texts]


def pairs(texts: list[str]) -> list[list[float]]:
    """Count pairs of letters: 64 dimensions."""
    vectors = []
    for text in texts:
        vector = [1e-6] * 64
        for n in range(len(text) - 1):
            vector[hashlib.sha256(text[n : n + 2].encode()).digest()[0] % 64] += 1.0
        vectors.append(vector)
    return vectors


def careful(texts: list[str]) -> list[list[float]]:
    """Count letters, unless a text is poison."""
    if any(POISON in text for text in texts):
        raise RuntimeError(POISON)
    return letters(texts)


def nothing_but_nan(texts: list[str]) -> list[list[float]]:
    """Return what is no vector."""
    return [[float("nan"), float("inf"), 0.0] for _ in texts]


def one_short(texts: list[str]) -> list[list[float]]:
    """Forget the last text."""
    return letters(texts[:-1] if len(texts) > 1 else texts)
